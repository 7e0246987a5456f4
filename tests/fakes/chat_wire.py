"""The wire formats of the fake chat providers: server-sent events as the real ones send them."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Protocol


class Said(Protocol):
    """What is to be said; Say of chat_servers.py."""

    @property
    def parts(self) -> tuple[str, ...]: ...
    @property
    def reason(self) -> str: ...
    @property
    def prompt_tokens(self) -> int | None: ...
    @property
    def completion_tokens(self) -> int | None: ...


class Wire:
    """One provider's format; an event is a string with its blank line."""

    prefix = ""
    mark = ""
    """Stands in events that hold text, and in no others."""

    def is_path(self, path: str) -> bool:
        raise NotImplementedError

    def key(self, headers: Mapping[str, str]) -> str | None:
        raise NotImplementedError

    def messages(self, body: dict[str, Any]) -> list[tuple[str, str]]:
        raise NotImplementedError

    def answer(self, body: dict[str, Any], said: Said) -> Iterator[str]:
        raise NotImplementedError

    def error(self, status: int, message: str, code: str | None) -> dict[str, Any]:
        raise NotImplementedError

    def overloaded(self) -> str:
        raise NotImplementedError

    def garbage(self) -> str:
        return "data: {not json\n\n"

    def is_text(self, event: str) -> bool:
        return self.mark in event

    def beginning(self, body: dict[str, Any], said: Said, parts: int) -> Iterator[str]:
        """Yield the events up to and with so many parts, and no finish marker."""
        sent = 0
        for event in self.answer(body, said):
            if self.is_text(event):
                if sent == parts:
                    return
                sent += 1
            yield event


