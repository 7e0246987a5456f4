"""When a delivery is tried again: the schedule that Standard Webhooks recommends, about three days in all."""

import random
from datetime import timedelta

_DELAYS_S = (
    5,
    5 * 60,
    30 * 60,
    2 * 3600,
    5 * 3600,
    10 * 3600,
    14 * 3600,
    20 * 3600,
    24 * 3600,
)
MAX_ATTEMPTS = len(_DELAYS_S) + 1
# Deliveries that failed together must not come back together.
_JITTER = 0.2


def next_delay(attempts: int, retry_after_s: float | None = None) -> timedelta | None:
    """Return how long to wait after this many attempts, None after the last; a receiver may ask for longer."""
    if attempts >= MAX_ATTEMPTS:
        return None
    jitter = random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311 - spreads load, guards nothing
    return timedelta(seconds=max(_DELAYS_S[attempts - 1] * jitter, retry_after_s or 0.0))
