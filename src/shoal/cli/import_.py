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
    from shoal.files.paths.shards import Files
    from shoal.records.collection import Collection
    from shoal.records.scope import Scope

__all__ = ["ensure_collection", "ensure_namespace", "import_"]


def import_(
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE...",
            help="Parquet, Arrow, CSV, JSON (also .gz), NPY or NPZ; also several files, a folder, or https://.",
        ),
    ],
    collection: Annotated[str, typer.Option(help="Where the documents go; created if it does not exist.")],
    namespace: Annotated[str, typer.Option(help="Created if it does not exist.")] = "default",
    vector: Annotated[list[str] | None, typer.Option(help="A column of vectors; repeat for several.")] = None,
    id: Annotated[
        str | None, typer.Option(help="The column of ids; else id or document_id, else made of the content.")
    ] = None,
    encoder: Annotated[
        str | None, typer.Option(help="What encodes the texts of a new collection: static, corpus, or a permitted URI.")
    ] = None,
    text: Annotated[
        list[str] | None, typer.Option(help="A field to encode; repeat for several. Else those that read like text.")
    ] = None,
    sidecar: Annotated[Path | None, typer.Option(help="Ids and attributes for a NPY file.")] = None,
    format: Annotated[str | None, typer.Option(help="The format, where the file name does not imply it.")] = None,
    delimiter: Annotated[
        str | None, typer.Option(help="The column delimiter of CSV, where it is not detected.")
    ] = None,
    encoding: Annotated[
        str | None, typer.Option(help="The encoding of text that is not UTF-8: cp1252 for Excel's plain CSV.")
    ] = None,
    data: Annotated[Path | None, typer.Option(help="The folder that holds everything.")] = None,
    url: Annotated[str | None, typer.Option(help="Send to this server instead, such as http://host:8000.")] = None,
    key: Annotated[str | None, typer.Option(help="API key for --url.", envvar="SHOAL_API_KEY")] = None,
) -> None:
    """Store the documents of a file: all of them, or none where one is wrong. Same ids replace."""
    from shoal.cli.options import name_options_in_errors
    from shoal.errors import InvalidField
    from shoal.files.paths.addresses import check_is_local, parse_place
    from shoal.files.paths.shards import check_path
    from shoal.remote.remote_files import as_local_files, local_files

    places = [parse_place(file) for file in files]
    file = places[0] if len(places) == 1 else tuple(places)
    if (local_paths := as_local_files(file)) is not None:
        check_path(local_paths)
    if sidecar is not None:
        check_is_local(sidecar, "--sidecar")
        check_path(sidecar)
    if text and encoder is None:
        raise InvalidField("--text", "says what is encoded", remedy="Name an encoder too: --encoder static.")
    with name_options_in_errors(), local_files(file) as (local, names):
        encodes = None
        if encoder is not None:
            encodes = (encoder, text or _choose_fields(local, format, delimiter, encoding))
        _import(
            local,
            names,
            collection,
            namespace,
            vector,
            id,
            sidecar,
            format,
            delimiter,
            encoding,
            data,
            url,
            key,
            encodes,
        )


def _choose_fields(file: "Files", format: str | None, delimiter: str | None, encoding: str | None) -> list[str]:
    """Return the fields that read most like text. Raises InvalidField where none does."""
    import orjson

    from shoal.errors import InvalidField
    from shoal.files import open_source
    from shoal.labeling import choose_text_fields
    from shoal.records.documents.document import RESULT_FIELDS

    source = open_source(file, format=format, delimiter=delimiter, encoding=encoding, needs_vectors=False)
    first = next(source.batches(200))
    fields = choose_text_fields([orjson.loads(payload) for payload in first.payloads], without=RESULT_FIELDS)
    if not fields:
        raise InvalidField("--encoder", "has no text to encode in this file", remedy="Name a field: --text NAME.")
    return fields


def _check_encoder(collection: "Collection", encodes: tuple[str, list[str]] | None) -> None:
    """Raise InvalidField where an existing collection encodes nothing, or in another way."""
    from shoal.errors import InvalidField

    existing = collection.text_encoding
    if encodes is None or (existing is not None and existing.encoder == encodes[0]):
        return
    other = "brings its vectors" if existing is None else f"has the encoder {existing.encoder}"
    problem = f"cannot be added to the collection {collection.collection_name!r}, which {other}"
    raise InvalidField("--encoder", problem, value=encodes[0], remedy="Import into a new collection.")


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
    encodes: tuple[str, list[str]] | None,
) -> None:
    if url is None:
        options: dict[str, Any] = {
            "id_column": id,
            "vector_columns": vector,
            "sidecar": sidecar,
            "format": format,
            "delimiter": delimiter,
        }
        options |= {"encoding": encoding, "names": names}
        _import_to_folder(file, collection, namespace, data, options, encodes)
    elif encoding is not None:
        from shoal.errors import InvalidField

        raise InvalidField("--encoding", "works with a data folder only", remedy="Save the file as UTF-8 first.")
    else:
        _import_to_server(file, collection, namespace, vector or [], id, sidecar, url, key, format, delimiter, encodes)


