"""Language models by pydantic-ai, which is imported when the first question is asked.

Only its models and wires are used: retries, limits and accounts are our own, since each try has to be admitted by the
budget, and since the wire of Google has none.
"""

import asyncio
import json
import warnings
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from shoal.errors import InvalidField
from shoal.labeling.base import Media
from shoal.labeling.providers.calls.connection import Connection
from shoal.labeling.providers.calls.http_client import BodyTooLong, Exchange, current_exchange, open_client
from shoal.labeling.providers.calls.model import Failure, Question, Reply
from shoal.labeling.providers.calls.usage import Tokens

if TYPE_CHECKING:
    from pydantic_ai.messages import ModelResponse
    from pydantic_ai.models import Model, ModelRequestParameters

__all__ = ["PydanticModel", "check_installed"]

_PASSING: Final = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 520, 522, 524, 529})
_FINAL: Final = {
    401: "The provider refused the key (HTTP 401).",
    402: "The provider asks for payment (HTTP 402).",
    403: "The provider refused access to the model (HTTP 403).",
    404: "The provider does not know the model, or its address is wrong (HTTP 404).",
}
_NO_QUOTA: Final = frozenset({"insufficient_quota", "billing_hard_limit_reached", "credit_balance_too_low"})
_FINISHED: Final = {"content_filter": "it was refused", "length": "it was cut off", "error": "it broke off"}
_TOOL: Final = "answer"
_PLACEHOLDER_KEY: Final = "none"
"""For servers without keys, since the library wants one."""


def check_installed(field: str = "namer") -> None:
    """Raise InvalidField, which names the `field`, if the extra is not installed."""
    try:
        import anthropic  # noqa: F401
        import google.genai  # noqa: F401
        import openai  # noqa: F401
        import pydantic_ai  # noqa: F401
    except ImportError as error:
        missing = str(error.name or "pydantic_ai").partition(".")[0]
        problem = f"needs the extra llm, of which {missing} is not installed"
        remedy = 'Run pip install "shoal[llm]", or in a checkout pip install ".[llm]".'
        raise InvalidField(field, problem, remedy=remedy) from None


class PydanticModel:
    """A model of a `Connection`. It belongs to one event loop."""

    def __init__(self, connection: Connection) -> None:
        check_installed()
        self._connection = connection
        self._client = open_client(connection.limits.timeout, connection.limits.concurrency)
        self._model = _open_model(connection, self._client)

    async def ask(self, question: Question, timeout: float) -> Reply:
        """See `LanguageModel`."""
        exchange = Exchange()
        reset = current_exchange.set(exchange)
        try:
            async with asyncio.timeout(timeout):
                response = await self._request(question, timeout)
        except asyncio.CancelledError:
            raise
        except Exception as error:  # noqa: BLE001  # foreign errors are translated here, whatever they are
            fault = _content_fault(error, exchange)
            if fault is not None:
                return fault
            raise _failure(error, exchange) from None
        finally:
            current_exchange.reset(reset)
        reply = _reply(response, exchange)
        return replace(
            reply, text=self._connection.key.hide(reply.text)
        )  # a server may repeat it, and answers are kept

    async def close(self) -> None:
        """See `LanguageModel`."""
        await self._client.aclose()

    async def _request(self, question: Question, timeout: float) -> "ModelResponse":
        from pydantic_ai.direct import model_request, model_request_stream
        from pydantic_ai.messages import BinaryContent, ModelRequest, UserPromptPart

        content = [
            BinaryContent(part.data, media_type=part.media_type) if isinstance(part, Media) else part
            for part in question.parts
        ]
        messages = [ModelRequest(parts=[UserPromptPart(content)], instructions=question.rules)]
        settings: Any = {
            **question.settings,
            "max_tokens": question.output_tokens,
            "max_retries": 0,
            "timeout": timeout,
        }
        parameters = _parameters(self._model, question)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # parameters that a model lacks are left out
            if not self._connection.stream:
                return await model_request(
                    self._model, messages, model_settings=settings, model_request_parameters=parameters
                )
            async with model_request_stream(
                self._model, messages, model_settings=settings, model_request_parameters=parameters
            ) as stream:
                async for _ in stream:
                    pass
                return stream.get()


def _open_model(connection: Connection, client: Any) -> "Model":
    key = connection.key.reveal() or _PLACEHOLDER_KEY
    if connection.provider == "anthropic":
        from pydantic_ai.models.anthropic import AnthropicModel
        from pydantic_ai.providers.anthropic import AnthropicProvider

        provider = AnthropicProvider(api_key=key, base_url=connection.url, http_client=client)
        return AnthropicModel(connection.model, provider=provider)
    if connection.provider == "google":
        from pydantic_ai.models.google import GoogleModel
        from pydantic_ai.providers.google import GoogleProvider

        return GoogleModel(
            connection.model, provider=GoogleProvider(api_key=key, base_url=connection.url, http_client=client)
        )
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    return OpenAIChatModel(
        connection.model, provider=OpenAIProvider(base_url=connection.url, api_key=key, http_client=client)
    )


