"""The MCP server over streamable HTTP, with the official client, on the whole service."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from mcp.shared.exceptions import MCPError

from db.pool import Conn
from service.auth.access import SCOPES
from tests.running import Service, run_service
from tests.service.mcp.talking import call_once, connected, refusal, result_of, text_of

MODES = ("auto", "legacy")
WAITS = {"title": "t", "content": "c", "wait_s": 50}
MINUTES = "The board met on Monday.\nIt agreed on the budget of hall B."


@pytest.fixture
def idle(database_url: str, tmp_path: Path) -> Iterator[Service]:
    """A service without a worker: what is added stays queued."""
    with run_service(database_url, tmp_path / "home", worker=False) as service:
        yield service


def add(service: Service, key: str, **fields: Any) -> str:
    """Add a document by the API, wait until it is ready, and return its id."""
    with service.client(key) as client:
        reply = client.post("/v1/documents?wait=30", json={"title": "Minutes", "content": MINUTES, **fields})
    assert reply.json()["status"] == "ready"
    return str(reply.json()["id"])


@pytest.mark.parametrize("mode", MODES)
async def test_a_client_finds_and_reads_what_it_added(server: Service, mode: str) -> None:
    async with connected(server.url, server.key, mode) as client:
        added = result_of(
            await client.call_tool("add_document", {"title": "Minutes", "content": MINUTES, "wait_s": 30})
        )
        assert (added["status"], added["error"]) == ("ready", None)
        found = await client.call_tool("search_documents", {"query": "When did the board meet?"})
        (passage,) = result_of(found)["passages"]
        assert (passage["number"], passage["document_id"]) == (1, added["document_id"])
        assert MINUTES[passage["char_start"] : passage["char_end"]] == passage["text"]
        assert text_of(found).startswith(
            f"[1] Minutes (characters 0–{len(MINUTES)}, document {added['document_id']})"
        )
        listed = result_of(await client.call_tool("list_documents", {"status": "ready"}))
        assert [document["title"] for document in listed["documents"]] == ["Minutes"]
        read = result_of(
            await client.call_tool(
                "get_document", {"document_id": added["document_id"], "char_start": 4, "char_end": 9}
            )
        )
        assert (read["text"], read["char_start"], read["char_end"]) == ("board", 4, 9)
        assert read["document"]["status"] == "ready"


@pytest.mark.parametrize("mode", MODES)
async def test_the_tools_say_what_they_take_return_and_do(idle: Service, mode: str) -> None:
    async with connected(idle.url, idle.key, mode) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
    assert list(tools) == ["search_documents", "ask", "get_document", "list_documents", "add_document"]
    for tool in tools.values():
        assert tool.title
        assert len(tool.description or "") > 60
        assert tool.input_schema["type"] == "object"
        assert tool.input_schema["additionalProperties"] is False
        assert tool.output_schema is not None
        assert all("description" in field for field in tool.input_schema["properties"].values())
    reads = {name for name, tool in tools.items() if tool.annotations and tool.annotations.read_only_hint}
    assert reads == set(tools) - {"add_document"}
    top_k = tools["search_documents"].input_schema["properties"]["top_k"]
    assert (top_k["minimum"], top_k["maximum"], top_k["default"]) == (1, 50, 8)


async def test_a_search_takes_what_the_api_takes(server: Service) -> None:
    wanted = add(server, server.key, metadata={"year": 2024})
    add(server, server.key, metadata={"year": 2023})
    narrowings: list[dict[str, Any]] = [
        {"filters": {"type": "eq", "key": "year", "value": 2024}},
        {"document_ids": [wanted], "mode": "lexical"},
    ]
    async with connected(server.url, server.key) as client:
        for narrowing in narrowings:
            found = await client.call_tool("search_documents", {"query": "budget", **narrowing})
            assert [passage["document_id"] for passage in result_of(found)["passages"]] == [wanted]


@pytest.mark.parametrize(
    ("tool", "arguments", "sentence"),
    [
        ("search_documents", {}, "missing required field `query`"),
        ("search_documents", {"query": "a", "top_k": 51}, "`int` <= 50"),
        ("search_documents", {"query": "a", "limit": 3}, "unknown field `limit`"),
        ("search_documents", {"query": " "}, "query"),
        ("search_documents", {"query": "a", "filters": {"type": "like"}}, "filters"),
        ("search_documents", {"query": "a", "team_id": "nobodys"}, "There is no such team"),
        ("get_document", {"document_id": "../search"}, "matching regex"),
        ("get_document", {"document_id": "x"}, "There is no such document"),
        ("list_documents", {"after": "nonsense"}, "not a cursor of this list"),
        ("add_document", {"title": "t"}, "either content, with a title, or url"),
        ("add_document", {"content": "c"}, "needs a title"),
        ("add_document", {"content": "c", "url": "https://example.com/"}, "either content"),
        ("add_document", {"url": "file:///etc/passwd"}, "matching regex"),
    ],
)
async def test_what_cannot_be_done_is_told_to_the_model(
    idle: Service, tool: str, arguments: dict[str, Any], sentence: str
) -> None:
    async with connected(idle.url, idle.key) as client:
        assert sentence in refusal(await client.call_tool(tool, arguments))


async def test_a_span_the_wrong_way_round_is_refused(server: Service) -> None:
    document_id = add(server, server.key)
    async with connected(server.url, server.key) as client:
        given = {"document_id": document_id, "char_start": 9, "char_end": 9}
        assert "greater than char_start" in refusal(await client.call_tool("get_document", given))


async def test_a_long_text_comes_in_parts(server: Service) -> None:
    text = "".join(f"line {i} é\n" for i in range(4000)).strip()
    document_id = add(server, server.key, content=text)
    parts, start = [], 0
    async with connected(server.url, server.key) as client:
        while start < len(text):
            reply = await client.call_tool("get_document", {"document_id": document_id, "char_start": start})
            part = result_of(reply)
            assert part["char_start"] == start
            assert part["text_chars"] == len(text)
            parts.append(part["text"])
            start = part["char_end"]
    assert "".join(parts) == text
    assert [len(part) for part in parts[:-1]] == [20_000] * (len(parts) - 1)


async def test_there_is_no_other_tool(idle: Service) -> None:
    async with connected(idle.url, idle.key) as client:
        with pytest.raises(MCPError, match="There is no tool 'delete_document'"):
            await client.call_tool("delete_document", {})


async def test_documents_of_others_are_not_there(server: Service) -> None:
    document_id = add(server, server.key)
    async with connected(server.url, server.new_user("other@example.com")) as client:
        reply = await client.call_tool("get_document", {"document_id": document_id, "char_start": 0})
        assert refusal(reply) == "There is no such document, or it is not yours."
        found = await client.call_tool("search_documents", {"query": "board", "document_ids": [document_id]})
        assert result_of(found)["passages"] == []
        assert result_of(await client.call_tool("list_documents", {}))["documents"] == []


async def test_a_tool_needs_the_scope_of_the_route_that_it_calls(server: Service) -> None:
    document_id = add(server, server.key)
    key = server.new_user("searcher@example.com", scopes=("search",))
    async with connected(server.url, key) as client:
        assert result_of(await client.call_tool("search_documents", {"query": "board"}))["passages"] == []
        calls = {
            "documents:read": ("list_documents", {}),
            "documents:write": ("add_document", {"title": "t", "content": "c"}),
        }
        for scope, (tool, arguments) in calls.items():
            assert f"lacks the scope {scope}" in refusal(await client.call_tool(tool, arguments))
        got = refusal(await client.call_tool("get_document", {"document_id": document_id}))
        assert "lacks the scope documents:read" in got


def test_nobody_gets_in_without_a_key_and_its_scope(idle: Service) -> None:
    others = tuple(scope for scope in SCOPES if scope not in {"search", "admin"})
    for key, status in ((None, 401), ("dsk_" + "A" * 43, 401), (idle.new_user("a@example.com", others), 403)):
        with idle.client(key) as client:
            reply = call_once(client, "list_documents", {})
        assert reply.status_code == status
        assert reply.headers["content-type"] == "application/problem+json"
        assert reply.headers.get("www-authenticate", "").startswith("Bearer") is (status == 401)


@pytest.mark.parametrize("mode", MODES)
async def test_a_key_that_is_revoked_is_out_with_its_next_call(idle: Service, mode: str) -> None:
    key = idle.new_user("ann@example.com")
    async with connected(idle.url, key, mode) as client:
        assert result_of(await client.call_tool("list_documents", {}))["documents"] == []
        await asyncio.to_thread(idle.call, _revoke(idle, "ann@example.com"))
        with pytest.raises(MCPError):
            await client.call_tool("list_documents", {})
    with idle.client(key) as client:
        assert call_once(client, "list_documents", {}).status_code == 401


async def _revoke(service: Service, email: str) -> None:
    async with service.runtime.pool.acquire() as conn:
        await _revoke_keys(conn, email)


async def _revoke_keys(conn: Conn, email: str) -> None:
    await conn.execute(
        """
        UPDATE "ApiKey" SET "isActive" = false WHERE "userId" = (SELECT "id" FROM "User" WHERE "email" = $1)
        """,
        email,
    )


async def test_two_clients_at_once_see_what_is_theirs(server: Service) -> None:
    keys = [server.new_user(f"{name}@example.com") for name in ("ann", "bob")]
    ids = [add(server, key, title=f"Minutes of {i}") for i, key in enumerate(keys)]

    async def use(key: str, mode: str) -> set[str]:
        async with connected(server.url, key, mode) as client:
            replies = await asyncio.gather(
                *(client.call_tool("search_documents", {"query": "board"}) for _ in range(8))
            )
        return {passage["document_id"] for reply in replies for passage in result_of(reply)["passages"]}

    seen = await asyncio.gather(*(use(key, mode) for key, mode in zip(keys, MODES, strict=True)))
    assert seen == [{document_id} for document_id in ids]


@pytest.mark.parametrize("mode", MODES)
async def test_a_client_that_goes_away_is_not_waited_for(idle: Service, mode: str) -> None:
    with idle.client() as watching:
        async with connected(idle.url, idle.key, mode) as client:
            call = asyncio.create_task(client.call_tool("add_document", WAITS))
            await _queued(watching)
            before = await _ended(watching)
            call.cancel()
            await asyncio.gather(call, return_exceptions=True)
        # Far less than the call would have waited for.
        async with asyncio.timeout(20):
            while await _ended(watching) == before:
                pass


async def _queued(client: httpx.Client) -> None:
    """Return when there is a document, that is when a call to add one has got as far as waiting for it."""
    while not (await asyncio.to_thread(client.get, "/v1/documents")).json()["data"]:
        pass


async def _ended(client: httpx.Client) -> float:
    """Return how many requests of the protocol have come to their end."""
    lines = (await asyncio.to_thread(client.get, "/metrics")).text.splitlines()
    counts = [line for line in lines if line.startswith("docsearch_http_requests_total") and '"/mcp"' in line]
    return sum(float(line.rpartition(" ")[2]) for line in counts)


@pytest.mark.parametrize("mode", MODES)
async def test_a_call_that_waits_does_not_hold_a_shutdown_up(
    database_url: str, tmp_path: Path, mode: str
) -> None:
    async with asyncio.TaskGroup() as tasks:
        with run_service(database_url, tmp_path, worker=False) as service:
            call = tasks.create_task(_call_and_stay(service, mode))
            with service.client() as watching:
                await _queued(watching)
            stopping = time.monotonic()
            # The block's end waits for the service's thread, and the client's connection needs this loop.
            await asyncio.to_thread(service.stop)
        assert time.monotonic() - stopping < 10
    assert call.result() == "queued"


async def _call_and_stay(service: Service, mode: str) -> str:
    async with connected(service.url, service.key, mode) as client:
        await client.list_tools()  # which it would ask for after the call, of a server that is gone
        return str(result_of(await client.call_tool("add_document", WAITS))["status"])


def test_pages_of_elsewhere_may_not_speak(idle: Service) -> None:
    statuses = {}
    with idle.client() as client:
        for origin in ("http://attacker.example:8000", "null", "http://localhost:6274", "http://127.0.0.1"):
            statuses[origin] = call_once(client, "list_documents", {}, Origin=origin).status_code
    assert list(statuses.values()) == [403, 403, 200, 200]


def test_a_request_is_of_a_limited_size(idle: Service) -> None:
    with idle.client() as client:
        assert call_once(client, "search_documents", {"query": "x" * 2_100_000}).status_code == 413
        sent = {"title": "t", "content": "é" * 500_000, "wait_s": 0}
        assert call_once(client, "add_document", sent).json()["result"]["isError"] is False


def test_a_call_counts_as_two_requests(database_url: str, tmp_path: Path) -> None:
    limits = {"rate_limit_key_requests_per_hour": 3}
    with run_service(database_url, tmp_path, worker=False, **limits) as service, service.client() as client:
        first, second, third = (call_once(client, "list_documents", {}) for _ in range(3))
    assert first.json()["result"]["isError"] is False
    assert second.json()["result"]["isError"] is True
    assert "try again in" in second.json()["result"]["content"][0]["text"]
    assert third.status_code == 429


def test_there_are_no_sessions_to_keep_open(idle: Service) -> None:
    with idle.client() as client:
        assert client.get("/mcp", headers={"Accept": "text/event-stream"}).status_code == 405
        assert client.delete("/mcp").status_code == 405


def test_a_search_is_written_down_as_any_other(server: Service) -> None:
    with server.client(server.new_user("ann@example.com")) as client:
        call_once(client, "search_documents", {"query": "budget"})
        (row,) = client.get("/v1/usage", params={"group_by": "kind"}).json()["data"]
    assert (row["kind"], row["requests"]) == ("search.query", 1)
