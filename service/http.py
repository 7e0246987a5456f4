"""Granian inside our own event loop: one process can hold API, worker and database."""

import asyncio
import contextlib
import errno
import socket
from collections.abc import AsyncIterator
from typing import Any

from granian.constants import Interfaces
from granian.server.embed import Server
from litestar import Litestar

from service.observe import Observed
from service.unread import ClosesUnread


class PortTaken(Exception):
    """Nothing can listen there; the message says what to do."""


def reserve_port(host: str, port: int) -> int:
    """Return port, or a free one for 0. Raises PortTaken where nobody may listen."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            # As the server does: a port in TIME_WAIT after a restart is free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
            bound: int = probe.getsockname()[1]
            return bound
    except OSError as exc:
        raise PortTaken(_why(host, port, exc)) from exc


def _why(host: str, port: int, exc: OSError) -> str:
    if exc.errno == errno.EADDRINUSE:
        return (
            f"Port {port} on {host} is taken: stop what listens there, or choose another, "
            f"as in `make serve PORT={port + 1 if port < 65535 else 8001}`."
        )
    if exc.errno == errno.EACCES:
        return f"This user may not listen on port {port}: choose one above 1023 with PORT."
    return f"Nothing can listen on {host}:{port} ({exc.strerror or exc}): check HOST and PORT."


@contextlib.asynccontextmanager
async def serve_http(app: Litestar, host: str, port: int) -> AsyncIterator[asyncio.Task[Any]]:
    """Answer on host:port until the block ends; yields the server's task, which ends early only by a fault.

    The application's lifespan is entered here and not by the server: one that has to be cancelled, because a request
    would not end, would leave it open, with its connection held and usage unwritten.
    """
    server = Server(
        Observed(ClosesUnread(app)),
        address=host,
        port=port,
        interface=Interfaces.ASGINL,
        log_enabled=False,
        # Bodies may be large and slow; the limits are the application's.
        backpressure=512,
    )
    server.workers_kill_timeout = 5
    async with app.lifespan():
        task = asyncio.create_task(server.serve())
        try:
            await _answers(host, port, task)
            yield task
        finally:
            app.state.events.close()
            server.stop()  # type: ignore[no-untyped-call]
            with contextlib.suppress(TimeoutError, asyncio.CancelledError):
                await asyncio.wait_for(task, timeout=10)


async def _answers(host: str, port: int, task: asyncio.Task[Any]) -> None:
    """Return when a connection is accepted; raises what ended the server before that."""
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
    while True:
        if task.done():
            await task
            raise PortTaken(f"The server on {host}:{port} ended as it started; the log says why.")
        try:
            _, writer = await asyncio.open_connection(reachable, port)
        except OSError:
            await asyncio.sleep(0.02)
            continue
        writer.close()
        await writer.wait_closed()
        return
