"""wait: for a while, until a moment, or until somebody answers at the run's own address (execution.resume_url)."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

import msgspec

from service.engine.definition import OUTPUT
from service.engine.errors import NodeError
from service.engine.nodes.base import Call, Config, Emit, NodeType, Wait, emit
from service.engine.nodes.text import with_fields

TIMEOUT = "timeout"
MAX_WAIT = timedelta(days=366)
_UNITS = {"seconds": 1, "minutes": 60, "hours": 3_600, "days": 86_400}


class WaitConfig(Config, frozen=True, kw_only=True):
    for_: Annotated[
        Literal["duration", "until", "reply"],
        msgspec.Meta(
            description="What is waited for: a while (duration), a moment (until), or somebody's answer (reply)."
        ),
    ] = msgspec.field(default="duration", name="for")
    amount: Annotated[
        Annotated[float, msgspec.Meta(ge=0)] | None,
        msgspec.Meta(
            description="How long, in units; for a reply: how long at most, and unset for as long as it takes."
        ),
    ] = None
    unit: Annotated[
        Literal["seconds", "minutes", "hours", "days"],
        msgspec.Meta(description="Of the amount: seconds, minutes, hours or days."),
    ] = "seconds"
    until: Annotated[
        str | None,
        msgspec.Meta(description="The moment, as 2026-05-31T09:00:00+02:00; without a zone it is UTC."),
    ] = None


class WaitFor(NodeType[WaitConfig]):
    name = "wait"
    label = "Wait"
    description = "Waits for a while, until a moment, or until somebody answers at the run's resume address."
    config = WaitConfig

    def outputs(self, data: Mapping[str, Any]) -> tuple[str, ...]:
        return (OUTPUT, TIMEOUT) if data.get("for") == "reply" else (OUTPUT,)

    def problems(self, data: Mapping[str, Any]) -> list[tuple[str, str]]:
        match data.get("for", "duration"):
            case "duration" if data.get("amount") is None:
                return [("amount", "is missing: how long to wait")]
            case "until" if not data.get("until"):
                return [("until", "is missing: the moment to wait for")]
            case _:
                return []

    async def run(self, call: Call[WaitConfig]) -> Emit | Wait:
        is_reply = call.config.for_ == "reply"
        if call.resumed is None:
            return Wait(until=_end(call), for_reply=is_reply)
        if not is_reply:
            return emit(call.item)
        if "reply" in call.resumed:
            return emit(with_fields(call.item, reply=call.resumed["reply"]))
        return emit(call.item, TIMEOUT)


def _end(call: Call[WaitConfig]) -> datetime | None:
    config = call.config
    if config.for_ == "until":
        end = _moment(config.until)
        if end - call.now > MAX_WAIT:
            raise _wrong("until", f"is more than {MAX_WAIT.days} days away")
        # What is past is now: 0001-01-01T00:00:00+01:00, a date that was never set, is before all calendars in UTC.
        return max(end, call.now)
    if config.amount is None:
        if config.for_ == "reply":
            return None
        raise _wrong("amount", "is missing: how long to wait")
    seconds = config.amount * _UNITS[config.unit]
    if seconds > MAX_WAIT.total_seconds():
        raise _wrong("amount", f"is more than {MAX_WAIT.days} days")
    return call.now + timedelta(seconds=seconds)


def _moment(text: str | None) -> datetime:
    try:
        moment = datetime.fromisoformat((text or "").strip())
    except ValueError as exc:
        raise _wrong("until", f"is no moment as 2026-05-31T09:00:00+02:00: {text!r}") from exc
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _wrong(key: str, what: str) -> NodeError:
    return NodeError(f"{key} {what}.", code="bad_config", field=f"data.{key}")
