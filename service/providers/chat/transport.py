"""The HTTP client that every chat model is asked with: it goes nowhere private that the operator has not allowed.

The providers' own clients are built on httpx2, whose httpcore is not the one that ingest/outbound.py connects with, so
its check is put into theirs here. Proxies of the environment are not used: they would connect without the check.
"""

import contextlib
import ssl
from collections.abc import Callable, Coroutine, Iterable, Sequence
from functools import lru_cache
from typing import Any

import httpcore
import httpcore2
import httpx2

from ingest.outbound import AddressRefused, GuardedBackend, NameUnresolved, Network

OnResponse = Callable[[httpx2.Response], Coroutine[Any, Any, None]]


def open_http(
    base_url: str,
    allowed_networks: Sequence[Network],
    *,
    connect_timeout_s: float,
    on_response: Sequence[OnResponse] = (),
) -> httpx2.AsyncClient:
    """Return a client for one provider, to be closed. Without TLS it reaches the allowed networks alone.

    It limits nothing but connecting and sending: how long an answer may take is the business of streaming.py.
    """
    encrypted = base_url.lower().startswith("https:")
    return httpx2.AsyncClient(
        transport=_Transport(GuardedBackend(allowed_networks, public=encrypted)),
        timeout=httpx2.Timeout(
            connect=connect_timeout_s, read=None, write=connect_timeout_s * 3, pool=connect_timeout_s
        ),
        # A key must not follow where a server points.
        follow_redirects=False,
        event_hooks={"response": list(on_response)},
    )


class _Transport(httpx2.AsyncHTTPTransport):
    def __init__(self, guard: GuardedBackend) -> None:
        super().__init__(verify=_tls(), trust_env=False)
        self._pool = httpcore2.AsyncConnectionPool(
            network_backend=_Backend(guard),
            ssl_context=_tls(),
            # Every stream holds one for as long as it is read.
            max_connections=None,
            max_keepalive_connections=8,
            keepalive_expiry=30.0,
            retries=0,
        )


@lru_cache(maxsize=1)
def _tls() -> ssl.SSLContext:
    # Made once: reading the system's certificates takes a while.
    return httpx2.create_ssl_context()


class _Backend(httpcore2.AsyncNetworkBackend):
    def __init__(self, guard: GuardedBackend) -> None:
        self._guard = guard
        self._inner = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's interface
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        try:
            first, *others = await self._guard.checked_addresses(host, port, timeout)
        except httpcore.ConnectTimeout as exc:
            raise httpcore2.ConnectTimeout(str(exc)) from exc
        except (NameUnresolved, AddressRefused) as exc:
            # As their own, which all of the clients know; failures.py finds what it was.
            raise httpcore2.ConnectError(str(exc)) from exc
        for address in others:
            # localhost may be ::1 first, where what runs on this machine often does not listen.
            with contextlib.suppress(httpcore2.ConnectError):
                return await self._inner.connect_tcp(first, port, timeout, local_address, socket_options)
            first = address
        return await self._inner.connect_tcp(first, port, timeout, local_address, socket_options)

    async def connect_unix_socket(self, *_: Any, **__: Any) -> httpcore2.AsyncNetworkStream:
        raise AddressRefused("The address must be an http or https URL.")

    async def sleep(self, seconds: float) -> None:
        await self._inner.sleep(seconds)
