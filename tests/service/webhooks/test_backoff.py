"""The schedule of attempts."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from service.webhooks.backoff import MAX_ATTEMPTS, next_delay

HOURS = [5 / 3600, 5 / 60, 0.5, 2, 5, 10, 14, 20, 24]


def test_delays_are_those_of_standard_webhooks_give_or_take_a_fifth() -> None:
    for attempts, hours in enumerate(HOURS, start=1):
        delay = next_delay(attempts)
        assert delay is not None
        assert timedelta(hours=hours * 0.8) <= delay <= timedelta(hours=hours * 1.2)


def test_there_is_an_end() -> None:
    assert next_delay(len(HOURS)) is not None
    assert next_delay(len(HOURS) + 1) is None
    assert next_delay(100) is None


def test_deliveries_that_failed_together_do_not_come_back_together() -> None:
    assert len({next_delay(3) for _ in range(20)}) > 10


@given(st.integers(1, MAX_ATTEMPTS - 1), st.floats(0, 24 * 3600))
def test_what_the_receiver_asks_for_is_the_least(attempts: int, retry_after_s: float) -> None:
    delay = next_delay(attempts, retry_after_s)
    assert delay is not None
    assert delay >= timedelta(seconds=retry_after_s) - timedelta(microseconds=1)