def _import_to_folder(
    file: "Files",
    collection: str,
    namespace: str,
    data: Path | None,
    options: Mapping[str, Any],
    encodes: tuple[str, list[str]] | None,
) -> None:
    # Imported here so that `shoal --help` stays fast.
    from shoal.assemble import assemble
    from shoal.cli.audit import command_line_origin
    from shoal.cli.output.progress import show_count
    from shoal.files.layout import COMMAND
    from shoal.files.paths.shards import total_size
    from shoal.jobs.limits import run_memory_mib
    from shoal.settings import Settings

    settings = Settings.read(data=data)
    if not settings.import_memory_mib:
        settings = replace(settings, import_memory_mib=run_memory_mib(settings))
    services = assemble(settings)
    try:
        services.disk.check(total_size(file))
        with (
            services.audit.acting(command_line_origin()),
            ensure_namespace(services, namespace) as scope,
            ensure_collection(services, scope, collection, encodes),
            show_count() as progress,
        ):
            done = services.bulk.import_file(scope, collection, file, progress=progress, options=COMMAND, **options)
        _print_result(file, collection, done.inserted, done.replaced, done.vectors, done.warnings)
    finally:
        services.close()


def _import_to_server(
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
    encodes: tuple[str, list[str]] | None,
) -> None:
    from shoal.client import Client
    from shoal.errors import InvalidField, NotFound

    if sidecar is not None:
        raise InvalidField("--sidecar", "works with a data folder only", remedy="Join both into one file first.")
    with _translate_key_errors(key), Client(url, key, namespace) as client, ExitStack() as undo:
        try:
            client.namespaces.get(namespace)
        except NotFound:
            client.namespaces.create(namespace)
            undo.callback(_undo_namespace, client, namespace)
        try:
            _check_encoder(client.collections.get(collection), encodes)
        except NotFound:
            client.collections.create(collection, encoder=encodes and encodes[0], text=encodes and encodes[1])
            undo.callback(_undo_collection, client, collection)
        done = client.documents.upload(
            collection, file, vector_columns=vector, id_column=id, format=format, delimiter=delimiter
        )
        undo.pop_all()
    _print_result(file, collection, done.inserted, done.replaced, done.vectors, done.warnings)


@contextmanager
def _translate_key_errors(key: str | None) -> Iterator[None]:
    from shoal.errors import InvalidField, Unauthorized

    try:
        yield
    except Unauthorized as error:
        if key is None:
            raise InvalidField(
                "--key", "is required by this server", remedy="Give one, or set SHOAL_API_KEY."
            ) from error
        raise InvalidField("--key", "was refused by the server", remedy=error.message) from error


def _undo_namespace(client: "Client", namespace: str) -> None:
    """Remove it while it is empty. The error that led here is the one to report."""
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
def ensure_namespace(services: "Services", name: str) -> Iterator["Scope"]:
    """Yield the scope of a namespace of this installation's first organization, created if necessary.

    A namespace created here is removed where the block fails and leaves it empty.
    """
    from shoal.errors import NotFound
    from shoal.records.namespace import CreateNamespace
    from shoal.records.scope import Scope

    services.keys.bootstrap(services.settings.data / "key")
    organization = Scope(services.keys.organizations()[0].organization_id)
    try:
        scope, created = services.namespaces.scope(organization, name), False
    except NotFound:
        services.namespaces.create(organization, CreateNamespace(namespace_name=name, mode="standalone"))
        scope, created = services.namespaces.scope(organization, name), True
    try:
        yield scope
    except BaseException:
        if created and not services.namespaces.get(organization, name).collection_count:
            services.namespaces.remove(organization, name)
        raise


@contextmanager
def ensure_collection(
    services: "Services", scope: "Scope", name: str, encodes: tuple[str, list[str]] | None = None
) -> Iterator[None]:
    """Ensure that a collection of this name exists in the block; one created here is removed where the block fails.

    `encodes` are the encoder of its texts and their fields. Raises InvalidField where the collection has another.
    """
    from shoal.errors import NotFound
    from shoal.records.collection import CollectionSource, CreateCollection, FeatureExtractor
    from shoal.records.text_encoding import name_extractor

    try:
        _check_encoder(services.collections.find(scope, name), encodes)
        created = False
    except NotFound:
        source = CollectionSource(type="direct_upsert")
        extractor = None if encodes is None else FeatureExtractor(**name_extractor(*encodes))
        body = CreateCollection(collection_name=name, source=source, feature_extractor=extractor)
        services.collections.create(scope, body)
        created = True
    try:
        yield
    except BaseException:
        if created:
            services.collections.delete(scope, name)
        raise


def _print_result(
    file: "Files", collection: str, inserted: int, replaced: int, vectors: dict[str, int], warnings: list[str]
) -> None:
    from shoal.files.paths.shards import display_name
    from shoal.quantities import plural

    replaced_note = f", {replaced:,} replaced" if replaced else ""
    vector_list = ", ".join(f"{name} ({dimension})" for name, dimension in vectors.items()) or "none"
    print(
        f"{plural(inserted, 'document')} stored{replaced_note} from {display_name(file)} in the collection "
        f"{collection!r}; vectors: {vector_list}."
    )
    if not vectors:
        print("Note: only documents with vectors can be clustered. Texts: import them with --encoder static.")
    for warning in warnings:
        print(f"Note: {warning}")
