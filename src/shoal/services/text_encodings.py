"""What will encode the texts of a new collection, from its feature extractor."""

import re
from typing import Final

from shoal.errors import InvalidField
from shoal.records.collection import Collection, FeatureExtractor
from shoal.records.scope import Scope
from shoal.records.text_encoding import EXTRACTOR, TEXT_FIELDS, VECTOR, TextEncoding
from shoal.repositories.repository import RepositoryReads
from shoal.runs.encoders import PermittedEncoders
from shoal.storage.protocols.documents import DocumentReader

__all__ = ["TextEncodings"]

_VECTOR_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,100}")
_ENCODER: Final = "feature_extractor.params.encoder"
_NAME: Final = "feature_extractor.params.vector_name"


class TextEncodings:
    """Chooses the encodings of collections.

    An extractor without parameters was accepted before there were encoders, for vectors that documents bring: where it
    cannot encode, the collection is made all the same, with a warning.
    """

    def __init__(
        self, collections: RepositoryReads[Collection], documents: DocumentReader, encoders: PermittedEncoders
    ) -> None:
        self._collections, self._documents, self._encoders = collections, documents, encoders

    def choose(self, scope: Scope, extractor: FeatureExtractor | None) -> tuple[TextEncoding | None, list[str]]:
        """Return the encoding of a new collection, None where documents bring their vectors, and warnings.

        Raises InvalidField for an encoder that is not permitted, and for vectors of another encoder or dimension under
        the name.
        """
        if extractor is None or not extractor.encodes:
            return None, []
        params = extractor.params or {}
        try:
            return self._choose(scope, extractor, params.get("encoder"), params.get("vector_name", VECTOR)), []
        except InvalidField as error:
            if "encoder" in params or "vector_name" in params:
                raise
            return None, [f"Texts are not encoded, documents have to bring vectors: {error.message}"]

    def _choose(self, scope: Scope, extractor: FeatureExtractor, uri: object, name: object) -> TextEncoding:
        encoder = self._encoders.resolve(uri, _ENCODER)
        if not isinstance(name, str) or not _VECTOR_NAME.fullmatch(name):
            remedy = "Use letters, digits, '_' and '-', at most 100."
            raise InvalidField(_NAME, "is not a name", value=name, remedy=remedy)
        dimension = self._encoders.dimension(encoder)
        self._check_name(scope, name, encoder, dimension)
        fitted = self._encoders.is_fitted_at_runs(encoder)
        return TextEncoding(
            encoder=encoder,
            version=None if fitted else self._encoders.open(encoder).name,
            vector_name=name,
            feature_uri=f"mixpeek://{EXTRACTOR}@{extractor.version}/{name}",
            dimension=dimension,
            fields=extractor.input_fields() or list(TEXT_FIELDS),
        )

    def _check_name(self, scope: Scope, name: str, encoder: str, dimension: int) -> None:
        """Raise InvalidField where a name stands for vectors that cannot be compared with these."""
        for other in self._collections.all(scope):
            encoding = other.text_encoding
            if encoding is not None and encoding.vector_name == name and encoding.encoder != encoder:
                problem = f"names vectors that {encoding.encoder} makes in the collection {other.collection_name!r}"
                remedy = "Choose another vector_name: vectors of several encoders cannot be compared."
                raise InvalidField(_NAME, problem, value=name, remedy=remedy)
        declared = self._documents.vector_dimensions(scope).get(name, dimension)
        if declared != dimension:
            problem = f"has {declared} numbers in this namespace, and {encoder} makes {dimension}"
            raise InvalidField(_NAME, problem, value=name, remedy="Choose another vector_name.")
