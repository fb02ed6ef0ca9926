"""The access clock: its reading changes with every change of a key or a namespace, in every process."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from shoal.assemble import Services, assemble
from shoal.errors import Conflict
from shoal.records.bucket import BucketSchema, CreateBucket
from shoal.records.key import CreateKey, PatchKey
from shoal.records.namespace import CreateNamespace, PatchNamespace
from shoal.records.scope import Scope
from shoal.repositories.access_clock import AccessClock
from shoal.settings import Settings


@pytest.fixture
def services(tmp_path: Path) -> Iterator[Services]:
    opened = assemble(Settings(data=tmp_path / "data", workers=0))
    yield opened
    opened.close()


@pytest.fixture
def organization(services: Services) -> Scope:
    return Scope(services.keys.create_organization("one").organization_id)


def test_the_clock_advances_with_every_change_of_a_key_or_namespace_visibly_to_other_processes(
    services: Services, organization: Scope
) -> None:
    other = assemble(services.settings)
    clock, keys, namespaces = AccessClock(other.metadata), services.keys, services.namespaces
    keys.create(organization, "a@b", CreateKey(name="k"))
    namespaces.create(organization, CreateNamespace(namespace_name="before"))
    readings = [clock.read()]
    for change in (
        lambda: keys.change(organization, "k", PatchKey(description="d")),
        lambda: keys.rotate(organization, "k"),
        lambda: keys.remove(organization, "k"),
        lambda: namespaces.create(organization, CreateNamespace(namespace_name="another")),
        lambda: namespaces.change(organization, "another", PatchNamespace(namespace_name="renamed")),
        lambda: namespaces.remove(organization, "renamed"),
    ):
        change()
        readings.append(clock.read())
    other.close()

    assert len(set(readings)) == 7 and readings == sorted(readings)


def test_the_clock_stands_still_for_everything_else(services: Services, organization: Scope) -> None:
    clock, scope = AccessClock(services.metadata), services.namespaces.scope(organization, "default")
    secret = services.keys.create(organization, "a@b", CreateKey(name="k")).key
    before = clock.read()

    services.keys.authenticate(secret)  # records the use of the key
    services.buckets.create(scope, CreateBucket(bucket_name="b", bucket_schema=BucketSchema(properties={})))

    assert clock.read() == before


def test_a_rejected_change_does_not_advance_the_clock(services: Services, organization: Scope) -> None:
    clock = AccessClock(services.metadata)
    before = clock.read()

    with pytest.raises(Conflict):
        services.keys.remove(organization, "first")  # the last admin key

    assert clock.read() == before
