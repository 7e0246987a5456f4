"""HTTP requests of workflows: to addresses that users name, and never into our own network.

Each hop of a redirect is checked where it connects (ingest/outbound.py); what a credential added stays with its host.
"""

import asyncio
import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from urllib.parse import urljoin, urlsplit

import httpcore

from ingest.outbound import AddressRefused, GuardedBackend, NameUnresolved, Network, check_url, wire_url
from service.engine.errors import NodeError

MAX_REPLY_BYTES = 1024 * 1024
MAX_REDIRECTS = 5
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_KEEPS_METHOD = frozenset({307, 308})
_CONNECTIONS = 100


@dataclass(frozen=True, slots=True)
class Reply:
    url: str
    """Where it came from in the end."""
    status: int
    headers: Mapping[str, str]
    """By name in small letters; several of one name are joined by commas."""
    body: bytes


class HttpSender:
    """Sends, following redirects only where it is told to. Raises NodeError."""

    def __init__(self, allowed_networks: Iterable[Network] = ()) -> None:
        self._pool = httpcore.AsyncConnectionPool(
            network_backend=GuardedBackend(allowed_networks),
            ssl_context=_tls(),
            retries=0,
            max_connections=_CONNECTIONS,
            keepalive_expiry=10.0,
        )
        self._user_agent = f"docsearch/{version('docsearch')}"

    async def aclose(self) -> None:
        await self._pool.aclose()

    async def send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        secret_headers: Mapping[str, str],
        body: bytes | None,
        timeout_s: float,
        follow_redirects: bool,
    ) -> Reply:
        """Send, in so many seconds for all of it; secret_headers go to the host of url alone."""
        try:
            async with asyncio.timeout(timeout_s):
                return await self._follow(method, url, headers, secret_headers, body, follow_redirects)
        except TimeoutError as exc:
            raise NodeError(f"No reply came in {timeout_s:g} s.", code="timeout", retryable=True) from exc

    async def _follow(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        secret_headers: Mapping[str, str],
        body: bytes | None,
        follow_redirects: bool,
    ) -> Reply:
        origin = _origin(url)
        for _ in range(MAX_REDIRECTS + 1):
            secret = secret_headers if _origin(url) == origin else {}
            reply = await self._send_once(method, url, {**headers, **secret}, body)
            location = reply.headers.get("location")
            if not (follow_redirects and reply.status in _REDIRECTS and location):
                return reply
            url = urljoin(url, location)
            if reply.status not in _KEEPS_METHOD and method != "HEAD":
                method, body = "GET", None
        raise NodeError(f"The address redirects more than {MAX_REDIRECTS} times.", code="too_many_redirects")

    async def _send_once(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None
    ) -> Reply:
        try:
            check_url(url)
            sent = [("User-Agent", self._user_agent), ("Accept-Encoding", "identity"), *headers.items()]
            async with self._pool.stream(
                method, wire_url(url), headers=sent, content=body or b""
            ) as response:
                return Reply(url, response.status, _headers(response), await _read(response))
        except AddressRefused as exc:
            raise NodeError(str(exc), code="address_refused") from exc
        except NameUnresolved as exc:
            raise NodeError(str(exc), code="name_unresolved", retryable=True) from exc
        except (httpcore.UnsupportedProtocol, httpcore.LocalProtocolError) as exc:
            raise NodeError("The request cannot be sent as it is.", code="bad_config") from exc
        except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError) as exc:
            raise NodeError(
                f"{urlsplit(url).hostname} did not answer properly ({type(exc).__name__}).",
                code="connection_failed",
                retryable=True,
            ) from exc


def _tls() -> ssl.SSLContext:
    return httpcore.default_ssl_context()


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port


def _headers(response: httpcore.Response) -> dict[str, str]:
    found: dict[str, str] = {}
    for key, value in response.headers:
        name, text = key.decode("latin-1").lower(), value.decode("latin-1")
        found[name] = f"{found[name]}, {text}" if name in found else text
    return found


async def _read(response: httpcore.Response) -> bytes:
    parts: list[bytes] = []
    size = 0
    async for part in response.aiter_stream():
        size += len(part)
        if size > MAX_REPLY_BYTES:
            raise NodeError(f"The reply is larger than {MAX_REPLY_BYTES:,} bytes.", code="response_too_large")
        parts.append(part)
    return b"".join(parts)
