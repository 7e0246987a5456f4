"""One HTTP request to wherever a workflow says, redirects followed, and never into our own network.

The connection is made by ingest/outbound.py, which checks the very address that it connects to, at each hop anew.
Nothing that goes wrong says more of the address than its host: the rest may hold secrets.
"""

import asyncio
import ssl
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from urllib.parse import urljoin, urlsplit

import httpcore

from ingest.outbound import (
    AddressRefused,
    GuardedBackend,
    NameUnresolved,
    Network,
    check_url,
    is_tls_failure,
    wire_url,
)
from service.engine.errors import NodeError

MAX_RESPONSE_BYTES = 1024 * 1024
MAX_REQUEST_BYTES = 1024 * 1024
MAX_REDIRECTS = 5

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
# What may follow to another host: everything else may be a secret of the first one.
_TRAVELS = frozenset(
    {"accept", "accept-encoding", "accept-language", "content-type", "idempotency-key", "user-agent"}
)


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    url: str
    headers: Mapping[str, str]
    content: bytes | None


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    headers: Mapping[str, str]
    """Names in lower case; of several of one name, joined by commas."""
    content: bytes


async def send(
    request: Request, allowed_networks: Sequence[Network], *, follow_redirects: bool, timeout_s: float
) -> Reply:
    """Send a request and return the last reply. Raises NodeError: address_refused, timeout, connection_failed, …"""
    host = ""
    try:
        host = check_url(request.url).hostname or ""
        async with (
            asyncio.timeout(timeout_s),
            # No timeouts of httpcore's own: each is for a single read, and the budget is for all of them.
            httpcore.AsyncConnectionPool(
                network_backend=GuardedBackend(allowed_networks), ssl_context=_tls(), retries=0
            ) as pool,
        ):
            for _ in range(MAX_REDIRECTS + 1):
                reply = await _exchange(pool, request)
                location = reply.headers.get("location")
                if not follow_redirects or reply.status not in _REDIRECTS or not location:
                    return reply
                request = _redirected(request, reply.status, location)
                host = check_url(request.url).hostname or ""
    except AddressRefused as exc:
        raise NodeError(str(exc), code="address_refused", field="data.url") from exc
    except TimeoutError as exc:
        raise NodeError(
            f"{host} did not answer within {timeout_s:g} s.", code="timeout", retryable=True
        ) from exc
    except (NameUnresolved, httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException) as exc:
        raise _unanswered(host, exc) from exc
    raise NodeError(f"{host} redirects more than {MAX_REDIRECTS} times.", code="too_many_redirects")


async def _exchange(pool: httpcore.AsyncConnectionPool, request: Request) -> Reply:
    headers = list(request.headers.items())
    async with pool.stream(
        request.method, wire_url(request.url), headers=headers, content=request.content
    ) as response:
        received = bytearray()
        async for part in response.aiter_stream():
            received += part
            if len(received) > MAX_RESPONSE_BYTES:
                raise _too_large()
        headers_in = _joined(response.headers)
        return Reply(response.status, headers_in, _decoded(bytes(received), headers_in))


def _redirected(request: Request, status: int, location: str) -> Request:
    """Return what to ask next, as browsers do (RFC 9110, 15.4)."""
    url = urljoin(request.url, location).partition("#")[0]
    moved = replace(request, url=url)
    if status == 303 or (status in {301, 302} and request.method == "POST"):
        kept = {name: value for name, value in request.headers.items() if name.lower() != "content-type"}
        method = "HEAD" if request.method == "HEAD" else "GET"
        moved = replace(moved, method=method, content=None, headers=kept)
    if _origin(url) != _origin(request.url):
        travels = {name: value for name, value in moved.headers.items() if name.lower() in _TRAVELS}
        moved = replace(moved, headers=travels)
    return moved


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = check_url(url)
    return parts.scheme, parts.hostname, parts.port


def _joined(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    joined: dict[str, str] = {}
    for raw_name, raw_value in headers:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        joined[name] = f"{joined[name]}, {value}" if name in joined else value
    return joined


def _decoded(content: bytes, headers: Mapping[str, str]) -> bytes:
    """Return the content of a server that compresses though it was asked not to."""
    encoding = headers.get("content-encoding", "identity").strip().lower()
    if encoding in {"", "identity"} or not content:
        return content
    if encoding not in {"gzip", "x-gzip", "deflate"}:
        raise NodeError(f"The reply is compressed as {encoding!r}.", code="unreadable_response")
    try:
        plain = zlib.decompressobj(wbits=47).decompress(content, MAX_RESPONSE_BYTES + 1)
    except zlib.error as exc:
        raise NodeError(
            "The reply is damaged: it cannot be decompressed.", code="unreadable_response"
        ) from exc
    if len(plain) > MAX_RESPONSE_BYTES:
        raise _too_large()
    return plain


def _too_large() -> NodeError:
    return NodeError(f"The reply is larger than {MAX_RESPONSE_BYTES:,} bytes.", code="response_too_large")


def _unanswered(host: str, exc: Exception) -> NodeError:
    match exc:
        case NameUnresolved():
            return NodeError(f"The name {host} cannot be resolved.", code="name_unresolved", retryable=True)
        case httpcore.TimeoutException():
            return NodeError(f"{host} did not answer in time.", code="timeout", retryable=True)
        case httpcore.ConnectError() if is_tls_failure(exc):
            return NodeError(f"{host} could not be spoken to over TLS.", code="tls_failed", retryable=True)
        case httpcore.ConnectError():
            return NodeError(f"{host} could not be connected to.", code="connection_failed", retryable=True)
        case _:
            return NodeError(
                f"{host} broke the connection off ({type(exc).__name__}).",
                code="connection_failed",
                retryable=True,
            )


@lru_cache(maxsize=1)
def _tls() -> ssl.SSLContext:
    # Made once: reading the system's certificates takes a while.
    return httpcore.default_ssl_context()


def host_of(url: str) -> str:
    try:
        return urlsplit(url).hostname or "The server"
    except ValueError:
        return "The server"
