"""Models by URI: whose, where, with which key, at what price and within which limits."""

import difflib
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Final, Literal, get_args
from urllib.parse import urlsplit

from shoal.errors import InvalidField
from shoal.labeling.providers.calls.keys import Key, looks_like_key, read_key, read_server_key
from shoal.labeling.providers.calls.limits import Limits
from shoal.labeling.providers.calls.prices import MARGIN, known_price
from shoal.labeling.providers.calls.usage import Price
from shoal.model_servers import check_server_url

__all__ = ["Connection", "Key", "Provider", "Providers"]

Provider = Literal["openai", "google", "anthropic"]
"""A wire format."""
_PROVIDERS: Final[tuple[str, ...]] = get_args(Provider)
_KEYS: Final[Mapping[str, tuple[str, ...]]] = {
    "openai": ("OPENAI_API_KEY",),
    "google": ("GOOGLE_API_KEY", "GEMINI_API_KEY"),
    "anthropic": ("ANTHROPIC_API_KEY",),
}
_URLS: Final[Mapping[str, tuple[str, str]]] = {
    "openai": ("SHOAL_OPENAI_URL", "https://api.openai.com/v1"),
    "google": ("SHOAL_GOOGLE_URL", "https://generativelanguage.googleapis.com"),
    "anthropic": ("SHOAL_ANTHROPIC_URL", "https://api.anthropic.com"),
}
_PREFIXES: Final = (
    ("gpt-", "openai"), ("o1", "openai"), ("o3", "openai"), ("o4", "openai"),
    ("gemini-", "google"), ("claude-", "anthropic"),
)  # fmt: skip
_MODEL: Final = re.compile(r"[\w./:+-]{1,200}", re.ASCII)
_LARGEST_FILE: Final = 64 * 1024
_OUTPUT_TOKENS, _THINKING_TOKENS, _MOST_TOKENS = 600, 4000, 32_768
_THINKING: Final = re.compile(r"(?:\S+/)?(?:o[1-9]|gpt-5|gemini-2\.5|gemini-3|deepseek-r|qwq|qwen3|gpt-oss|magistral)")
"""Models that think before they answer, within the same limit."""
_OWN_KEY: Final = "SHOAL_LLM_KEY"
_MODELS: Final = "SHOAL_MODELS"


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """How a model is reached.

    Attributes
    ----------
    name : str
        As names record it, such as `openai:gpt-4o-mini`.
    provider : {"openai", "google", "anthropic"}
        The wire format.
    model : str
        The provider's name of it.
    url : str
        Where it is served.
    key : Key
        Empty for servers without keys.
    price : Price or None
        None if it is not known.
    margin : int
        How many times its price a call counts towards a budget: once for prices of the operator, twice for those of
        Shoal's own table, which may be old.
    limits : Limits
    stream : bool
        Whether answers are asked for as a stream.
    output_tokens : int
        The longest answer, thoughts included, where nothing else is asked for; reserved in full for each call.
    """

    name: str
    provider: Provider
    model: str
    url: str
    key: Key = field(default_factory=Key, compare=False)
    price: Price | None = None
    margin: int = 1
    limits: Limits = field(default_factory=Limits)
    stream: bool = False
    output_tokens: int = _OUTPUT_TOKENS


@dataclass(frozen=True, slots=True)
class _Server:
    url: str
    key: Key
    prices: Mapping[str, Price]
    output_tokens: int | None = None
    missing: str = ""
    """The variable that should hold its key and does not."""


