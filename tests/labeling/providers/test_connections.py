"""Which models there are, with which keys: from the environment, files and URIs."""

import builtins
import os
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from labeling.providers.fake_provider import FakeProvider
from labeling.providers.groups import brief_of
from shoal.errors import InvalidField
from shoal.labeling import Budget
from shoal.labeling.providers import Instructions, ModelNamer, Price, Providers
from shoal.labeling.providers.calls.desk import worst_case
from shoal.labeling.providers.calls.model import Question

SECRET = "sk-CANARY-0123456789abcdef"


def refusal(environ: Mapping[str, str], uri: str = "openai:gpt-4o-mini") -> InvalidField:
    """Return the error of connecting; fails if it repeats the key."""
    with pytest.raises(InvalidField) as caught:
        Providers.read(environ).connect(uri, "--llm")
    assert SECRET not in repr((caught.value, caught.value.message, caught.value.details, caught.value.__cause__))
    return caught.value


def key_of(environ: Mapping[str, str], uri: str = "openai:gpt-4o-mini") -> str:
    return Providers.read(environ).connect(uri).key.reveal()


def write(folder: Path, text: str | bytes, name: str = "key") -> str:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(path)


@pytest.mark.parametrize(
    ("variable", "uri"),
    [
        ("OPENAI_API_KEY", "openai:gpt-4o-mini"),
        ("SHOAL_OPENAI_KEY", "openai:gpt-4o-mini"),
        ("GOOGLE_API_KEY", "google:gemini-2.5-flash"),
        ("GEMINI_API_KEY", "google:gemini-2.5-flash"),
        ("ANTHROPIC_API_KEY", "anthropic:claude-haiku-4-5"),
        ("SHOAL_LLM_KEY", "openai:llama3@http://127.0.0.1:1/v1"),
    ],
)
def test_a_key_is_read_from_its_variable_and_no_text_form_shows_it(variable: str, uri: str) -> None:
    connection = Providers.read({variable: f" {SECRET}\n"}).connect(uri)
    assert connection.key.reveal() == SECRET
    assert SECRET not in repr(connection) and SECRET not in str(connection.key)
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(connection.key)


def test_a_file_goes_before_a_variable_and_its_last_newline_is_no_part_of_the_key(tmp_path: Path) -> None:
    path = write(tmp_path, f"\ufeff{SECRET}\r\n")
    assert key_of({"SHOAL_OPENAI_KEY_FILE": path, "OPENAI_API_KEY": "sk-another"}) == SECRET


@pytest.mark.parametrize("text", ["", " \n\n"])
def test_an_empty_key_file_is_refused_by_its_name(tmp_path: Path, text: str) -> None:
    error = refusal({"SHOAL_OPENAI_KEY_FILE": write(tmp_path, text)})
    assert "SHOAL_OPENAI_KEY_FILE: names an empty file" in error.message and str(tmp_path) in error.message


@pytest.mark.parametrize("text", [f"{SECRET}\nsk-second", f"{SECRET} # mine", f"{SECRET}é", SECRET + "x" * 5000])
def test_what_is_no_key_is_refused_unread_in_files_and_variables(tmp_path: Path, text: str) -> None:
    in_file = refusal({"SHOAL_OPENAI_KEY_FILE": write(tmp_path, text)})
    assert "SHOAL_OPENAI_KEY_FILE: does not hold a key" in in_file.message
    assert "OPENAI_API_KEY: does not hold a key" in refusal({"OPENAI_API_KEY": text}).message


def test_a_key_file_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    for path, reason in (
        (str(tmp_path / "none"), "cannot be read"),
        (str(tmp_path), "cannot be read"),
        (write(tmp_path, b"\xff\xfe\x00", "binary"), "is not a text file"),
    ):
        assert f"SHOAL_OPENAI_KEY_FILE: {reason}" in refusal({"SHOAL_OPENAI_KEY_FILE": path}).message


