"""The wire formats of OpenAI, Anthropic and Google, as a server writes them, plain and as server-sent events."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Asked", "Wire", "read_request", "wire_of", "write_reply"]

Wire = str


@dataclass(frozen=True)
class Asked:
    """A request, whatever its wire."""

    wire: Wire
    rules: str
    text: str
    schema: Mapping[str, Any]
    stream: bool
    tool: bool
    body: Mapping[str, Any]
    number: int = 0

    @property
    def documents(self) -> dict[str, str]:
        """The documents inside the group by their ids."""
        lines = self.text.partition("DOCUMENTS INSIDE\n")[2].partition("\nEND ")[0].splitlines()
        pairs = (line.partition(": ") for line in lines)
        return {id: json.JSONDecoder().raw_decode(quoted)[0] for id, _, quoted in pairs}


def wire_of(path: str) -> Wire | None:
    if path.endswith("/chat/completions"):
        return "openai"
    if path.endswith("/messages"):
        return "anthropic"
    return "google" if "enerateContent" in path else None


def read_request(wire: Wire, path: str, body: Mapping[str, Any]) -> Asked:
    """Read the prompt and the schema of a request."""
    if wire == "openai":
        messages = body["messages"]
        rules = " ".join(_text(each["content"]) for each in messages if each["role"] in ("system", "developer"))
        text = " ".join(_text(each["content"]) for each in messages if each["role"] == "user")
        native = body.get("response_format", {}).get("json_schema", {}).get("schema")
        tools = [each["function"]["parameters"] for each in body.get("tools", [])]
        stream = bool(body.get("stream"))
    elif wire == "anthropic":
        rules, text = _text(body.get("system", "")), " ".join(_text(each["content"]) for each in body["messages"])
        native = body.get("output_config", {}).get("format", {}).get("schema")
        tools = [each["input_schema"] for each in body.get("tools", [])]
        stream = bool(body.get("stream"))
    else:
        rules = _text(body.get("systemInstruction", {}).get("parts", []))
        text = " ".join(_text(each["parts"]) for each in body["contents"])
        config = body.get("generationConfig", {})
        native = config.get("responseJsonSchema") or config.get("responseSchema")
        functions = [each for tool in body.get("tools", []) for each in tool["functionDeclarations"]]
        tools = [each.get("parametersJsonSchema", {}) for each in functions]
        stream = "stream" in path
    return Asked(wire, rules, text, native or (tools[0] if tools else {}), stream, bool(tools), body)


def _text(content: object) -> str:
    if isinstance(content, str):
        return content
    assert isinstance(content, list)
    return " ".join(each.get("text", "") if isinstance(each, dict) else str(each) for each in content)


def write_reply(
    asked: Asked, text: str, tokens: tuple[int, int], finish: str = "stop", refusal: str | None = None
) -> tuple[str, list[bytes]]:
    """Return the content type and the body of a reply, in pieces."""
    writers = {"openai": _openai, "anthropic": _anthropic, "google": _google}
    pieces = list(writers[asked.wire](asked, text, tokens, finish, refusal))
    return ("text/event-stream" if asked.stream else "application/json"), pieces


def _event(data: object, name: str = "") -> bytes:
    line = f"event: {name}\n" if name else ""
    return f"{line}data: {data if isinstance(data, str) else json.dumps(data)}\n\n".encode()


def _openai(asked: Asked, text: str, tokens: tuple[int, int], finish: str, refusal: str | None) -> Iterator[bytes]:
    base = {"id": "c1", "created": 1, "model": asked.body["model"]}
    usage = {"prompt_tokens": tokens[0], "completion_tokens": tokens[1], "total_tokens": sum(tokens)}
    if not asked.stream:
        message: dict[str, Any] = {"role": "assistant", "content": text or None, "refusal": refusal}
        if asked.tool:
            call = {"id": "t1", "type": "function", "function": {"name": "answer", "arguments": text}}
            message |= {"content": None, "tool_calls": [call]}
        choice = {"index": 0, "message": message, "finish_reason": finish}
        yield json.dumps({**base, "object": "chat.completion", "choices": [choice], "usage": usage}).encode()
        return
    chunk = {**base, "object": "chat.completion.chunk"}
    for piece in _halves(text):
        yield _event({**chunk, "choices": [{"index": 0, "delta": {"content": piece}, "finish_reason": None}]})
    yield _event({**chunk, "choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
    yield _event({**chunk, "choices": [], "usage": usage})
    yield _event("[DONE]")


def _anthropic(asked: Asked, text: str, tokens: tuple[int, int], finish: str, refusal: str | None) -> Iterator[bytes]:
    reason = {"stop": "end_turn", "length": "max_tokens", "content_filter": "refusal"}[finish]
    reason = "refusal" if refusal else reason
    block: dict[str, Any] = {"type": "text", "text": text}
    if asked.tool:
        block = {"type": "tool_use", "id": "t1", "name": "answer", "input": _object(text)}
    message = {"id": "m1", "type": "message", "role": "assistant", "model": asked.body["model"], "stop_sequence": None}
    usage = {"input_tokens": tokens[0], "output_tokens": tokens[1]}
    if not asked.stream:
        yield json.dumps({**message, "content": [block], "stop_reason": reason, "usage": usage}).encode()
        return
    begun = {**message, "content": [], "stop_reason": None, "usage": {"input_tokens": tokens[0], "output_tokens": 1}}
    yield _event({"type": "message_start", "message": begun}, "message_start")
    empty = {**block, "input": {}} if asked.tool else {**block, "text": ""}
    yield _event({"type": "content_block_start", "index": 0, "content_block": empty}, "content_block_start")
    for piece in _halves(text):
        kind = {"type": "text_delta", "text": piece}
        if asked.tool:
            kind = {"type": "input_json_delta", "partial_json": piece}
        yield _event({"type": "content_block_delta", "index": 0, "delta": kind}, "content_block_delta")
    yield _event({"type": "content_block_stop", "index": 0}, "content_block_stop")
    end = {"type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": None}, "usage": usage}
    yield _event(end, "message_delta")
    yield _event({"type": "message_stop"}, "message_stop")


def _google(asked: Asked, text: str, tokens: tuple[int, int], finish: str, refusal: str | None) -> Iterator[bytes]:
    reason = {"stop": "STOP", "length": "MAX_TOKENS", "content_filter": "SAFETY"}[finish]
    reason = "SAFETY" if refusal else reason
    usage = {"promptTokenCount": tokens[0], "candidatesTokenCount": tokens[1], "totalTokenCount": sum(tokens)}

    def body(piece: str, last: bool) -> dict[str, Any]:
        part: dict[str, Any] = {"text": piece}
        if asked.tool:
            part = {"functionCall": {"name": "answer", "args": _object(piece)}}
        candidate: dict[str, Any] = {"content": {"parts": [part], "role": "model"}, "index": 0}
        if last:
            candidate["finishReason"] = reason
        return {"candidates": [candidate], "usageMetadata": usage, "modelVersion": "fake", "responseId": "r1"}

    if not asked.stream:
        yield json.dumps(body(text, True)).encode()
        return
    halves = _halves(text)
    for number, piece in enumerate(halves, 1):
        yield _event(body(piece, number == len(halves)))


def _halves(text: str) -> list[str]:
    middle = len(text) // 2
    return [text[:middle], text[middle:]]


def _object(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return {}
