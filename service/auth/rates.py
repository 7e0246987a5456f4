"""Rate limits: which there are, whether one is passed, and the headers that say so.

Headers are those of draft-ietf-httpapi-ratelimit-headers-10 (RateLimit, RateLimit-Policy), and the three of its
earlier versions that more clients read.
"""

import math
from collections.abc import Sequence
from datetime import datetime
from http import HTTPStatus

from db.callers import CallerRow, Limit, Window
from service.errors import Problem
from service.settings import Settings

_NAMES = {60: "minute", 3600: "hour"}


def configured_limits(settings: Settings) -> tuple[Limit, ...]:
    given = (
        Limit("user", 60, settings.rate_limit_requests_per_minute or 0),
        Limit("user", 3600, settings.rate_limit_requests_per_hour or 0),
        Limit("key", 60, settings.rate_limit_key_requests_per_minute or 0),
        Limit("key", 3600, settings.rate_limit_key_requests_per_hour or 0),
    )
    return tuple(limit for limit in given if limit.requests)


def requests_allowed(limits: Sequence[Limit], window_s: int, *, by_key: bool) -> int | None:
    """Return the least that a caller with a key, or without one, is limited to in such a window; None for no limit."""
    mine = [
        limit.requests for limit in limits if limit.window_s == window_s and (by_key or limit.kind == "user")
    ]
    return min(mine, default=None)


def rate_headers(row: CallerRow, limits: Sequence[Limit]) -> dict[str, str]:
    """Return the headers for a reply, none where nothing is limited; the tightest limit gives the short ones."""
    counted = _pair(row.windows, limits)
    if not counted:
        return {}
    tightest, window = min(counted, key=lambda pair: (_left(*pair), -_resets_in(pair[1], row.now)))
    return {
        "RateLimit-Policy": ", ".join(
            f'"{_name(limit)}";q={limit.requests};w={limit.window_s}' for limit, _ in counted
        ),
        "RateLimit": ", ".join(
            f'"{_name(limit)}";r={_left(limit, window)};t={_resets_in(window, row.now)}'
            for limit, window in counted
        ),
        "RateLimit-Limit": str(tightest.requests),
        "RateLimit-Remaining": str(_left(tightest, window)),
        "RateLimit-Reset": str(_resets_in(window, row.now)),
    }


def check_rates(row: CallerRow, limits: Sequence[Limit]) -> None:
    """Raise 429, with the time to wait, where this request is one too many."""
    passed = [
        (limit, window) for limit, window in _pair(row.windows, limits) if window.requests > limit.requests
    ]
    if not passed:
        return
    limit, window = max(passed, key=lambda pair: _resets_in(pair[1], row.now))
    wait_s = _resets_in(window, row.now)
    whose = "this key" if limit.kind == "key" else "you"
    raise Problem(
        HTTPStatus.TOO_MANY_REQUESTS,
        f"The limit for {whose} is {limit.requests:,} requests per {_NAMES[limit.window_s]}: "
        f"try again in {wait_s} seconds.",
        headers={"Retry-After": str(wait_s)},
        limit=limit.requests,
        window_s=limit.window_s,
    )


def _pair(windows: Sequence[Window], limits: Sequence[Limit]) -> list[tuple[Limit, Window]]:
    by_limit = {(window.kind, window.window_s): window for window in windows}
    return [
        (limit, by_limit[limit.kind, limit.window_s])
        for limit in limits
        if (limit.kind, limit.window_s) in by_limit
    ]


def _left(limit: Limit, window: Window) -> int:
    return max(0, limit.requests - window.requests)


def _resets_in(window: Window, now: datetime) -> int:
    """Return whole seconds, at least one: who comes back then must not come too early."""
    passed_s = (now - window.started_at).total_seconds()
    return max(1, math.ceil(window.window_s - passed_s))


def _name(limit: Limit) -> str:
    return f"{limit.kind}-{_NAMES[limit.window_s]}"