@dataclass(frozen=True, slots=True)
class Providers:
    """The models that the operator has connected, by keys in the environment and a file of servers and prices.

    See `docs/language-models.md` for the variables and the file.
    """

    keys: Mapping[str, Key]
    urls: Mapping[str, str]
    own_key: Key = field(default_factory=Key)
    servers: Mapping[str, _Server] = field(default_factory=dict)
    prices: Mapping[str, Price] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)
    output_tokens: int | None = None

    @staticmethod
    def read(environ: Mapping[str, str] = os.environ) -> "Providers":
        """Read the environment and the files that it names. Raises InvalidField for what cannot be used."""
        table = _read_table(environ.get(_MODELS))
        _check_names(table, {"servers", "prices", "limits", "output_tokens"}, _MODELS)
        return Providers(
            keys={provider: read_key(environ, f"SHOAL_{provider.upper()}_KEY", *_KEYS[provider]) for provider in _KEYS},
            urls={
                provider: _check_url(name, environ.get(name) or default) for provider, (name, default) in _URLS.items()
            },
            own_key=read_key(environ, _OWN_KEY),
            servers={name: _read_server(name, each, environ) for name, each in _table(table, "servers").items()},
            prices=_read_prices(_table(table, "prices"), f"{_MODELS}: prices"),
            limits=_read_limits(_table(table, "limits")),
            output_tokens=_read_output_tokens(table, _MODELS),
        )

    def available(self) -> list[str]:
        """Return the providers with a key, and the servers."""
        return [*(provider for provider in _PROVIDERS if self.keys[provider]), *self.servers]

    def connect(self, uri: str, field: str = "namer") -> Connection:
        """Return the connection to a model.

        Parameters
        ----------
        uri : str
            `openai:MODEL`, `google:MODEL`, `anthropic:MODEL`, `SERVER:MODEL` for a server of the file, or
            `openai:MODEL@URL` for any server with OpenAI's wire, which gets no key but SHOAL_LLM_KEY.
        field : str
            How errors call it.

        Raises
        ------
        InvalidField
            If it is not such a URI, or there is no key.
        """
        name, colon, rest = uri.partition(":")
        model, at, url = rest.partition("@")
        if looks_like_key(uri):
            raise InvalidField(field, "seems to hold a key", remedy="Name a model, like openai:gpt-4o-mini.")
        if not colon or not _MODEL.fullmatch(model):
            provider = None if colon else _infer_provider(uri)
            remedy = f"Like {provider}:{uri}." if provider else "Like openai:gpt-4o-mini."
            raise InvalidField(field, "must be PROVIDER:MODEL", value=uri.partition("@")[0], remedy=remedy)
        if at:
            return self._at_url(name, model, url, field)
        return self._connect_to(name, model, field)

    def _suggest(self, name: str, model: str) -> str:
        names = [*_PROVIDERS, *self.servers]
        near = difflib.get_close_matches(name.lower(), names, 1, 0.6)
        if near:
            return f"Did you mean {near[0]}:{model}?"
        return f"Use one of: {', '.join(names)}; or openai:{model}@URL for any server with OpenAI's wire."

    def resolve(self, provider: str | None, model: str | None, field: str = "llm_labeling") -> Connection:
        """Return the connection for what a request names. It may not name an address.

        Without a provider it follows from the name of the model. Raises InvalidField as `connect` does.
        """
        if not model:
            raise InvalidField(f"{field}.model_name", "is missing", remedy="Name the model that writes the labels.")
        if not _MODEL.fullmatch(model):
            raise InvalidField(f"{field}.model_name", "is not the name of a model", value=model)
        provider = provider or _infer_provider(model)
        if provider is None:
            names = ", ".join(self.available()) or "none is connected"
            raise InvalidField(f"{field}.provider", "is missing", remedy=f"Name the provider of {model}: {names}.")
        return self._connect_to(provider, model, f"{field}.provider")  # not as a URI, which may hold an address

    def _connect_to(self, name: str, model: str, field: str) -> Connection:
        """Return the connection to a model of a known provider, or of a server of the file."""
        if name in self.servers:
            return self._of_server(name, model, field)
        if name not in _PROVIDERS:
            raise InvalidField(field, "names an unknown provider", value=name, remedy=self._suggest(name, model))
        return self._of_provider(name, model, field)

    def _of_provider(self, name: str, model: str, field: str) -> Connection:
        if not self.keys[name]:
            variables = f"{_KEYS[name][0]}, or SHOAL_{name.upper()}_KEY_FILE with the path of a file"
            raise InvalidField(field, f"needs a key for {name}", value=f"{name}:{model}", remedy=f"Set {variables}.")
        provider: Any = name
        return self._connection(f"{name}:{model}", provider, model, self.urls[name], self.keys[name], None)

    def _of_server(self, name: str, model: str, field: str) -> Connection:
        server = self.servers[name]
        if server.missing:
            remedy = f"Set {server.missing}, or take key_variable out of the file of {_MODELS}."
            raise InvalidField(field, f"needs a key for {name}", value=f"{name}:{model}", remedy=remedy)
        price = server.prices.get(model)
        connection = self._connection(f"{name}:{model}", "openai", model, server.url, server.key, price)
        return connection if server.output_tokens is None else replace(connection, output_tokens=server.output_tokens)

    def _at_url(self, name: str, model: str, url: str, field: str) -> Connection:
        if name != "openai":
            raise InvalidField(field, "must begin with openai where it names an address", value=f"{name}:{model}@…")
        address = _check_url(field, url)
        return self._connection(
            f"openai:{model}@{urlsplit(address).netloc}", "openai", model, address, self.own_key, None
        )

    def _connection(
        self, name: str, provider: Provider, model: str, url: str, key: Key, price: Price | None
    ) -> Connection:
        by_name = self.prices.get(name) or self.prices.get(name.partition("@")[0])
        return Connection(
            name=name,
            provider=provider,
            model=model,
            url=url,
            key=key,
            price=price or by_name or known_price(name),
            margin=1 if price or by_name else MARGIN,
            limits=self.limits,
            stream=provider == "anthropic",
            output_tokens=self.output_tokens or (_THINKING_TOKENS if _thinks(model) else _OUTPUT_TOKENS),
        )


