"""The retention clock: a wrong reading of the wall clock deletes nothing."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from shoal.repositories.retention_clock import FASTEST, RetentionClock
from shoal.storage.sqlite.metadata import SqliteMetadata

START = datetime(2026, 11, 23, 12, tzinfo=UTC)


class World:
    """Both clocks of a machine."""

    def __init__(self, store: SqliteMetadata) -> None:
        self.wall, self.steady = START, 1_000.0
        self.store = store
        self.clock = self.restarted()

    def restarted(self) -> RetentionClock:
        return RetentionClock(self.store, lambda: self.wall, lambda: self.steady)

    def live(self, minutes: int) -> None:
        """Let that many minutes pass, with a tick in each."""
        for _ in range(minutes):
            self.wall, self.steady = self.wall + timedelta(minutes=1), self.steady + 60
            self.clock.tick()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    store = SqliteMetadata(tmp_path / "metadata.sqlite")
    yield World(store)
    store.close()


def test_the_clock_follows_the_wall_clock(world: World) -> None:
    assert world.clock() == START
    world.live(90)
    assert world.clock() == world.wall == START + timedelta(minutes=90)


def test_a_wall_clock_temporarily_set_ahead_moves_it_no_faster_than_its_maximum_pace(world: World) -> None:
    world.live(10)
    before = world.clock()
    world.wall += timedelta(days=4000)
    assert world.clock() == before

    world.live(5)

    assert world.clock() == before + timedelta(minutes=5 * FASTEST)
    world.wall -= timedelta(days=4000)
    world.live(1)
    assert world.clock() == world.wall


def test_the_clock_catches_up_after_the_server_was_off_for_a_month(world: World) -> None:
    world.live(10)
    world.wall += timedelta(days=30)
    world.clock = world.restarted()

    world.live(13 * 60)

    assert world.clock() == world.wall


def test_setting_back_the_wall_clock_sets_back_the_retention_clock(world: World) -> None:
    world.live(10)
    world.wall -= timedelta(days=400)

    assert world.clock() == world.wall
    world.live(1)
    assert world.clock() == world.wall
