"""Talking with the MCP server as the official client does, and in single requests."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp_types import CallToolResult, TextContent

from tests.service.isolation import MCP_HEADERS, mcp_call


@asynccontextmanager
async def connected(url: str, key: str, mode: str = "auto") -> AsyncIterator[Client]:
    """Connect over streamable HTTP; legacy is the handshake of protocols up to 2025, auto the newest."""
    async with (
        httpx2.AsyncClient(headers={"Authorization": f"Bearer {key}"}, timeout=60) as http,
        Client(streamable_http_client(f"{url}/mcp", http_client=http), mode=mode) as client,
    ):
        yield client


def text_of(result: CallToolResult) -> str:
    (content,) = result.content
    assert isinstance(content, TextContent)
    return content.text


def refusal(result: CallToolResult) -> str:
    """Return the sentence of a tool that failed."""
    assert result.is_error
    assert result.structured_content is None
    return text_of(result)


def result_of(result: CallToolResult) -> Any:
    """Return the structured result of a tool that did not fail."""
    assert not result.is_error, text_of(result)
    return result.structured_content


def call_once(client: httpx.Client, name: str, arguments: dict[str, Any], **headers: str) -> httpx.Response:
    """Call a tool in one request, complete in itself, as of protocol 2026-07-28."""
    return client.post(
        "/mcp", json=mcp_call(name, arguments), headers={**MCP_HEADERS, "Mcp-Name": name, **headers}
    )