def test_a_key_file_of_another_account_says_how_to_let_it_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path, SECRET)
    os.chmod(path, 0)  # noqa: PTH101
    if os.geteuid() == 0:  # root reads everything
        opened = Path.open

        def refuse(self: Path, *arguments: Any, **options: Any) -> Any:
            if str(self) == path:
                raise PermissionError(13, "Permission denied")
            return opened(self, *arguments, **options)

        monkeypatch.setattr(Path, "open", refuse)
    error = refusal({"SHOAL_OPENAI_KEY_FILE": path})
    assert "cannot be read" in error.message and "chmod 400" in error.message


@pytest.mark.parametrize(
    ("uri", "guess"),
    [
        ("opnai:gpt-4o-mini", "Did you mean openai:gpt-4o-mini?"),
        ("OpenAI:gpt-4o-mini", "Did you mean openai:gpt-4o-mini?"),
        ("antropic:claude-haiku-4-5", "Did you mean anthropic:claude-haiku-4-5?"),
        ("lokal:llama3", "Did you mean local:llama3?"),
        ("ollama:llama3", "openai:llama3@URL for any server with OpenAI's wire"),
        ("gpt-4o-mini", "Like openai:gpt-4o-mini."),
        ("claude-haiku-4-5", "Like anthropic:claude-haiku-4-5."),
        ("gemini-2.5-flash", "Like google:gemini-2.5-flash."),
        ("openai:", "Like openai:gpt-4o-mini."),
        ("openai:two words", "Like openai:gpt-4o-mini."),
        ("", "Like openai:gpt-4o-mini."),
        ("anthropic:m@http://127.0.0.1:1", "must begin with openai"),
        ("openai:m@127.0.0.1:11434", "must hold an http or https address"),
        ("openai:m@http://[", "must hold an http or https address"),
        (f"openai:m@http://me:{SECRET[3:]}@127.0.0.1/v1", "Set SHOAL_LLM_KEY"),
        (f"openai:m@ftp://me:{SECRET[3:]}@127.0.0.1/v1", "http or https"),
        (SECRET, "seems to hold a key"),
        (f"openai:{SECRET}", "seems to hold a key"),
        (f"openai:m@http://127.0.0.1/v1?key={SECRET}", "seems to hold a key"),
    ],
)
def test_a_mistake_in_a_uri_is_named_with_the_likely_remedy(tmp_path: Path, uri: str, guess: str) -> None:
    models = write(tmp_path, '[servers.local]\nurl = "http://127.0.0.1:1/v1"\n', "models.toml")
    error = refusal({"SHOAL_MODELS": models, "OPENAI_API_KEY": "sk-x"}, uri)
    assert guess in error.message and SECRET[3:] not in error.message


@pytest.mark.parametrize(
    ("uri", "variable"),
    [
        ("openai:m", "OPENAI_API_KEY"),
        ("google:m", "GOOGLE_API_KEY"),
        ("anthropic:m", "ANTHROPIC_API_KEY"),
    ],
)
def test_without_a_key_the_variables_are_named(uri: str, variable: str) -> None:
    message = refusal({variable: " \n"}, uri).message
    assert f"needs a key for {uri.partition(':')[0]}" in message and f"Set {variable}, or SHOAL_" in message


def test_a_server_at_an_address_never_gets_the_key_of_a_provider() -> None:
    environ = {"OPENAI_API_KEY": SECRET}
    assert not key_of(environ, "openai:m@https://example.com/v1")


