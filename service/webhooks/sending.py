"""One attempt to deliver an event: a signed POST to an address that somebody else has named.

The connection is made by ingest/outbound.py, which goes nowhere private. Redirects are not followed, and of the
reply no more is read than is kept: it is shown to the owner of the endpoint, and nobody else.
"""

import asyncio
import ssl
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from importlib.metadata import version
from typing import Literal

import httpcore

from ingest.outbound import (
    AddressRefused,
    GuardedBackend,
    NameUnresolved,
    Network,
    check_url,
    is_tls_failure,
    read_retry_after,
    wire_url,
)
from ingest.parse.clean import clean_text
from service.webhooks.signing import signed_headers

# For the whole of it: name, connection, TLS, request and reply. Standard Webhooks recommends 15 to 30 s.
TIMEOUT_S = 15.0
MAX_EXCERPT_BYTES = 1024

_RETRYABLE = frozenset({408, 425, 429})
_GONE = 410
_UNANSWERED = (
    AddressRefused,
    TimeoutError,
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.TimeoutException,
    httpcore.UnsupportedProtocol,
)


class Verdict(StrEnum):
    """What an attempt means for the delivery."""

    DELIVERED = "delivered"
    RETRY = "retry"
    REFUSED = "refused"
    """Another attempt would be answered in the same way."""
    GONE = "gone"
    """The receiver wants no more of them."""


Failure = Literal[
    "http_status",
    "redirected",
    "timeout",
    "connection_failed",
    "tls_failed",
    "name_unresolved",
    "address_refused",
    "paused",
    "secret_unreadable",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """What came of one request."""

    verdict: Verdict
    duration_ms: int
    status: int | None = None
    """None where no reply came."""
    excerpt: str | None = None
    """The beginning of the reply's body, fit to store and to show."""
    error: Failure | None = None
    """None for what was delivered."""
    retry_after_s: float | None = None


class WebhookSender:
    """Sends to public addresses over TLS, and to the networks that the operator allows with or without."""

    def __init__(
        self,
        allowed_networks: Iterable[Network] = (),
        *,
        tls: ssl.SSLContext | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        networks = tuple(allowed_networks)
        self._encrypted = GuardedBackend(networks)
        self._plain = GuardedBackend(networks, public=False)
        # Made once: reading the system's certificates takes longer than most deliveries.
        self._tls = tls or httpcore.default_ssl_context()
        self._timeout_s = timeout_s
        self._user_agent = f"docsearch/{version('docsearch')}"

    async def send(self, url: str, *, keys: Sequence[str], message_id: str, body: str) -> Attempt:
        """Post body to url, signed with each of keys now. What goes wrong is in the attempt."""
        started = time.monotonic()
        headers = [
            ("Content-Type", "application/json"),
            ("User-Agent", self._user_agent),
            ("Accept-Encoding", "identity"),
            *signed_headers(keys, message_id=message_id, sent_at=datetime.now(UTC), body=body),
        ]
        try:
            async with asyncio.timeout(self._timeout_s):
                reply = await self._post(url, headers, body.encode())
        except _UNANSWERED as exc:
            return _unanswered(exc, _elapsed_ms(started))
        return _answered(reply, _elapsed_ms(started))

    async def _post(self, url: str, headers: Sequence[tuple[str, str]], body: bytes) -> "_Reply":
        backend = self._encrypted if check_url(url).scheme == "https" else self._plain
        async with (
            httpcore.AsyncConnectionPool(network_backend=backend, ssl_context=self._tls, retries=0) as pool,
            # No timeouts of httpcore's own: each is for a single read, and the budget is for all of them.
            pool.stream("POST", wire_url(url), headers=headers, content=body) as response,
        ):
            received = bytearray()
            async for part in response.aiter_stream():
                received += part
                if len(received) >= MAX_EXCERPT_BYTES:
                    break
            return _Reply(
                status=response.status,
                body=bytes(received[:MAX_EXCERPT_BYTES]),
                retry_after=_header(response, b"retry-after"),
            )


@dataclass(frozen=True, slots=True)
class _Reply:
    status: int
    body: bytes
    retry_after: str | None


def _header(response: httpcore.Response, name: bytes) -> str | None:
    return next((value.decode("latin-1") for key, value in response.headers if key.lower() == name), None)


def _elapsed_ms(started: float) -> int:
    return round((time.monotonic() - started) * 1000)


def _answered(reply: _Reply, duration_ms: int) -> Attempt:
    verdict = verdict_on(reply.status)
    error: Failure = "redirected" if 300 <= reply.status < 400 else "http_status"
    return Attempt(
        verdict=verdict,
        duration_ms=duration_ms,
        status=reply.status,
        excerpt=clean_text(reply.body.decode(errors="replace")) or None,
        error=None if verdict is Verdict.DELIVERED else error,
        retry_after_s=read_retry_after(reply.retry_after) if verdict is Verdict.RETRY else None,
    )


def verdict_on(status: int) -> Verdict:
    if 200 <= status < 300:
        return Verdict.DELIVERED
    if status == _GONE:
        return Verdict.GONE
    return Verdict.RETRY if status >= 500 or status in _RETRYABLE else Verdict.REFUSED


def _unanswered(exc: Exception, duration_ms: int) -> Attempt:
    error = _error_code(exc)
    # A name that points inside is somebody's mistake or attack, and stays one.
    verdict = Verdict.REFUSED if error == "address_refused" else Verdict.RETRY
    return Attempt(verdict=verdict, duration_ms=duration_ms, error=error)


def _error_code(exc: Exception) -> Failure:
    match exc:
        case AddressRefused() | httpcore.UnsupportedProtocol():
            return "address_refused"
        case TimeoutError() | httpcore.TimeoutException():
            return "timeout"
        case NameUnresolved():
            return "name_unresolved"
        case httpcore.ConnectError() if is_tls_failure(exc):
            return "tls_failed"
        case _:
            return "connection_failed"
