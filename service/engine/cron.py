"""When schedules fire: cron expressions in a time zone, on cronsim.

Daylight saving goes as in Debian's cron: what falls into the hour that is skipped runs right after it, what falls into
the hour that comes twice runs once; a job of every hour or minute runs in each of them.
"""

from datetime import UTC, datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

_NAMES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}


def check_cron(expression: str, timezone: str) -> tuple[str, str] | None:
    """Return the field, cron or timezone, and what is wrong with it; None where nothing is."""
    if not is_timezone(timezone):
        return "timezone", f"{timezone[:60]!r} is no time zone; they are called as Europe/Berlin"
    try:
        ticks = _ticks(expression, timezone, datetime.now(UTC))
        if next(ticks, None) is None:
            return "cron", f"{expression!r} never comes"
    except CronSimError as exc:
        return (
            "cron",
            f"{expression[:60]!r} is no cron expression: {str(exc).lower() or 'it has five fields'}",
        )
    return None


def is_timezone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return False
    return True


def next_tick(expression: str, timezone: str, after: datetime) -> datetime | None:
    """Return the first moment after another at which a schedule fires, in UTC; None where there is none any more.

    Raises ValueError for what check_cron finds something wrong with.
    """
    return next(iter(ticks_after(expression, timezone, after, 1)), None)


def ticks_after(expression: str, timezone: str, after: datetime, count: int) -> list[datetime]:
    """Return the next so many moments, in order."""
    if not is_timezone(timezone):
        raise ValueError(f"{timezone!r} is no time zone")
    try:
        return [tick.astimezone(UTC) for tick in islice(_ticks(expression, timezone, after), count)]
    except CronSimError as exc:
        raise ValueError(f"{expression!r} is no cron expression: {exc}") from exc


def last_tick(expression: str, timezone: str, until: datetime) -> datetime | None:
    """Return the last moment up to another at which a schedule fires, in UTC. Raises ValueError."""
    if not is_timezone(timezone):
        raise ValueError(f"{timezone!r} is no time zone")
    try:
        ticks = _ticks(expression, timezone, until, reverse=True)
        return next((tick.astimezone(UTC) for tick in ticks if tick <= until), None)
    except CronSimError as exc:
        raise ValueError(f"{expression!r} is no cron expression: {exc}") from exc


def _ticks(expression: str, timezone: str, start: datetime, *, reverse: bool = False) -> CronSim:
    text = expression.strip()
    text = _NAMES.get(text.lower(), text)
    if len(text.split()) != 5:  # cronsim also reads seconds, which nothing here looks at so often
        raise CronSimError("it has five fields")
    if reverse:
        # The moment itself counts; cronsim looks before it, and at whole minutes.
        start += timedelta(minutes=1)
    return CronSim(text, start.astimezone(ZoneInfo(timezone)), reverse=reverse)
