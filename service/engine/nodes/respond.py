"""respond: what the webhook that started the run is answered with, where its trigger says respondNode.

The Content-Type says how the body goes over the wire: of JSON it is a value to be encoded, else it is a text.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec

from service.engine.definition import OUTPUT
from service.engine.errors import NodeError
from service.engine.nodes.base import Call, Config, NodeType, Respond
from service.engine.nodes.text import as_text

JSON = "application/json"
TEXT = "text/plain; charset=utf-8"

_ALLOWED = frozenset(
    {"cache-control", "content-disposition", "content-language", "content-type", "etag", "last-modified", "link",
     "location", "retry-after"}
)  # fmt: skip
# Of what begins with X-, these say something to the proxy in front, such as which of its files to send, or are ours.
_REFUSED = (
    "x-accel-",
    "x-sendfile",
    "x-lighttpd-",
    "x-litespeed-",
    "x-reproxy-",
    "x-forwarded",
    "x-execution-id",
)
_GUARDED = {
    # A page that a workflow writes must never run as one of ours.
    "content-security-policy": "default-src 'none'; sandbox",
    "x-content-type-options": "nosniff",
}


class RespondConfig(Config, frozen=True, kw_only=True):
    status: Annotated[int, msgspec.Meta(ge=200, le=599, description="Of the answer.")] = 200
    headers: Annotated[
        dict[str, Any],
        msgspec.Meta(
            description="Content-Type (with bodyType text), Content-Language, Content-Disposition, Cache-Control, "
            "ETag, Last-Modified, Link, Location, Retry-After, X-…; no others, and none that proxies take orders from."
        ),
    ] = msgspec.field(default_factory=dict)
    body: Annotated[Any, msgspec.Meta(description="What is answered. Unset: the item.")] = None
    body_type: Annotated[
        Literal["json", "text"], msgspec.Meta(description="How it is written: json or text.")
    ] = "json"


class RespondToWebhook(NodeType[RespondConfig]):
    name = "respond"
    label = "Respond"
    description = "Answers the webhook that started the run, and goes on."
    config = RespondConfig

    def problems(self, data: Mapping[str, Any]) -> list[tuple[str, str]]:
        headers = data.get("headers")
        return [
            ("headers", f"{name} cannot be set")
            for name in (headers if isinstance(headers, Mapping) else ())
            if not _is_allowed(name)
        ]

    async def run(self, call: Call[RespondConfig]) -> Respond:
        config = call.config
        headers = {"content-type": JSON if config.body_type == "json" else TEXT} | _headers(config)
        body = call.item if config.body is None else config.body
        return Respond(
            status=config.status,
            headers=headers | _GUARDED,
            body=body if config.body_type == "json" else as_text(body),
            outputs=[(OUTPUT, call.item)],
        )


def _is_allowed(name: str) -> bool:
    wanted = name.lower()
    is_own = wanted.startswith("x-") and wanted not in _GUARDED and not wanted.startswith(_REFUSED)
    return wanted in _ALLOWED or (is_own and wanted.isascii() and wanted.replace("-", "").isalnum())


def _headers(config: RespondConfig) -> dict[str, str]:
    headers = {name.lower(): as_text(value) for name, value in config.headers.items() if value is not None}
    for name, value in headers.items():
        if not _is_allowed(name):
            raise _wrong(f"{name} cannot be set.")
        if not (value.isascii() and value.isprintable()):
            raise _wrong(
                f"{name} has a value with a line break, or another character that no header may hold."
            )
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind and (config.body_type == "json" or kind == JSON):
        raise _wrong("Content-Type goes with bodyType text, and JSON is written with bodyType json.")
    return headers


def _wrong(what: str) -> NodeError:
    return NodeError(f"headers: {what}", code="bad_config", field="data.headers")
