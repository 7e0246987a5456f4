"""Fetch a document by its URL, for whoever asked, and never from inside our own network.

The address is checked where the connection is made: ingest/outbound.py.
"""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from email.message import Message
from urllib.parse import unquote, urljoin, urlsplit

import httpcore

from ingest import outbound
from ingest.errors import FetchFailed, FetchRefused
from ingest.outbound import AddressRefused, GuardedBackend, NameUnresolved, Network

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
        self._backend = GuardedBackend(allowed_networks)

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
        outbound.check_url(url)
    except AddressRefused as exc:
        raise FetchRefused(str(exc)) from exc


@asynccontextmanager
async def _request(pool: httpcore.AsyncConnectionPool, url: str) -> AsyncIterator[httpcore.Response]:
    headers = [("User-Agent", "docsearch"), ("Accept", "*/*"), ("Accept-Encoding", "identity")]
    try:
        async with pool.stream(
            "GET", outbound.wire_url(url), headers=headers, extensions={"timeout": _TIMEOUTS}
        ) as response:
            yield response
    except AddressRefused as exc:
        raise FetchRefused(str(exc)) from exc
    except NameUnresolved as exc:
        raise FetchFailed(str(exc), retryable=True) from exc
    except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError) as exc:
        raise FetchFailed(
            f"The address did not answer properly ({type(exc).__name__}).", retryable=True
        ) from exc
    except httpcore.UnsupportedProtocol as exc:
        raise FetchRefused("The address must be an http or https URL.") from exc


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
