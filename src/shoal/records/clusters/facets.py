"""The configuration of facets: questions that a language model answers about each document, to cluster the answers."""

from typing import Annotated, Literal

from pydantic import Field

from shoal.records.base import Body

__all__ = ["Facet", "Facets"]


class Facet(Body):
    """A question about each document. The answers are encoded as a further feature of the clustering."""

    name: str = Field(min_length=1, max_length=40, pattern=r"^[a-z][a-z0-9_]*$")
    """That of the feature; no vector has it."""
    question: str = Field(min_length=1, max_length=500, pattern=r"^[^\x00-\x1f]*[^\x00-\x20][^\x00-\x1f]*$")
    """Such as "What went wrong?"."""
    use: Literal["beside", "instead"] | None = "beside"
    """Whether documents are clustered by their vectors too, or by the answers alone."""


Facets = Annotated[list[Facet], Field(max_length=4)]