def test_servers_of_the_file_have_keys_prices_and_answers_of_their_own(tmp_path: Path) -> None:
    models = f"""
output_tokens = 900
[servers.local]
url = "http://127.0.0.1:1/v1/"
key_file = "{write(tmp_path, SECRET)}"
output_tokens = 5000
prices.llama3 = {{ input = 0, output = 0.5 }}
[servers.other]
url = "http://127.0.0.1:2/v1"
key_variable = "OTHER_KEY"
[prices]
"openai:gpt-4o-mini" = {{ input = 9, output = 10 }}
[limits]
concurrency = 2
"""
    environ = {"SHOAL_MODELS": write(tmp_path, models, "models.toml"), "OTHER_KEY": "abc", "OPENAI_API_KEY": "x"}
    providers = Providers.read(environ)
    local, other, own = map(providers.connect, ("local:llama3", "other:m", "openai:gpt-4o-mini"))
    assert (local.key.reveal(), local.price, local.output_tokens) == (SECRET, Price(0, 0.5), 5000)
    assert (other.key.reveal(), other.price, other.output_tokens) == ("abc", None, 900)
    assert (own.price, own.margin, own.limits.concurrency) == (Price(9, 10), 1, 2)
    assert "needs a key for other" in refusal({**environ, "OTHER_KEY": ""}, "other:m").message


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("servers = 3", "must be a table"),
        ("[servers.Local]\nurl = 'http://a'", "in lower case"),
        ("[servers.local]\nurl = 'file:///etc'", "http or https"),
        ("[servers.local]\nurl = 'http://a'\nkey = 'x'", "unknown entry"),
        ("[prices]\n'openai:m' = 3", "must be two prices"),
        ("[limits]\nconcurrency = 0", "must be a number"),
        ("output_tokens = 10", "64 to 32,768"),
        ("not toml", "is not a TOML file"),
    ],
)
def test_a_mistake_in_the_file_of_models_is_named(tmp_path: Path, text: str, problem: str) -> None:
    assert problem in refusal({"SHOAL_MODELS": write(tmp_path, text, "models.toml")}).message


def test_a_request_names_provider_and_model_but_never_an_address() -> None:
    providers = Providers.read({"OPENAI_API_KEY": "x"})
    assert providers.resolve(None, "gpt-4o-mini").name == "openai:gpt-4o-mini"
    for provider, model, field in (
        ("openai", "m@http://127.0.0.1", "llm_labeling.model_name"),
        (None, "unheard-of", "llm_labeling.provider"),
        ("openai", None, "llm_labeling.model_name"),
        ("nobody", "m", "llm_labeling.provider"),
    ):
        with pytest.raises(InvalidField) as caught:
            providers.resolve(provider, model)
        assert field in caught.value.message


def test_a_missing_extra_is_one_line_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *arguments: Any, **options: Any) -> Any:
        if name.partition(".")[0] in ("pydantic_ai", "anthropic"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    connection = Providers.read({"OPENAI_API_KEY": SECRET}).connect("openai:gpt-4o-mini")
    (names,) = ModelNamer(connection).name(brief_of(), Budget(cost=1.0))
    assert {name.source for name in names} == {"words"}
    assert all('pip install "shoal[llm]"' in str(name.error) for name in names)


@pytest.mark.parametrize(
    ("model", "most"), [("gpt-4o-mini", 600), ("o3-mini", 4000), ("gpt-5-nano", 4000), ("gpt-4.1", 600)]
)
def test_models_that_think_have_room_for_it_which_the_budget_reserves(model: str, most: int) -> None:
    pytest.importorskip("pydantic_ai")
    with FakeProvider() as fake:
        environ = {"OPENAI_API_KEY": "x", "SHOAL_OPENAI_URL": f"{fake.url}/v1"}
        connection = Providers.read(environ).connect(f"openai:{model}")
        ModelNamer(connection).name(brief_of(), Budget(cost=None, calls=1))
        ModelNamer(connection, Instructions(parameters={"max_tokens": 100})).name(brief_of(), Budget(None, calls=1))
        limits = [each.body.get("max_completion_tokens", each.body.get("max_tokens")) for each in fake.asked]
        assert limits == [most, 100]
        none = ModelNamer(connection)
        none.name(brief_of(), Budget(cost=None, tokens=most + 500))
        assert none.usage.calls == 0
    assert worst_case(Question("", [], {}, most)).output == most
