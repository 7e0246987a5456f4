"""The MCP library's own end of streamable HTTP, on our tools; heavy to import."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
from litestar import Litestar
from litestar.types import ASGIApp
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

from service.mcp.api import Api
from service.mcp.arguments import MAX_CONTENT_CHARS
from service.mcp.server import Context, build_server

MAX_BODY_BYTES = 4 * MAX_CONTENT_CHARS


@asynccontextmanager
async def open_endpoint(app: Litestar) -> AsyncIterator[ASGIApp]:
    """Yield what handles a request; all that it still does ends with the block."""

    @asynccontextmanager
    async def open_api(context: Context) -> AsyncIterator[Api]:
        """Lead to this very application, with the credentials of the request: the guard and all limits apply."""
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app=app),  # type: ignore[arg-type]
            base_url="http://docsearch",
            headers={"Authorization": context.request.headers["authorization"]},
            trust_env=False,
        ) as http:
            yield Api(http)

    manager = StreamableHTTPSessionManager(
        build_server(open_api), stateless=True, max_request_body_size=MAX_BODY_BYTES
    )
    async with manager.run():
        yield manager.handle_request  # type: ignore[misc]
