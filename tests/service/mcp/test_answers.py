"""The tool `ask`: an answer with its sources, or that there is none."""

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from litestar import Litestar, post
from litestar.params import JSONBody
from mcp import Client

from service.mcp.api import Api
from service.mcp.server import Context, build_server
from tests.running import Service
from tests.service.mcp.talking import connected, refusal, result_of, text_of

TEXT = "The budget was agreed. The board met on Monday in hall B to decide on the new roof."
QUESTION = "When did the board meet to decide on the new roof?"


@pytest.fixture
def document_id(server: Service) -> str:
    with server.client() as client:
        reply = client.post("/v1/documents?wait=30", json={"title": "Minutes", "content": TEXT})
    return str(reply.json()["id"])


async def test_an_answer_comes_with_its_sources(server: Service, document_id: str) -> None:
    async with connected(server.url, server.key) as client:
        reply = await client.call_tool("ask", {"question": QUESTION, "document_ids": [document_id]})
    result = result_of(reply)
    (citation,) = result["citations"]
    assert result["declined"] is False
    assert "met on Monday" in result["answer"]
    assert "[1]" in result["answer"]
    assert (citation["number"], citation["document_id"]) == (1, document_id)
    assert TEXT[citation["char_start"] : citation["char_end"]] == citation["text"]
    answer, sources = text_of(reply).split("\n\nSources:\n\n")
    assert answer == result["answer"]
    assert sources.splitlines()[0] == f"[1] Minutes (characters 0–{len(TEXT)}, document {document_id})"
    assert "met on Monday" in sources


async def test_what_the_documents_do_not_say_is_declined(server: Service, document_id: str) -> None:
    async with connected(server.url, server.key) as client:
        result = result_of(await client.call_tool("ask", {"question": "How do whales sleep under ice?"}))
        assert (result["declined"], result["citations"]) == (True, [])
        team = await client.call_tool("ask", {"question": QUESTION, "team_id": "nobodys"})
        assert "There is no such team" in refusal(team)
        gone = await client.call_tool("ask", {"question": QUESTION, "collection_ids": ["vs_nobodys"]})
        assert "There is no such collection" in refusal(gone)


async def test_nothing_is_answered_from_documents_of_others(server: Service, document_id: str) -> None:
    async with connected(server.url, server.new_user("other@example.com")) as client:
        reply = await client.call_tool("ask", {"question": QUESTION, "document_ids": [document_id]})
        assert result_of(reply)["citations"] == []
        assert "Monday" not in text_of(reply)


@pytest.mark.parametrize(
    ("reply", "sentence"),
    [
        ({"text": "hello"}, "What answers there is no docsearch server of this version."),
        (
            {
                "answer": "On",
                "citations": [],
                "error": {"code": "timeout", "detail": "The model was too slow."},
            },
            "The model was too slow.",
        ),
    ],
)
async def test_half_an_answer_is_none(reply: dict[str, Any], sentence: str) -> None:
    @post("/v1/answers", status_code=200)
    async def answers(data: JSONBody[dict[str, Any]]) -> dict[str, Any]:
        assert data == {"question": "When?", "settings": {"top_k": 8}}
        return reply

    application = Litestar([answers], openapi_config=None)

    @contextlib.asynccontextmanager
    async def open_api(_: Context) -> AsyncIterator[Api]:
        transport = httpx.ASGITransport(app=application)  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url="http://docsearch") as http:
            yield Api(http)

    async with Client(build_server(open_api)) as client:
        assert refusal(await client.call_tool("ask", {"question": "When?"})) == sentence
