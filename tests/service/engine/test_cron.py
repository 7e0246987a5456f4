"""When schedules fire, at the changes of the clock above all."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.engine.cron import check_cron, is_timezone, last_tick, next_tick, ticks_after

BERLIN, NEW_YORK, LORD_HOWE = "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"

# From midnight of the day at which the clock changes there: what the clock shows at each tick, with its offset.
CHANGES = [
    # Berlin: 2 to 3 does not come on March 29th, and comes twice on October 25th.
    (BERLIN, "2026-03-29", "30 2 * * *", "29 03:00+2, 30 02:30+2, 31 02:30+2"),
    (BERLIN, "2026-03-29", "0 3 * * *", "29 03:00+2, 30 03:00+2"),
    (BERLIN, "2026-03-29", "0 2,3 * * *", "29 03:00+2, 30 02:00+2, 30 03:00+2"),
    (BERLIN, "2026-03-29", "15,45 2 * * *", "29 03:00+2, 30 02:15+2, 30 02:45+2"),
    (BERLIN, "2026-03-29", "0 * * * *", "29 01:00+1, 29 03:00+2, 29 04:00+2"),
    (BERLIN, "2026-03-29", "*/30 * * * *", "29 00:30+1, 29 01:00+1, 29 01:30+1, 29 03:00+2, 29 03:30+2"),
    (BERLIN, "2026-10-25", "30 2 * * *", "25 02:30+2, 26 02:30+1"),
    (BERLIN, "2026-10-25", "0 3 * * *", "25 03:00+1, 26 03:00+1"),
    (BERLIN, "2026-10-25", "0 * * * *", "25 01:00+2, 25 02:00+2, 25 02:00+1, 25 03:00+1"),
    (BERLIN, "2026-10-25", "*/30 2 * * *", "25 02:00+2, 25 02:30+2, 25 02:00+1, 25 02:30+1, 26 02:00+1"),
    (BERLIN, "2026-10-25", "@daily", "26 00:00+1, 27 00:00+1"),
    # New York: 2 to 3 on March 8th, 1 to 2 on November 1st.
    (NEW_YORK, "2026-03-08", "30 2 * * *", "8 03:00-4, 9 02:30-4"),
    (NEW_YORK, "2026-03-08", "30 1 * * *", "8 01:30-5, 9 01:30-4"),
    (NEW_YORK, "2026-11-01", "30 1 * * *", "1 01:30-4, 2 01:30-5"),
    (NEW_YORK, "2026-11-01", "0 * * * *", "1 01:00-4, 1 01:00-5, 1 02:00-5"),
    # Lord Howe: half an hour, at 2 on October 4th and on April 5th.
    (LORD_HOWE, "2026-10-04", "15 2 * * *", "4 02:30+11, 5 02:15+11"),
    (LORD_HOWE, "2026-10-04", "*/20 3 * * *", "4 03:00+11, 4 03:20+11, 4 03:40+11, 5 03:00+11"),
    (LORD_HOWE, "2026-10-04", "*/15 * * * *", ("4 00:15+10.5, 4 00:30+10.5, 4 00:45+10.5, 4 01:00+10.5, 4 01:15+10.5, "
     "4 01:30+10.5, 4 01:45+10.5, 4 02:30+11")),
    (LORD_HOWE, "2026-04-05", "45 1 * * *", "5 01:45+11, 6 01:45+10.5"),
    (LORD_HOWE, "2026-04-05", "*/15 1 * * *", ("5 01:00+11, 5 01:15+11, 5 01:30+11, 5 01:45+11, 5 01:30+10.5, "
     "5 01:45+10.5, 6 01:00+10.5")),
    ("UTC", "2026-03-29", "30 2 * * *", "29 02:30+0, 30 02:30+0"),
]  # fmt: skip


def shown(tick: datetime, zone: str) -> str:
    local = tick.astimezone(ZoneInfo(zone))
    hours = (local.utcoffset() or timedelta()) / timedelta(hours=1)
    return f"{local.day} {local:%H:%M}{hours:+g}"


@pytest.mark.parametrize(("zone", "day", "cron", "expected"), CHANGES)
def test_the_clock_is_changed(zone: str, day: str, cron: str, expected: str) -> None:
    midnight = datetime.fromisoformat(day).replace(tzinfo=ZoneInfo(zone))
    ticks = ticks_after(cron, zone, midnight, len(expected.split(", ")))
    assert ", ".join(shown(tick, zone) for tick in ticks) == expected
    assert [tick.tzinfo for tick in ticks] == [UTC] * len(ticks)


FIRST = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("cron", "expected"),
    [
        ("0 0 29 2 *", ["2028-02-29T00:00", "2032-02-29T00:00"]),
        ("0 0 31 * *", ["2026-01-31T00:00", "2026-03-31T00:00"]),
        ("0 0 L * *", ["2026-01-31T00:00", "2026-02-28T00:00"]),
        ("0 9 * * MON-FRI", ["2026-01-01T09:00", "2026-01-02T09:00", "2026-01-05T09:00"]),
        (
            "0 9 1 * MON",
            ["2026-01-01T09:00", "2026-01-05T09:00", "2026-01-12T09:00"],
        ),  # either day, as cron has it
        ("0 0 * * 7", ["2026-01-04T00:00"]),
        ("0 0 1 JAN *", ["2027-01-01T00:00"]),
        ("@yearly", ["2027-01-01T00:00", "2028-01-01T00:00"]),
        ("@annually", ["2027-01-01T00:00"]),
        ("@monthly", ["2026-02-01T00:00", "2026-03-01T00:00"]),
        ("@weekly", ["2026-01-04T00:00", "2026-01-11T00:00"]),
        ("@Daily", ["2026-01-02T00:00"]),
        ("@midnight", ["2026-01-02T00:00"]),
        (" @hourly ", ["2026-01-01T01:00", "2026-01-01T02:00"]),
        ("  5   4  *  *  * ", ["2026-01-01T04:05"]),
    ],
)
def test_expressions(cron: str, expected: list[str]) -> None:
    assert check_cron(cron, "UTC") is None
    ticks = ticks_after(cron, "UTC", FIRST, len(expected))
    assert [f"{tick:%Y-%m-%dT%H:%M}" for tick in ticks] == expected


def test_a_century_without_a_leap_day() -> None:
    assert next_tick("0 0 29 2 *", "UTC", datetime(2096, 3, 1, tzinfo=UTC)) == datetime(
        2104, 2, 29, tzinfo=UTC
    )


@pytest.mark.parametrize(
    "cron",
    ["", "* * * *", "* * * * * *", "61 * * * *", "a b c d e", "* * * * 8", "*/0 * * * *", "5-1 * * * *", "@reboot",
     "0 0 30 2 *", "0 0 31 4,6 *", "0 0 ? * *", "* * * * *\n* * * * *", "9" * 5000],
)  # fmt: skip
def test_what_is_no_expression_is_told(cron: str) -> None:
    problem = check_cron(cron, "UTC")
    assert problem is not None
    assert problem[0] == "cron"
    assert len(problem[1]) < 150
    for compute in (next_tick, last_tick):
        with pytest.raises(ValueError, match="no cron expression"):
            compute(cron, "UTC", FIRST)


def test_what_never_comes_is_told() -> None:
    never = "0 0 */30 2 MON#5"  # the 31st of February, or a 1st that is the fifth Monday
    problem = check_cron(never, "UTC")
    assert problem is not None
    assert problem[0] == "cron"
    assert "never comes" in problem[1]
    assert (next_tick(never, "UTC", FIRST), last_tick(never, "UTC", FIRST)) == (None, None)


@pytest.mark.parametrize(
    "zone", ["", "Europe/Atlantis", "../etc/passwd", "/etc/localtime", "Europe", "a" * 5000, "UTC\0"]
)
def test_what_is_no_time_zone_is_told(zone: str) -> None:
    assert not is_timezone(zone)
    problem = check_cron("* * * * *", zone)
    assert problem is not None
    assert problem[0] == "timezone"
    for compute in (next_tick, last_tick):
        with pytest.raises(ValueError, match="no time zone"):
            compute("* * * * *", zone, FIRST)


def _field(low: int, high: int) -> st.SearchStrategy[str]:
    number = st.integers(low, high)
    return st.one_of(
        st.just("*"),
        number.map(str),
        st.lists(number, min_size=2, max_size=3).map(lambda several: ",".join(map(str, several))),
        st.integers(1, 20).map(lambda step: f"*/{step}"),
        st.tuples(number, number).map(lambda ends: f"{min(ends)}-{max(ends)}"),
    )


crons = st.tuples(_field(0, 59), _field(0, 23), st.sampled_from(["*", "1", "1-28", "*/3"]),
                  st.sampled_from(["*", "3,4,10,11"]), st.sampled_from(["*", "SUN", "1-5"])).map(" ".join)  # fmt: skip
zones = st.sampled_from(
    [BERLIN, NEW_YORK, LORD_HOWE, "UTC", "America/Santiago", "Antarctica/Troll", "Africa/Cairo"]
)
days = ["2026-03-28", "2026-10-24", "2026-03-08", "2026-11-01", "2026-10-03", "2026-04-04", "2027-07-01"]
moments = st.builds(
    lambda day, past: datetime.fromisoformat(day).replace(tzinfo=UTC) + past,
    st.sampled_from(days),
    st.timedeltas(timedelta(0), timedelta(hours=40)),
)


@settings(deadline=None, max_examples=300)
@given(crons, zones, moments)
def test_ticks_are_in_order_and_the_same_from_wherever_they_are_looked_at(
    cron: str, zone: str, after: datetime
) -> None:
    ticks = ticks_after(cron, zone, after, 6)
    assert all(earlier < later for earlier, later in zip([after, *ticks], ticks, strict=False))
    assert all(tick.second == tick.microsecond == 0 for tick in ticks)
    for number, tick in enumerate(ticks[1:]):
        before = ticks[number]
        assert next_tick(cron, zone, before) == tick
        assert next_tick(cron, zone, tick - timedelta(microseconds=1)) == tick
        assert last_tick(cron, zone, tick) == tick
        assert last_tick(cron, zone, tick - timedelta(microseconds=1)) == before
