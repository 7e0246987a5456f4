"""When schedules fire: cron expressions in a time zone, on cronsim.

Daylight saving goes as in Debian's cron: what falls into the hour that is skipped runs right after it, what falls into
the hour that comes twice runs once; a job of every hour or minute runs in each of them.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from datetime import timezone as fixed
from itertools import islice
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

_CHANGE = timedelta(hours=3)
"""More than any clock is ever put forward or back by, but where a country crosses the date line."""
_SECOND = timedelta(seconds=1)

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
        return list(islice(_ticks(expression, timezone, after), count))
    except CronSimError as exc:
        raise ValueError(f"{expression!r} is no cron expression: {exc}") from exc


def last_tick(expression: str, timezone: str, until: datetime) -> datetime | None:
    """Return the last moment up to another at which a schedule fires, in UTC. Raises ValueError."""
    if not is_timezone(timezone):
        raise ValueError(f"{timezone!r} is no time zone")
    try:
        return next(_ticks(expression, timezone, until, reverse=True), None)
    except CronSimError as exc:
        raise ValueError(f"{expression!r} is no cron expression: {exc}") from exc


def _ticks(expression: str, timezone: str, start: datetime, *, reverse: bool = False) -> Iterator[datetime]:
    """Return the moments after start, in UTC; reversed, those up to it, the last one first."""
    text = expression.strip()
    text = _NAMES.get(text.lower(), text)
    fields = text.split()
    if len(fields) != 5:  # cronsim also reads seconds, which nothing here looks at so often
        raise CronSimError("it has five fields")
    CronSim(text, start)  # raises what is wrong with it here, not at the first tick
    zone = ZoneInfo(timezone)
    if reverse:
        start = start.replace(second=0, microsecond=0)
    if fields[0].startswith("*") or fields[1].startswith("*"):
        return _whenever_shown(text, zone, start, reverse=reverse)
    return _once_a_day(text, zone, start, reverse=reverse)


def _once_a_day(text: str, zone: ZoneInfo, start: datetime, *, reverse: bool) -> Iterator[datetime]:
    origin = _origin(start, reverse=reverse)
    before, behind = start - _CHANGE, start + _CHANGE
    if _offset(before, zone) != _offset(behind, zone):
        # cronsim goes by what the clock shows, which does not say which of the two it is in an hour that comes twice.
        origin = behind if reverse else before
    ticks = (tick.astimezone(UTC) for tick in CronSim(text, origin.astimezone(zone), reverse=reverse))
    return (tick for tick in ticks if (tick <= start if reverse else tick > start))


def _whenever_shown(text: str, zone: ZoneInfo, start: datetime, *, reverse: bool) -> Iterator[datetime]:
    """Every minute at which the zone's clock shows what the expression says.

    From one change of the clock to the next, at a fixed offset: cronsim loses ticks where it is put by half an hour.
    """
    at, origin = start, _origin(start, reverse=reverse)
    change: datetime | None = start
    while change is not None:
        offset = fixed(_offset(at, zone))
        change = None
        for found in CronSim(text, origin.astimezone(offset), reverse=reverse):
            tick = found.astimezone(UTC)
            change = _change_between(at, tick, zone)
            if change is not None:
                at, origin = change, change + (_SECOND if reverse else -_SECOND)
                break
            yield tick
            at = tick


def _change_between(at: datetime, tick: datetime, zone: ZoneInfo) -> datetime | None:
    """Return the moment after at at which the clock is changed, where that is near at, or before a tick and near it.

    Of one that is near neither, nothing is shown that is not shown at one of them.
    """
    near = _CHANGE if tick > at else -_CHANGE
    beyond = at + near if abs(tick - at) > _CHANGE else tick
    for there in (beyond, tick - near if abs(tick - beyond) > _CHANGE else beyond, tick):
        if _offset(there, zone) != _offset(at, zone):
            return _bisect(at, there, zone)
        at = there
    return None


def _bisect(at: datetime, there: datetime, zone: ZoneInfo) -> datetime:
    """Return the first moment after at, towards another, with that one's offset."""
    offset = _offset(at, zone)
    while abs(there - at) > _SECOND:
        middle = at + (there - at) / 2
        if _offset(middle, zone) == offset:
            at = middle
        else:
            there = middle
    return there.replace(microsecond=0)


def _origin(start: datetime, *, reverse: bool) -> datetime:
    """Return where cronsim begins: reversed, the moment itself counts, and cronsim looks before it."""
    return start + timedelta(minutes=1) if reverse else start


def _offset(moment: datetime, zone: ZoneInfo) -> timedelta:
    return moment.astimezone(zone).utcoffset() or timedelta()
