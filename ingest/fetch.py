"""Fetch a document by its URL, for whoever asked, and never from inside our own network.

The address is checked where the connection is made, so that neither a redirect nor a name that resolves to
something else the second time gets around it.
"""

import asyncio
import ipaddress
import socket
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from email.message import Message
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit

import httpcore

from ingest.errors import FetchFailed, FetchRefused

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

MAX_REDIRECTS = 5
_TIMEOUTS = {"connect": 10.0, "read": 30.0, "write": 30.0, "pool": 10.0}
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
# A server that is busy or broken may be well again later; one that says no will say it again.
_RETRYABLE = frozenset({408, 425, 429, 500, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class Fetched:
    """A reply whose body is still to be read."""

    parts: AsyncIterator[bytes]
    filename: str | None
    declared: str | None
    """The media type that the server says."""


class Fetcher:
    """Gets http and https URLs from public addresses, and from the networks that the operator allows."""

    def __init__(self, allowed_networks: Iterable[Network] = ()) -> None:
        self._backend = _GuardedBackend(tuple(allowed_networks))

    @asynccontextmanager
    async def get(self, url: str) -> AsyncIterator[Fetched]:
        """Yield the reply to url. Raises FetchRefused for what must not be asked, FetchFailed for what went wrong."""
        async with httpcore.AsyncConnectionPool(network_backend=self._backend, retries=0) as pool:
            for _ in range(MAX_REDIRECTS + 1):
                check_url(url)
                async with _request(pool, url) as response:
                    if response.status in _REDIRECTS and (location := _header(response, b"location")):
                        url = urljoin(url, location)
                        continue
                    yield _accept(url, response)
                    return
        raise FetchFailed(f"The address redirects more than {MAX_REDIRECTS} times.", retryable=False)


def check_url(url: str) -> None:
    """Raise FetchRefused for anything but a plain http or https URL."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as exc:
        raise FetchRefused(f"The address is not a URL: {exc}.") from exc
    if parts.scheme not in {"http", "https"} or not parts.hostname or port == 0:
        raise FetchRefused("The address must be an http or https URL.")
    if parts.username is not None or parts.password is not None:
        raise FetchRefused("The address must not hold a user name or password.")


@asynccontextmanager
async def _request(pool: httpcore.AsyncConnectionPool, url: str) -> AsyncIterator[httpcore.Response]:
    headers = [("User-Agent", "docsearch"), ("Accept", "*/*"), ("Accept-Encoding", "identity")]
    try:
        async with pool.stream(
            "GET", _ascii(url), headers=headers, extensions={"timeout": _TIMEOUTS}
        ) as response:
            yield response
    except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError) as exc:
        raise FetchFailed(
            f"The address did not answer properly ({type(exc).__name__}).", retryable=True
        ) from exc
    except httpcore.UnsupportedProtocol as exc:
        raise FetchRefused("The address must be an http or https URL.") from exc


def _ascii(url: str) -> str:
    """Return url as it goes over the wire: host in IDNA, the rest percent-encoded UTF-8."""
    import httpx

    try:
        return str(httpx.URL(url))
    except httpx.InvalidURL as exc:
        raise FetchRefused(f"The address is not a URL: {exc}.") from exc


def _accept(url: str, response: httpcore.Response) -> Fetched:
    if response.status != 200:
        raise FetchFailed(
            f"The address answered with status {response.status}.", retryable=response.status in _RETRYABLE
        )
    declared = _header(response, b"content-type")
    return Fetched(
        parts=response.aiter_stream(),
        filename=_filename(url, _header(response, b"content-disposition")),
        declared=declared,
    )


def _header(response: httpcore.Response, name: bytes) -> str | None:
    for key, value in response.headers:
        if key.lower() == name:
            return value.decode("latin-1")
    return None


def _filename(url: str, disposition: str | None) -> str | None:
    if disposition:
        message = Message()
        message["Content-Disposition"] = disposition
        given = message.get_filename()
        if given:
            return given
    return unquote(urlsplit(url).path.rsplit("/", 1)[-1]) or None


class _GuardedBackend(httpcore.AsyncNetworkBackend):
    """Resolves a name itself and connects to the very address it has checked."""

    def __init__(self, allowed: Sequence[Network]) -> None:
        self._inner = httpcore.AnyIOBackend()
        self._allowed = allowed

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's interface
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        addresses = await _resolve(host, port)
        refused = [address for address in addresses if not self.is_allowed(address)]
        if refused:
            # One private address among public ones is how a name is made to slip through.
            raise FetchRefused(
                f"{host} is not a public address, and documents are fetched from public ones only."
            )
        return await self._inner.connect_tcp(str(addresses[0]), port, timeout, local_address, socket_options)

    async def connect_unix_socket(self, *_: Any, **__: Any) -> httpcore.AsyncNetworkStream:
        raise FetchRefused("The address must be an http or https URL.")

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def is_allowed(self, address: Address) -> bool:
        address = unwrap(address)
        if any(address.version == network.version and address in network for network in self._allowed):
            return True
        return address.is_global and not address.is_multicast


def unwrap(address: Address) -> Address:
    """Return the IPv4 address that an IPv6 one carries (mapped, 6to4, NAT64), else the address itself."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in ipaddress.IPv6Network("64:ff9b::/96"):
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address


async def _resolve(host: str, port: int) -> list[Address]:
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as exc:
        raise FetchFailed(f"The name {host} cannot be resolved.", retryable=True) from exc
    return [ipaddress.ip_address(str(address[0]).partition("%")[0]) for *_, address in found]
