"""Where a run begins."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args

from msgspec import Meta

from service.engine.cron import check_cron
from service.engine.nodes.base import Call, Config, Emit, NodeType

Kind = Literal["manual", "webhook", "schedule", "api", "event"]
_KINDS: tuple[Kind, ...] = get_args(Kind)
Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE", "ANY"]
EventName = Literal["document.ready", "document.failed", "document.deleted"]
ResponseMode = Literal["immediately", "lastNode", "respondNode"]


class Hmac(Config, frozen=True, kw_only=True):
    """How the sender of a webhook signs the body of its request."""

    credential: Annotated[str, Meta(description="Name of the credential of kind hmac.")]
    header: Annotated[str, Meta(description="The header that has the signature.")] = "X-Hub-Signature-256"
    prefix: Annotated[str, Meta(description="What stands before the signature in it.")] = "sha256="
    encoding: Annotated[Literal["hex", "base64"], Meta(description="How it is written.")] = "hex"


class TriggerConfig(Config, frozen=True, kw_only=True):
    kind: Annotated[Kind | None, Meta(description="What starts the run. Unset: told by the other keys.")] = (
        None
    )
    method: Annotated[Method, Meta(description="Method that the webhook answers to.")] = "POST"
    response_mode: Annotated[
        ResponseMode,
        Meta(description="When the webhook is answered: at once, by the run's output, or by a respond node."),
    ] = "immediately"
    hmac: Annotated[Hmac | None, Meta(description="Signature that the webhook asks for.")] = None
    cron: Annotated[str | None, Meta(description="When a schedule fires: minute hour day month weekday.")] = (
        None
    )
    timezone: Annotated[
        str | None, Meta(description="Time zone of the schedule; unset: the workflow's, else UTC.")
    ] = None
    missed: Annotated[
        Literal["skip", "once", "all"],
        Meta(description="What becomes of ticks that nobody was there for."),
    ] = "once"
    overlap: Annotated[
        Literal["skip", "allow"], Meta(description="What becomes of a tick while the last run goes on.")
    ] = "skip"
    event: Annotated[EventName | None, Meta(description="What has to happen to a document.")] = None
    sample: Annotated[Any, Meta(description="Data to try the workflow with, in the builder.")] = None


def trigger_kind(data: Mapping[str, Any]) -> Kind:
    """Return what starts a run, also where only the builder's keys say so."""
    for kind in _KINDS:
        if data.get("kind") == kind:
            return kind
    if data.keys() & {"webhookUrl", "method", "path", "responseMode", "hmac"}:
        return "webhook"
    if data.get("cron"):
        return "schedule"
    return "event" if data.get("event") else "manual"


class Trigger(NodeType[TriggerConfig]):
    name = "trigger"
    label = "Trigger"
    description = (
        "Starts the workflow: by hand, by a webhook, on a schedule, over the API, or when something happens."
    )
    config = TriggerConfig
    whole = True
    input_handles = ()
    deprecated_keys = frozenset({"webhookUrl", "path"})

    def problems(self, data: Mapping[str, Any]) -> list[tuple[str, str]]:
        match trigger_kind(data):
            case "schedule":
                cron = data.get("cron")
                if not isinstance(cron, str) or not cron.strip():
                    return [("cron", "is missing: a schedule has a cron expression, as 0 8 * * 1-5")]
                zone = data.get("timezone")
                found = check_cron(cron, zone if isinstance(zone, str) else "UTC")
                return [] if found is None else [found]
            case "event" if not data.get("event"):
                return [("event", f"is missing: one of {', '.join(get_args(EventName))}")]
            case _:
                return []

    async def run(self, call: Call[TriggerConfig]) -> Emit:
        return Emit([("output", item) for item in call.items])
