"""trigger: where a run begins, and how it may be started."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args

import msgspec

from service.engine.cron import check_cron
from service.engine.definition import OUTPUT
from service.engine.graph import TRIGGER
from service.engine.nodes.base import Call, Config, Emit, NodeType

Kind = Literal["manual", "webhook", "schedule", "api", "event"]
Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE", "ANY"]
Event = Literal["document.ready", "document.failed", "document.deleted"]


class HmacCheck(Config, frozen=True, kw_only=True):
    """How callers sign what they send: HMAC-SHA256 of the body."""

    credential: Annotated[str, msgspec.Meta(min_length=1, description="The credential, of kind hmac.")]
    header: Annotated[str, msgspec.Meta(min_length=1, description="The header that the signature is in.")]
    encoding: Literal["hex", "base64"] = "hex"
    prefix: Annotated[str, msgspec.Meta(description="What stands before it, as sha256=.")] = ""
    idempotency_field: Annotated[
        Annotated[str, msgspec.Meta(min_length=1)] | None,
        msgspec.Meta(description="The field of the body that is the same in a repeat, and signed with it."),
    ] = None


class TriggerConfig(Config, frozen=True, kw_only=True):
    kind: Annotated[
        Kind | None,
        msgspec.Meta(
            description="manual, webhook, schedule, api or event. Unset: webhook with a method, schedule with cron, "
            "event with event, else manual."
        ),
    ] = None
    method: Annotated[
        Method | None, msgspec.Meta(description="webhook: GET, POST, PUT, PATCH, DELETE or ANY. Unset: POST.")
    ] = None
    response_mode: Annotated[
        Literal["immediately", "lastNode", "respondNode"],
        msgspec.Meta(
            description="webhook: answer immediately, with what the last node gives (lastNode), or as a respond node"
            " says (respondNode)."
        ),
    ] = "immediately"
    hmac: Annotated[
        HmacCheck | None,
        msgspec.Meta(
            description="webhook: how callers sign: credential, header, encoding (hex or base64), prefix, "
            "idempotencyField (the field of the body that tells repeats)."
        ),
    ] = None
    cron: Annotated[str | None, msgspec.Meta(description="schedule: minute, hour, day, month, weekday.")] = (
        None
    )
    timezone: Annotated[
        str | None,
        msgspec.Meta(description="schedule: as Europe/Berlin. Unset: the workflow's, else UTC."),
    ] = None
    missed: Annotated[
        Literal["skip", "once", "all"],
        msgspec.Meta(
            description="schedule: whether times that passed while nothing was running are made up for: skip, once "
            "or all."
        ),
    ] = "once"
    overlap: Annotated[
        Literal["skip", "allow"],
        msgspec.Meta(description="schedule: skip or allow a start while the run before is still going on."),
    ] = "skip"
    event: Annotated[
        Event | None,
        msgspec.Meta(
            description="event: document.ready, document.failed or document.deleted, of the same owner or team."
        ),
    ] = None
    sample: Annotated[Any, msgspec.Meta(description="Data to try the workflow with.")] = None


class Trigger(NodeType[TriggerConfig]):
    name = TRIGGER
    label = "Trigger"
    description = (
        "Where a run begins: by hand, over the API, by a webhook, on a schedule, or when something happens."
    )
    config = TriggerConfig
    whole = True
    input_handles = ()
    builder_keys = frozenset({"webhookUrl", "path"})

    def problems(self, data: Mapping[str, Any]) -> list[tuple[str, str]]:
        match trigger_kind(data):
            case "schedule":
                return _schedule_problems(data)
            case "event":
                return _one_of(data, "event", get_args(Event))
            case "webhook" if "method" in data:
                return _one_of(data, "method", get_args(Method))
            case "manual" | "api" | "webhook":
                return []
            case unknown:
                return [("kind", f"{unknown!r} is none of {', '.join(get_args(Kind))}")]

    async def run(self, call: Call[TriggerConfig]) -> Emit:
        return Emit([(OUTPUT, item) for item in call.items], origins=range(len(call.items)))


def trigger_kind(data: Mapping[str, Any]) -> str:
    """Return how a trigger is started, from its node's data; an unknown kind as it stands there."""
    if data.get("kind"):
        return str(data["kind"])
    if any(data.get(key) for key in ("webhookUrl", "method", "path")):
        return "webhook"
    if data.get("cron"):
        return "schedule"
    return "event" if data.get("event") else "manual"


def _one_of(data: Mapping[str, Any], key: str, known: tuple[str, ...]) -> list[tuple[str, str]]:
    if not data.get(key):
        return [(key, f"is missing: one of {', '.join(known)}")]
    return [] if data[key] in known else [(key, f"{data[key]!r} is none of {', '.join(known)}")]


def _schedule_problems(data: Mapping[str, Any]) -> list[tuple[str, str]]:
    cron, timezone = data.get("cron"), data.get("timezone") or "UTC"
    if not isinstance(cron, str) or not cron.strip():
        return [("cron", "is missing: when it starts, as 0 9 * * 1")]
    found = check_cron(cron, timezone) if isinstance(timezone, str) else ("timezone", "is no text")
    return [] if found is None else [found]
