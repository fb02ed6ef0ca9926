"""`shoal.TextEncoder`: texts to vectors, as a transformer of scikit-learn's kind."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from shoal.columns import Points
from shoal.errors import InvalidField
from shoal.library.input.conversion import to_texts
from shoal.library.text_encoding import prepare_encoder

__all__ = ["TextEncoder"]


class TextEncoder(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]  # untyped
    """Texts to vectors that clusterers take: `make_pipeline(TextEncoder(), AutoCluster())`.

    Parameters
    ----------
    encoder : str, object or None, default None
        What encodes: "static", the encoder in the package; "corpus", which learns from the texts given to `fit`, in any
        language; a URI such as "sentence-transformers:all-MiniLM-L6-v2"; or an object whose `encode(texts)` returns
        (n, d) numbers. None chooses static or corpus by the language of the texts.

    Attributes
    ----------
    encoder_ : str
        The encoder and its version, such as "static@1".

    Examples
    --------
    >>> import shoal
    >>> shoal.TextEncoder().fit_transform(["lost my card", "the card is lost", "transfer money"]).shape[0]
    3
    """

    def __init__(self, encoder: str | object | None = None) -> None:
        self.encoder = encoder

    def fit(self, X: Iterable[object], y: object = None) -> Self:  # noqa: N803
        """Choose the encoder, and let it learn from the texts if it does.

        Parameters
        ----------
        X : (n,) texts
            A list, an array, a column of pandas, polars or Arrow, or a table of one column; None and NaN are empty.
        y : object, default None
            Ignored; present by convention of scikit-learn.

        Returns
        -------
        self

        Raises
        ------
        InvalidField
            The texts are none, or the encoder does not exist or is not installed.
        """
        texts = _to_texts(X)
        if not any(text and not text.isspace() for text in texts):
            raise InvalidField("X", "holds no text", remedy="Give one text per row.")
        self._encoding, _ = prepare_encoder(texts, self.encoder)
        self.encoder_ = self._encoding.name
        self._n_features_out = self._encoding.dimension
        return self

    def transform(self, X: Iterable[object]) -> Points:  # noqa: N803
        """Encode texts.

        Parameters
        ----------
        X : (m,) texts
            As in `fit`.

        Returns
        -------
        ndarray of float32, shape (m, d)
            Rows of norm 1; 0 for a text without any word that the encoder knows.

        Raises
        ------
        NotFittedError
            `fit` was not called yet.
        """
        check_is_fitted(self)
        return self._encoding.encode(_to_texts(X))

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the tables of an encoder that can be opened again."""
        state = dict(super().__getstate__())
        encoding = state.get("_encoding")
        if encoding is not None and encoding.can_reopen:
            state["_encoding"] = replace(encoding, opened=None)
        return state

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "encoder_")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.string, tags.input_tags.two_d_array, tags.input_tags.one_d_array = True, False, True
        tags.transformer_tags.preserves_dtype = []
        return tags


def _to_texts(values: Iterable[object]) -> list[str]:
    """Return the texts of a column, or of the one column of a table. Raises InvalidField for anything else."""
    block: Any = values
    if getattr(values, "ndim", 1) == 2 and getattr(values, "shape", (0, 0))[1] == 1:
        column: NDArray[Any] = np.asarray(block, dtype=object)[:, 0]
        values = column
    try:
        return to_texts(values, None) or []
    except InvalidField as error:
        error.move("X" + error.field.removeprefix("text"), error.problem)
        raise
