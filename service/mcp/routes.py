"""POST /mcp: the Model Context Protocol over streamable HTTP, in the process that serves the API.

No sessions are kept: each request is complete in itself, so that any process of a deployment may answer it, and is let
in by the guard like every other.
"""

import asyncio
import contextlib
import contextvars
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from litestar import Litestar, Request, post
from litestar.datastructures import State
from litestar.types import ASGIApp

from service.auth.caller import Caller
from service.errors import Problem

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


@post("/mcp", status_code=200, include_in_schema=False)
async def speak_mcp(request: Request[Any, Caller, Any], state: State) -> ASGIApp:
    """Answer one message of an MCP client. OpenAPI has no words for it; docs/mcp.md has."""
    _check_origin(request.headers.get("origin"))
    endpoint: McpEndpoint = state.mcp
    return await endpoint.handler()


def _check_origin(origin: str | None) -> None:
    """Raise 403 for a page from elsewhere, as the protocol demands of servers.

    A page whose name has been made to lead to this machine (DNS rebinding) has the name in its Origin all the same.
    The library's own check wants to know every name that this service goes by; behind a proxy, nobody tells it.
    """
    if origin is not None and not _is_of_this_machine(origin):
        raise Problem(HTTPStatus.FORBIDDEN, "Pages of other origins may not speak MCP with this service.")


def _is_of_this_machine(origin: str) -> bool:
    try:
        return urlsplit(origin).hostname in _LOOPBACK
    except ValueError:
        return False


class McpEndpoint:
    """What answers at /mcp, from the first request to the end of the block.

    The library takes a second to import, and most processes are never asked.
    """

    def __init__(self, app: Litestar) -> None:
        self._app = app
        self._stop = asyncio.Event()
        self._handler: asyncio.Future[ASGIApp] | None = None
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        if self._task is not None:
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def handler(self) -> ASGIApp:
        """Return what handles a request, which is made for the first."""
        if self._handler is None:
            self._handler = asyncio.get_running_loop().create_future()
            # Not in the first request's context: it outlives that one. A task of its own, because what the library
            # runs in has to be left where it was entered.
            self._task = asyncio.create_task(self._run(self._handler), context=contextvars.Context())
        # One request that is cut off does not cancel the others' future.
        return await asyncio.shield(self._handler)

    async def _run(self, handler: asyncio.Future[ASGIApp]) -> None:
        try:
            endpoint = await asyncio.to_thread(_import_endpoint)
            async with endpoint.open_endpoint(self._app) as handle:
                handler.set_result(handle)
                await self._stop.wait()
        except Exception as exc:
            if handler.done():
                raise
            self._handler = None
            handler.set_exception(exc)
        finally:
            handler.cancel()


def _import_endpoint() -> Any:
    from service.mcp import endpoint

    return endpoint