class OpenAIWire(Wire):
    """platform.openai.com/docs/api-reference/chat-streaming"""

    prefix = "/v1"
    mark = '"delta": {"content"'

    def is_path(self, path: str) -> bool:
        return path == "/v1/chat/completions"

    def key(self, headers: Mapping[str, str]) -> str | None:
        return headers.get("authorization", "").removeprefix("Bearer ") or None

    def messages(self, body: dict[str, Any]) -> list[tuple[str, str]]:
        return [(message["role"], message["content"]) for message in body["messages"]]

    def answer(self, body: dict[str, Any], said: Said) -> Iterator[str]:
        asked = bool((body.get("stream_options") or {}).get("include_usage"))

        def chunk(choices: list[dict[str, Any]], usage: dict[str, int] | None = None) -> str:
            data = {
                "id": "chatcmpl-1",
                "object": "chat.completion.chunk",
                "created": 1_700_000_000,
                "model": body["model"],
                "choices": choices,
            } | ({"usage": usage} if asked else {})
            return f"data: {json.dumps(data)}\n\n"

        def choice(delta: dict[str, Any], reason: str | None = None) -> list[dict[str, Any]]:
            return [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}]

        yield chunk(choice({"role": "assistant"}))
        for part in said.parts:
            yield chunk(choice({"content": part}))
        yield chunk(choice({}, {"refused": "content_filter"}.get(said.reason, said.reason)))
        if asked and said.prompt_tokens is not None and said.completion_tokens is not None:
            total = said.prompt_tokens + said.completion_tokens
            yield chunk(
                [],
                {
                    "prompt_tokens": said.prompt_tokens,
                    "completion_tokens": said.completion_tokens,
                    "total_tokens": total,
                },
            )
        yield "data: [DONE]\n\n"

    def error(self, status: int, message: str, code: str | None) -> dict[str, Any]:
        return {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": code}}

    def overloaded(self) -> str:
        error = {"message": "The server is overloaded.", "type": "server_error", "param": None, "code": None}
        return f"data: {json.dumps({'error': error})}\n\n"


class GeminiWire(Wire):
    """ai.google.dev/api/generate-content, with alt=sse"""

    mark = '"parts"'

    def is_path(self, path: str) -> bool:
        return path.startswith(("/v1/models/", "/v1beta/models/")) and path.endswith(
            ":streamGenerateContent?alt=sse"
        )

    def key(self, headers: Mapping[str, str]) -> str | None:
        return headers.get("x-goog-api-key")

    def messages(self, body: dict[str, Any]) -> list[tuple[str, str]]:
        system = body.get("systemInstruction")
        turns = [("system", system)] if system else []
        turns += [(content["role"], content) for content in body["contents"]]
        return [(role, "".join(part["text"] for part in content["parts"])) for role, content in turns]

    def answer(self, body: dict[str, Any], said: Said) -> Iterator[str]:
        def chunk(candidate: dict[str, Any], completion: int | None) -> str:
            data: dict[str, Any] = {"candidates": [candidate | {"index": 0}], "modelVersion": "fake"}
            if said.prompt_tokens is not None:
                data["usageMetadata"] = {"promptTokenCount": said.prompt_tokens} | (
                    {} if completion is None else {"candidatesTokenCount": completion}
                )
            return f"data: {json.dumps(data)}\r\n\r\n"

        for part in said.parts:
            yield chunk({"content": {"parts": [{"text": part}], "role": "model"}}, None)
        reason = {"stop": "STOP", "length": "MAX_TOKENS", "refused": "SAFETY"}[said.reason]
        yield chunk({"content": {"role": "model"}, "finishReason": reason}, said.completion_tokens)

    def error(self, status: int, message: str, code: str | None) -> dict[str, Any]:
        details = [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": code}] if code else []
        return {"error": {"code": status, "message": message, "status": "REFUSED", "details": details}}

    def overloaded(self) -> str:
        return f"data: {json.dumps(self.error(503, 'The model is overloaded.', None))}\r\n\r\n"


class AnthropicWire(Wire):
    """docs.anthropic.com/en/docs/build-with-claude/streaming"""

    mark = '"text_delta"'

    def is_path(self, path: str) -> bool:
        return path == "/v1/messages"

    def key(self, headers: Mapping[str, str]) -> str | None:
        # The client has changed from one to the other, and the API takes both.
        return headers.get("x-api-key") or headers.get("authorization", "").removeprefix("Bearer ") or None

    def messages(self, body: dict[str, Any]) -> list[tuple[str, str]]:
        system = [("system", body["system"])] if "system" in body else []
        return system + [(message["role"], message["content"]) for message in body["messages"]]

    def answer(self, body: dict[str, Any], said: Said) -> Iterator[str]:
        def usage(**counts: int | None) -> dict[str, Any]:
            known = {name: count for name, count in counts.items() if count is not None}
            return {"usage": known} if known else {}

        message = {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": body["model"],
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            **usage(input_tokens=said.prompt_tokens, output_tokens=said.completion_tokens and 1),
        }
        yield _event("message_start", message=message)
        yield _event("content_block_start", index=0, content_block={"type": "text", "text": ""})
        yield _event("ping")
        for part in said.parts:
            yield _event("content_block_delta", index=0, delta={"type": "text_delta", "text": part})
        yield _event("content_block_stop", index=0)
        reason = {"stop": "end_turn", "length": "max_tokens", "refused": "refusal"}[said.reason]
        yield _event(
            "message_delta",
            delta={"stop_reason": reason, "stop_sequence": None},
            **usage(output_tokens=said.completion_tokens),
        )
        yield _event("message_stop")

    def error(self, status: int, message: str, code: str | None) -> dict[str, Any]:
        return {"type": "error", "error": {"type": code or "invalid_request_error", "message": message}}

    def overloaded(self) -> str:
        return _event("error", error={"type": "overloaded_error", "message": "Overloaded"})

    def garbage(self) -> str:
        return "event: content_block_delta\ndata: {not json\n\n"


def _event(kind: str, **fields: Any) -> str:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n"


WIRES: Mapping[str, Wire] = {"openai": OpenAIWire(), "gemini": GeminiWire(), "anthropic": AnthropicWire()}
