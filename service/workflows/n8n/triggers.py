"""What starts a workflow: webhooks and schedules."""

from collections.abc import Mapping
from typing import Any

from service.workflows.n8n.node import Source, Target, dig, listed

_RESPONSES = {"onReceived": "immediately", "lastNode": "lastNode", "responseNode": "respondNode"}


def manual(source: Source) -> Target:
    return Target("trigger", {"kind": "manual"})


def called(source: Source) -> Target:
    return Target("trigger", {"kind": "manual"})


def webhook(source: Source) -> Target:
    method = str(source.get("httpMethod") or "GET").upper()
    mode = str(source.get("responseMode") or "onReceived")
    if mode not in _RESPONSES:
        source.note(f"answers in the mode {mode!r}, which there is not; it answers at once")
    if source.get("authentication") not in (None, "none"):
        source.note(
            "asks its callers for credentials; its new address is secret, and hmac can check signatures"
        )
    if _answers_its_own_way(source):
        source.note("answers with a status, headers or data of its own: a respond node does that here")
    source.note("has a new address: see triggers of the workflow")
    return Target(
        "trigger",
        {
            "kind": "webhook",
            "method": method if method in {"GET", "POST", "PUT", "PATCH", "DELETE"} else "ANY",
            "responseMode": _RESPONSES.get(mode, "immediately"),
        },
    )


def _answers_its_own_way(source: Source) -> bool:
    named = ("responseCode", "responseHeaders", "responseData", "noResponseBody")
    return (
        any(source.get("options", name) for name in named)
        or source.get("responseCode") not in (None, 200)
        or source.get("responseData") not in (None, "firstEntryJson")
    )


def schedule(source: Source) -> Target:
    rules = listed(source.get("rule", "interval")) or [{}]
    crons = [_cron_of_rule(rule) for rule in rules]
    return _scheduled(source, crons)


def cron(source: Source) -> Target:
    times = listed(source.get("triggerTimes", "item")) or [{}]
    return _scheduled(source, [_cron_of_time(time) for time in times])


def _scheduled(source: Source, crons: list[str | None]) -> Target:
    if len(crons) > 1:
        source.note("has several times; the first is taken over: add a trigger for each of the others")
    if crons[0] is None:
        source.note("has a time that no cron expression says: give one")
    return Target("trigger", {"kind": "schedule"} | ({"cron": crons[0]} if crons[0] else {}))


def _number(value: Any, default: int, least: int = 0, most: int = 59) -> int:
    try:
        return max(least, min(most, int(value)))
    except (TypeError, ValueError):
        return default


def _cron_of_rule(rule: Mapping[str, Any]) -> str | None:
    minute = _number(rule.get("triggerAtMinute"), 0)
    hour = _number(rule.get("triggerAtHour"), 0, most=23)
    match rule.get("field", "days"):
        case "cronExpression":
            return _five_fields(str(rule.get("expression", "")))
        case "minutes":
            return f"*/{_number(rule.get('minutesInterval'), 5, 1)} * * * *"
        case "hours":
            every = _number(rule.get("hoursInterval"), 1, 1, 23)
            return f"{minute} {'*' if every == 1 else f'*/{every}'} * * *"
        case "days":
            every = _number(rule.get("daysInterval"), 1, 1, 31)
            return f"{minute} {hour} {'*' if every == 1 else f'*/{every}'} * *"
        case "weeks" if _number(rule.get("weeksInterval"), 1, 1) == 1:
            days = rule.get("triggerAtDay")
            names = ",".join(str(_number(day, 0, most=6)) for day in days) if isinstance(days, list) else "0"
            return f"{minute} {hour} * * {names or '0'}"
        case "months":
            every = _number(rule.get("monthsInterval"), 1, 1, 12)
            day = _number(rule.get("triggerAtDayOfMonth"), 1, 1, 31)
            return f"{minute} {hour} {day} {'*' if every == 1 else f'*/{every}'} *"
        case _:
            return None


def _cron_of_time(time: Mapping[str, Any]) -> str | None:
    minute, hour = _number(time.get("minute"), 0), _number(time.get("hour"), 14, most=23)
    match time.get("mode", "everyDay"):
        case "custom":
            return _five_fields(str(time.get("cronExpression", "")))
        case "everyMinute":
            return "* * * * *"
        case "everyHour":
            return f"{minute} * * * *"
        case "everyDay":
            return f"{minute} {hour} * * *"
        case "everyWeek":
            return f"{minute} {hour} * * {_number(time.get('weekday'), 1, most=6)}"
        case "everyMonth":
            return f"{minute} {hour} {_number(time.get('dayOfMonth'), 1, 1, 31)} * *"
        case "everyX" if time.get("unit") == "minutes":
            return f"*/{_number(time.get('value'), 2, 1)} * * * *"
        case "everyX" if time.get("unit", "hours") == "hours":
            return f"0 */{_number(time.get('value'), 2, 1, 23)} * * *"
        case _:
            return None


def _five_fields(text: str) -> str | None:
    """Return a cron expression without the seconds that n8n's may begin with."""
    fields = text.removeprefix("=").split()
    if len(fields) == 6 and fields[0].isdigit():
        return " ".join(fields[1:])
    return " ".join(fields) if len(fields) == 5 else None


def timezone_of(settings: Any) -> str | None:
    zone = dig(settings, "timezone")
    return zone if isinstance(zone, str) and zone and zone != "DEFAULT" else None
