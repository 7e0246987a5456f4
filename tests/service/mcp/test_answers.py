"""The tool `ask`, before an application that keeps the contract of POST /v1/answers."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
from litestar import Litestar, post
from litestar.params import JSONBody
from mcp import Client

from service.mcp.api import Api
from service.mcp.server import Context, build_server
from tests.service.mcp.talking import refusal, result_of, text_of

ANSWER = {
    "answer": "On Monday [1].",
    "declined": False,
    "model": "some-model",
    "citations": [
        {
            "number": 1,
            "document_id": "d1",
            "chunk_id": "c1",
            "title": "Minutes",
            "text": "The board met on Monday.\nIt agreed.",
            "page_start": 3,
            "page_end": 4,
            "char_start": 10,
            "char_end": 45,
            "headings": ["2026", "November"],
            "score": 0.8,
            "quote": "The board met on Monday.",
        }
    ],
    "usage": {"input_tokens": 10},
}


async def ask(reply: Any, arguments: dict[str, Any]) -> tuple[Any, list[Any]]:
    """Return what the tool returns when the application replies so, and what it was sent."""
    sent: list[Any] = []

    @post("/v1/answers", status_code=200)
    async def answers(data: JSONBody[dict[str, Any]]) -> Any:
        sent.append(data)
        return reply

    application = Litestar([answers], openapi_config=None)

    @asynccontextmanager
    async def open_api(_: Context) -> AsyncIterator[Api]:
        transport = httpx.ASGITransport(app=application)  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url="http://docsearch") as http:
            yield Api(http)

    async with Client(build_server(open_api)) as client:
        return await client.call_tool("ask", arguments), sent


async def test_an_answer_comes_with_its_sources() -> None:
    reply, sent = await ask(ANSWER, {"question": "When?", "team_id": "t1", "collection_ids": ["vs_1"]})
    result = result_of(reply)
    assert sent == [{"question": "When?", "team_id": "t1", "collection_ids": ["vs_1"]}]
    assert (result["answer"], result["declined"], result["model"]) == ("On Monday [1].", False, "some-model")
    assert result["citations"] == ANSWER["citations"]
    assert text_of(reply) == (
        "On Monday [1].\n\nSources:\n\n"
        "[1] Minutes (pages 3–4, characters 10–45, document d1)\n2026 › November\n> The board met on Monday."
    )


async def test_what_the_documents_do_not_say_is_declined() -> None:
    declined = {
        "answer": "The documents do not say.",
        "declined": True,
        "model": "m",
        "citations": [],
        "usage": {},
    }
    reply, _ = await ask(declined, {"question": "When?"})
    assert result_of(reply)["declined"] is True
    assert text_of(reply) == "The documents do not say."


async def test_a_reply_of_another_kind_is_no_answer() -> None:
    reply, _ = await ask({"text": "hello"}, {"question": "When?"})
    assert refusal(reply) == "What answers there is no docsearch server of this version."
