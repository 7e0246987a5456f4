"""The MCP library's own end of streamable HTTP, on our tools; heavy to import."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import httpx
from litestar import Litestar
from litestar.types import ASGIApp, HTTPReceiveMessage, Receive, Scope, Send
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

from service.mcp.api import Api
from service.mcp.arguments import MAX_CONTENT_CHARS
from service.mcp.server import Context, build_server

MAX_BODY_BYTES = 4 * MAX_CONTENT_CHARS


class InProcess:
    """The application, for requests from within: where one is cut off, it hears that its client has gone.

    As over a connection, it ends in its own time: an answer that is being written notes what it has cost so far.
    """

    def __init__(self, app: Litestar) -> None:
        self._app = app
        self._running: set[asyncio.Task[None]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        gone = asyncio.Event()

        async def receive_or_leave() -> HTTPReceiveMessage:
            coming: asyncio.Future[Any] = asyncio.ensure_future(receive())
            leaving = asyncio.ensure_future(gone.wait())
            try:
                await asyncio.wait({coming, leaving}, return_when=asyncio.FIRST_COMPLETED)
                if coming.done():
                    return cast(HTTPReceiveMessage, coming.result())
                return {"type": "http.disconnect"}
            finally:
                coming.cancel()
                leaving.cancel()

        task = asyncio.create_task(self._app(scope, receive_or_leave, send))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        try:
            await asyncio.shield(task)
        finally:
            gone.set()

    async def aclose(self) -> None:
        """End what is still under way."""
        running = list(self._running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


@asynccontextmanager
async def open_endpoint(app: Litestar) -> AsyncIterator[ASGIApp]:
    """Yield what handles a request; all that it still does ends with the block."""
    within = InProcess(app)

    @asynccontextmanager
    async def open_api(context: Context) -> AsyncIterator[Api]:
        """Lead to this very application, with the credentials of the request: the guard and all limits apply."""
        assert context.request is not None
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app=within),  # type: ignore[arg-type]
            base_url="http://docsearch",
            headers={"Authorization": context.request.headers["authorization"]},
            trust_env=False,
        ) as http:
            yield Api(http)

    manager = StreamableHTTPSessionManager(
        build_server(open_api), stateless=True, max_request_body_size=MAX_BODY_BYTES
    )
    try:
        async with manager.run():
            yield manager.handle_request  # type: ignore[misc]
    finally:
        await within.aclose()
