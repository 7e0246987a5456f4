"""`docsearch mcp`: the tools for programs that start their MCP servers themselves, as desktop assistants do."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from service.commands.client import Server
    from service.mcp.api import Api
    from service.mcp.server import Context


def mcp() -> None:
    """Speak the Model Context Protocol on stdin and stdout, for a program that starts this one.

    \b
    Example:
      DOCSEARCH_API_KEY=dsk_… docsearch mcp

    \b
    In the configuration of Claude Desktop:
      {"mcpServers": {"docsearch": {"command": "/path/to/docsearch", "args": ["mcp"],
        "env": {"DOCSEARCH_URL": "https://…", "DOCSEARCH_API_KEY": "dsk_…"}}}}

    The tools search, answer, list, read and add documents on a docsearch server, which also speaks the protocol
    itself, at /mcp, for programs that connect to an address.

    \b
    Environment:
      DOCSEARCH_URL      the server [the one running here, else http://127.0.0.1:8000]
      DOCSEARCH_API_KEY  the key to sign in with [the local owner's]
      DOCSEARCH_HOME     where the local server keeps its address and key [.docsearch]
    """
    from service.commands.client import find_server

    server = find_server()
    # Whoever reads stdin in a thread cannot be interrupted, and there is nothing here to put in order.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    asyncio.run(_serve(server))


async def _serve(server: "Server") -> None:
    """Answer until stdin ends."""
    import httpx
    from mcp.server.stdio import stdio_server

    from service.commands.client import is_loopback
    from service.mcp.api import Api
    from service.mcp.server import build_server

    async with httpx.AsyncClient(
        base_url=server.url,
        headers={"Authorization": f"Bearer {server.api_key}"},
        # An answer in words takes its time.
        timeout=httpx.Timeout(120.0, connect=10.0, pool=None),
        trust_env=not is_loopback(server.url),
    ) as http:

        @asynccontextmanager
        async def open_api(_: "Context") -> AsyncIterator["Api"]:
            yield Api(http)

        tools = build_server(open_api)
        async with stdio_server() as (read, write):
            await tools.run(read, write, tools.create_initialization_options())
