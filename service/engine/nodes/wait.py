"""The run laid aside: for a time, until a moment, or until somebody answers."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

from msgspec import Meta

from service.engine.errors import NodeError
from service.engine.nodes.base import Call, Config, NodeType, Outcome, Wait, emit

Unit = Literal["seconds", "minutes", "hours", "days"]
MAX_WAIT = timedelta(days=365)
TIMEOUT = "timeout"


class WaitConfig(Config, frozen=True, kw_only=True):
    mode: Annotated[
        Literal["duration", "until", "reply"],
        Meta(description="So long; until a moment; or until {{ execution.resume_url }} is posted to."),
    ] = "duration"
    amount: Annotated[
        Annotated[float, Meta(ge=0)] | None,
        Meta(description="How long; of a reply: how long it is waited for, unset: a year."),
    ] = None
    unit: Annotated[Unit, Meta(description="What amount counts.")] = "seconds"
    until: Annotated[str | None, Meta(description="The moment, as 2026-03-01T09:30:00Z.")] = None


class WaitNode(NodeType[WaitConfig]):
    name = "wait"
    label = "Wait"
    description = "Waits for a time, until a moment, or for somebody's reply; no worker is held meanwhile."
    config = WaitConfig
    has_effects = True

    def outputs(self, data: Mapping[str, Any]) -> tuple[str, ...]:
        return ("output", TIMEOUT) if data.get("mode") == "reply" else ("output",)

    def problems(self, data: Mapping[str, Any]) -> list[tuple[str, str]]:
        match data.get("mode", "duration"):
            case "duration" if data.get("amount") is None:
                return [("amount", "is missing: how long to wait")]
            case "until" if not data.get("until"):
                return [("until", "is missing: the moment to wait for")]
            case _:
                return []

    async def run(self, call: Call[WaitConfig]) -> Outcome:
        config = call.config
        if call.resumed is not None:
            if config.mode != "reply":
                return emit(call.item)
            if "reply" not in call.resumed:
                return emit(call.item, TIMEOUT)
            item = call.item if isinstance(call.item, dict) else {"input": call.item}
            return emit({**item, "reply": call.resumed["reply"]})
        return Wait(_until(call), for_reply=config.mode == "reply")


def _until(call: Call[WaitConfig]) -> datetime:
    config = call.config
    if config.mode == "until":
        try:
            moment = datetime.fromisoformat(config.until or "")
        except ValueError as exc:
            raise NodeError(
                f"{config.until!r} is no moment; write it as 2026-03-01T09:30:00Z.",
                code="bad_config",
                field="data.until",
            ) from exc
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    elif config.amount is None:
        moment = call.now + MAX_WAIT
    else:
        amount = min(config.amount, MAX_WAIT.total_seconds())
        moment = call.now + timedelta(**{config.unit: amount})
    if moment - call.now > MAX_WAIT:
        raise NodeError("Nothing is waited for longer than a year.", code="bad_config")
    return moment