def _parameters(model: "Model", question: Question) -> "ModelRequestParameters":
    """Ask for the schema natively, or by a tool from models that have no other way."""
    from pydantic_ai.models import ModelRequestParameters
    from pydantic_ai.output import OutputObjectDefinition
    from pydantic_ai.tools import ToolDefinition

    schema = dict(question.schema)
    if model.profile.get("supports_json_schema_output"):
        return ModelRequestParameters(
            output_mode="native", output_object=OutputObjectDefinition(json_schema=schema, name=_TOOL)
        )
    tool = ToolDefinition(name=_TOOL, parameters_json_schema=schema, kind="output", description="Your answer.")
    return ModelRequestParameters(output_mode="tool", output_tools=[tool], allow_text_output=False)


def _reply(response: "ModelResponse", exchange: Exchange) -> Reply:
    used = response.usage
    tokens = Tokens(used.input_tokens, used.output_tokens) if used.input_tokens or used.output_tokens else None
    tokens = tokens or exchange.tokens()
    texts = list[str]()
    for part in response.parts:
        if part.part_kind == "tool-call":
            texts = [part.args if isinstance(part.args, str) else json.dumps(part.args)]
            break
        if part.part_kind == "text":
            texts.append(part.content)
    fault = _FINISHED.get(response.finish_reason or "")
    if fault is None and (response.provider_details or {}).get("refusal"):
        fault = "it was refused"
    return Reply("".join(texts), tokens, fault)


def _content_fault(error: Exception, exchange: Exchange) -> Reply | None:
    """Return a reply for an answer that was made, and is paid, but could not be read; None for a failed call."""
    from pydantic_ai.exceptions import ModelAPIError, UnexpectedModelBehavior

    if exchange.status != 200 or isinstance(error, (ModelAPIError, TimeoutError)) or exchange.too_long:
        return None
    tokens = exchange.tokens()
    if isinstance(error, UnexpectedModelBehavior) and tokens is not None:
        return Reply("", tokens, "it was not in the form of an answer")
    return None


def _failure(error: Exception, exchange: Exchange) -> Failure:
    """Translate an error of the libraries. Its text is not used: it may hold anything."""
    from pydantic_ai.exceptions import ModelAPIError, ModelHTTPError

    tokens = exchange.tokens()
    if exchange.too_long or isinstance(error, BodyTooLong):
        return Failure("The provider's answer was too long.", tokens=tokens)
    if isinstance(error, ModelHTTPError) and not error.in_stream:
        return _http_failure(error.status_code, error.provider_error_code, error.retry_after)
    if _is_timeout(error):
        return Failure("The provider did not answer in time.", passing=True, tokens=tokens)
    if exchange.status is not None and exchange.status >= 300:
        return _http_failure(exchange.status, None, None)
    if isinstance(error, ModelHTTPError):
        return Failure("The provider broke off its answer.", passing=True, tokens=tokens)
    if exchange.status == 200:
        return Failure("The provider's answer broke off or was not valid.", passing=True, tokens=tokens)
    if isinstance(error, (ModelAPIError, OSError)):
        return Failure("The provider cannot be reached.", passing=True, tokens=Tokens(0, 0))
    return Failure(f"The call failed ({type(error).__name__}).", tokens=tokens)


def _http_failure(status: int, code: object, wait: float | None) -> Failure:
    """Failed calls are not billed."""
    nothing = Tokens(0, 0)
    if status in _FINAL:
        return Failure(_FINAL[status], final=True, tokens=nothing)
    if code in _NO_QUOTA:
        return Failure(f"The quota at the provider is used up (HTTP {status}).", final=True, tokens=nothing)
    if status == 429:
        return Failure("The provider's rate limit was reached (HTTP 429).", passing=True, wait=wait, tokens=nothing)
    if status in _PASSING:
        return Failure(f"The provider failed (HTTP {status}).", passing=True, wait=wait, tokens=nothing)
    if 300 <= status < 400:
        return Failure(f"The provider sent the call elsewhere (HTTP {status}).", final=True, tokens=nothing)
    return Failure(f"The provider rejected the call (HTTP {status}).", tokens=nothing)


def _is_timeout(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, TimeoutError) or "Timeout" in type(error).__name__:
            return True
        error = error.__cause__
    return False
