"""The answer to the webhook that started the run."""

from typing import Annotated, Any

from msgspec import Meta

from service.engine.errors import NodeError
from service.engine.nodes.base import Call, Config, NodeType, Respond

_SAFE = frozenset(
    {"content-type", "content-language", "content-disposition", "cache-control", "location", "retry-after"}
)


class RespondConfig(Config, frozen=True, kw_only=True):
    status: Annotated[int, Meta(ge=200, le=599, description="Status of the reply.")] = 200
    headers: Annotated[
        dict[str, str], Meta(description="Headers: Content-Type, Cache-Control, Location, and X- ones.")
    ] = {}
    body: Annotated[Any, Meta(description="A text, or anything, as JSON; unset: the item.")] = None


class RespondNode(NodeType[RespondConfig]):
    name = "respond"
    label = "Respond to the webhook"
    description = "Answers the webhook that started the run, once; its trigger has responseMode respondNode."
    config = RespondConfig
    has_effects = True

    async def run(self, call: Call[RespondConfig]) -> Respond:
        config = call.config
        for name, value in config.headers.items():
            if name.lower() not in _SAFE and not name.lower().startswith("x-"):
                raise NodeError(
                    f"The header {name[:60]!r} cannot be set.", code="bad_config", field="data.headers"
                )
            if not (name + value).isprintable() or not (name + value).isascii():
                raise NodeError(
                    f"The header {name[:60]!r} holds a character that none may.", code="bad_config"
                )
        body = call.item if config.body is None else config.body
        return Respond(config.status, config.headers, body, [("output", call.item)])
