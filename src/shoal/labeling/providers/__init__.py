"""Names of clusters by language models, with the extra `llm`.

`connection` says which models there are, `instructions` what they are asked, `model_namer` is the namer; `calls/` asks.
Nothing here is imported by `shoal.labeling` itself, and pydantic-ai only once a model is opened.
"""

from shoal.labeling.providers.calls.answers import Answers, FileAnswers
from shoal.labeling.providers.calls.connection import Connection, Providers
from shoal.labeling.providers.calls.limits import Limits
from shoal.labeling.providers.calls.usage import Price, Usage
from shoal.labeling.providers.estimate import Estimate, estimate
from shoal.labeling.providers.instructions import Instructions, read_candidates
from shoal.labeling.providers.model_namer import ModelNamer

__all__ = ["Answers", "Connection", "Estimate", "FileAnswers", "Instructions", "Limits", "ModelNamer", "Price"]
__all__ += ["Providers", "Usage", "estimate", "read_candidates"]
