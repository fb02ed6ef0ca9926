"""`shoal import FILE`: documents into the data folder, or to a running server."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from shoal.assemble import Services
    from shoal.client import Client
    from shoal.files.shards import Files
    from shoal.records.scope import Scope

__all__ = ["ensured_collection", "ensured_namespace", "import_"]


def import_(
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE...",
            help="Parquet, Arrow, CSV, JSON (also .gz), NPY or NPZ; also several files, a folder, or https://.",
        ),
    ],
    collection: Annotated[str, typer.Option(help="Where the documents go; made if it is not there.")],
    namespace: Annotated[str, typer.Option(help="Made if it is not there.")] = "default",
    vector: Annotated[list[str] | None, typer.Option(help="A column of vectors; repeat for several.")] = None,
    id: Annotated[
        str | None, typer.Option(help="The column of ids; else id or document_id, else made of the content.")
    ] = None,
    sidecar: Annotated[Path | None, typer.Option(help="Ids and attributes for a NPY file.")] = None,
    format: Annotated[str | None, typer.Option(help="The format, where the file's ending does not tell.")] = None,
    delimiter: Annotated[
        str | None, typer.Option(help="What separates the columns of CSV, where it is not seen.")
    ] = None,
    encoding: Annotated[
        str | None, typer.Option(help="Of text that is not UTF-8: cp1252 for Excel's plain CSV.")
    ] = None,
    data: Annotated[Path | None, typer.Option(help="The folder that holds everything.")] = None,
    url: Annotated[str | None, typer.Option(help="Send to this server instead, such as http://host:8000.")] = None,
    key: Annotated[str | None, typer.Option(help="API key for --url.", envvar="SHOAL_API_KEY")] = None,
) -> None:
    """Store the documents of a file: all of them, or none where one is wrong. Same ids replace."""
    from shoal.cli.options import options_named
    from shoal.files.addresses import as_place, check_here
    from shoal.files.shards import check_path
    from shoal.remote.remote_files import files_here, local_files

    places = [as_place(file) for file in files]
    file = places[0] if len(places) == 1 else tuple(places)
    if (here := files_here(file)) is not None:
        check_path(here)
    if sidecar is not None:
        check_here(sidecar, "--sidecar")
        check_path(sidecar)
    with options_named(), local_files(file) as (local, names):
        _import(local, names, collection, namespace, vector, id, sidecar, format, delimiter, encoding, data, url, key)


def _import(
    file: "Files",
    names: Mapping[Path, str],
    collection: str,
    namespace: str,
    vector: list[str] | None,
    id: str | None,
    sidecar: Path | None,
    format: str | None,
    delimiter: str | None,
    encoding: str | None,
    data: Path | None,
    url: str | None,
    key: str | None,
) -> None:
    if url is None:
        how: dict[str, Any] = {
            "id_column": id,
            "vector_columns": vector,
            "sidecar": sidecar,
            "format": format,
            "delimiter": delimiter,
        }
        how |= {"encoding": encoding, "names": names}
        _to_folder(file, collection, namespace, data, how)
    elif encoding is not None:
        from shoal.errors import InvalidField

        raise InvalidField("--encoding", "goes with a data folder only", remedy="Save the file as UTF-8 first.")
    else:
        _to_server(file, collection, namespace, vector or [], id, sidecar, url, key, format, delimiter)


def _to_folder(file: "Files", collection: str, namespace: str, data: Path | None, how: Mapping[str, Any]) -> None:
    # Imported here so that `shoal --help` stays fast.
    from shoal.assemble import assemble
    from shoal.cli.audit import at_the_command_line
    from shoal.cli.output.progress import counted
    from shoal.files.layout import COMMAND
    from shoal.files.shards import size_of
    from shoal.jobs.limits import run_memory_mib
    from shoal.settings import Settings

    settings = Settings.read(data=data)
    if not settings.import_memory_mib:
        settings = replace(settings, import_memory_mib=run_memory_mib(settings))
    services = assemble(settings)
    try:
        services.disk.check(size_of(file))
        with (
            services.audit.acting(at_the_command_line()),
            ensured_namespace(services, namespace) as scope,
            ensured_collection(services, scope, collection),
            counted() as progress,
        ):
            done = services.bulk.import_file(scope, collection, file, progress=progress, options=COMMAND, **how)
        _tell(file, collection, done.inserted, done.replaced, done.vectors, done.warnings)
    finally:
        services.close()


def _to_server(
    file: "Files",
    collection: str,
    namespace: str,
    vector: list[str],
    id: str | None,
    sidecar: Path | None,
    url: str,
    key: str | None,
    format: str | None,
    delimiter: str | None,
) -> None:
    from shoal.client import Client
    from shoal.errors import InvalidField, NotFound

    if sidecar is not None:
        raise InvalidField("--sidecar", "goes with a data folder only", remedy="Join both into one file first.")
    with _key_told(key), Client(url, key, namespace) as client, ExitStack() as undo:
        try:
            client.namespaces.get(namespace)
        except NotFound:
            client.namespaces.create(namespace)
            undo.callback(_undo_namespace, client, namespace)
        try:
            client.collections.get(collection)
        except NotFound:
            client.collections.create(collection)
            undo.callback(_undo_collection, client, collection)
        done = client.documents.upload(
            collection, file, vector_columns=vector, id_column=id, format=format, delimiter=delimiter
        )
        undo.pop_all()
    _tell(file, collection, done.inserted, done.replaced, done.vectors, done.warnings)


@contextmanager
def _key_told(key: str | None) -> Iterator[None]:
    from shoal.errors import InvalidField, Unauthorized

    try:
        yield
    except Unauthorized as error:
        if key is None:
            raise InvalidField(
                "--key", "is needed for this server", remedy="Give one, or set SHOAL_API_KEY."
            ) from error
        raise InvalidField("--key", "was refused by the server", remedy=error.message) from error


def _undo_namespace(client: "Client", namespace: str) -> None:
    """Remove it if nobody has put anything into it. The error that led here is the one to tell."""
    from shoal.errors import ShoalError

    with suppress(ShoalError):
        if not client.namespaces.get(namespace).collection_count:
            client.namespaces.delete(namespace)


def _undo_collection(client: "Client", collection: str) -> None:
    from shoal.errors import ShoalError

    with suppress(ShoalError):
        if not client.collections.get(collection).document_count:
            client.collections.delete(collection)


@contextmanager
def ensured_namespace(services: "Services", name: str) -> Iterator["Scope"]:
    """The scope of a namespace of this installation's own organisation; one that was made for it goes again where the
    block fails and leaves it empty."""
    from shoal.errors import NotFound
    from shoal.records.namespace import CreateNamespace
    from shoal.records.scope import Scope

    services.keys.bootstrap(services.settings.data / "key")
    organization = Scope(services.keys.organizations()[0].organization_id)
    try:
        scope, made = services.namespaces.scope(organization, name), False
    except NotFound:
        services.namespaces.create(organization, CreateNamespace(namespace_name=name, mode="standalone"))
        scope, made = services.namespaces.scope(organization, name), True
    try:
        yield scope
    except BaseException:
        if made and not services.namespaces.get(organization, name).collection_count:
            services.namespaces.remove(organization, name)
        raise


@contextmanager
def ensured_collection(services: "Services", scope: "Scope", name: str) -> Iterator[None]:
    """A collection of that name is there in the block; one that was made for it goes again where the block fails."""
    from shoal.errors import NotFound
    from shoal.records.collection import CollectionSource, CreateCollection

    try:
        services.collections.find(scope, name)
        made = False
    except NotFound:
        source = CollectionSource(type="direct_upsert")
        services.collections.create(scope, CreateCollection(collection_name=name, source=source))
        made = True
    try:
        yield
    except BaseException:
        if made:
            services.collections.delete(scope, name)
        raise


def _tell(
    file: "Files", collection: str, inserted: int, replaced: int, vectors: dict[str, int], warnings: list[str]
) -> None:
    from shoal.files.shards import name_of
    from shoal.plural import plural

    again = f", {replaced:,} replaced" if replaced else ""
    held = ", ".join(f"{name} ({dimension})" for name, dimension in vectors.items()) or "none"
    print(
        f"{plural(inserted, 'document')} stored{again} from {name_of(file)} in the collection {collection!r}; "
        f"vectors: {held}."
    )
    if not vectors:
        print("Note: only documents with vectors can be clustered. Shoal makes no vectors: embed them with your model.")
    for warning in warnings:
        print(f"Note: {warning}")