def _thinks(model: str) -> bool:
    return _THINKING.match(model.lower()) is not None


def _infer_provider(model: str) -> str | None:
    return next((provider for prefix, provider in _PREFIXES if model.startswith(prefix)), None)


def _check_url(field: str, url: str) -> str:
    return check_server_url(url, field, f"Set {_OWN_KEY} to the key of the server.")


def _read_table(path: str | None) -> Mapping[str, Any]:
    if not path:
        return {}
    try:
        with Path(path).expanduser().open("rb") as file:
            return tomllib.loads(file.read(_LARGEST_FILE).decode())
    except OSError:
        raise InvalidField(_MODELS, "cannot be read", value=path) from None
    except ValueError:
        raise InvalidField(_MODELS, "is not a TOML file", value=path) from None


def _table(table: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = table.get(name, {})
    if not isinstance(value, Mapping):
        raise InvalidField(f"{_MODELS}: {name}", "must be a table")
    return value


def _check_names(table: Mapping[str, Any], names: set[str], where: str) -> None:
    unknown = sorted(set(table) - names)
    if unknown:
        raise InvalidField(
            where, "has an unknown entry", value=unknown[0], remedy=f"Known: {', '.join(sorted(names))}."
        )


def _read_server(name: str, table: object, environ: Mapping[str, str]) -> _Server:
    where = f"{_MODELS}: servers.{name}"
    if not isinstance(table, Mapping) or not re.fullmatch(r"[a-z][a-z0-9_-]{0,40}", name) or name in _PROVIDERS:
        raise InvalidField(where, "must be a table under a name of its own in lower case")
    _check_names(table, {"url", "key_file", "key_variable", "prices", "output_tokens"}, where)
    variable = str(table.get("key_variable", ""))
    key = read_server_key(where, table.get("key_file"), variable, environ)
    return _Server(
        _check_url(f"{where}.url", str(table.get("url", ""))),
        key,
        _read_prices(_table(table, "prices"), f"{where}.prices"),
        _read_output_tokens(table, where),
        missing=variable if variable and not key else "",
    )


def _read_output_tokens(table: Mapping[str, Any], where: str) -> int | None:
    most = table.get("output_tokens")
    if most is not None and (isinstance(most, bool) or not isinstance(most, int) or not 64 <= most <= _MOST_TOKENS):
        remedy = f"A whole number from 64 to {_MOST_TOKENS:,}."
        raise InvalidField(f"{where}: output_tokens", "is not a number of tokens", value=most, remedy=remedy)
    return most


def _read_prices(table: Mapping[str, Any], where: str) -> dict[str, Price]:
    prices = dict[str, Price]()
    for name, each in table.items():
        values = [each.get(side) for side in ("input", "output")] if isinstance(each, Mapping) else [None]
        if not all(isinstance(value, (int, float)) and 0 <= value < 10**6 for value in values):
            remedy = "Like { input = 0.15, output = 0.6 }, in US dollars for a million tokens."
            raise InvalidField(f"{where}.{name}", "must be two prices", remedy=remedy)
        prices[name] = Price(*map(float, values))  # type: ignore[arg-type]  # checked above
    return prices


def _read_limits(table: Mapping[str, Any]) -> Limits:
    names = {each.name for each in fields(Limits)}
    _check_names(table, names, f"{_MODELS}: limits")
    for name, value in table.items():
        least = 0 if name == "per_minute" else 1 if name in ("concurrency", "attempts", "failures") else 0.001
        whole = name in ("concurrency", "attempts", "failures")
        if (
            isinstance(value, bool)
            or not isinstance(value, int if whole else (int, float))
            or not least <= value <= 1e6
        ):
            raise InvalidField(f"{_MODELS}: limits.{name}", f"must be a number from {least:g} on", value=value)
    return Limits(**table)
