"""POST /mcp: the Model Context Protocol over streamable HTTP, in the process that serves the API.

The session manager is the library's, and keeps no sessions: each request is complete in itself, so that any process of
a deployment may answer it, and is let in by the guard like every other.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

import httpx
from litestar import Litestar, Request, post
from litestar.datastructures import State
from litestar.types import ASGIApp
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

from service.auth.caller import Caller
from service.errors import Problem
from service.mcp.api import Api
from service.mcp.arguments import MAX_CONTENT_CHARS
from service.mcp.server import Context, build_server

MAX_BODY_BYTES = 4 * MAX_CONTENT_CHARS
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


@post("/mcp", status_code=200, include_in_schema=False)
async def speak_mcp(request: Request[Any, Caller, Any], state: State) -> ASGIApp:
    """Answer one message of an MCP client. OpenAPI has no words for it; docs/mcp.md has."""
    _check_origin(request.headers.get("origin"))
    handle: ASGIApp = state.mcp.handle_request
    return handle


def _check_origin(origin: str | None) -> None:
    """Raise 403 for a page from elsewhere, as the protocol demands of servers.

    A page whose name has been made to lead to this machine (DNS rebinding) has the name in its Origin all the same.
    The library's own check wants to know every name that this service goes by; behind a proxy, nobody tells it.
    """
    if origin is not None and urlsplit(origin).hostname not in _LOOPBACK:
        raise Problem(HTTPStatus.FORBIDDEN, "Pages of other origins may not speak MCP with this service.")


@asynccontextmanager
async def run_mcp(app: Litestar) -> AsyncIterator[StreamableHTTPSessionManager]:
    """Hold the session manager, whose requests end with the block."""

    @asynccontextmanager
    async def open_api(context: Context) -> AsyncIterator[Api]:
        """Lead to this very application, with the credentials of the request: the guard and all limits apply."""
        headers = (
            {"Authorization": context.request.headers.get("authorization", "")} if context.request else {}
        )
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app=app),  # type: ignore[arg-type]
            base_url="http://docsearch",
            headers=headers,
            trust_env=False,
        ) as http:
            yield Api(http)

    manager = StreamableHTTPSessionManager(
        build_server(open_api), stateless=True, max_request_body_size=MAX_BODY_BYTES
    )
    async with manager.run():
        yield manager
