"""The tool `ask`, on the whole service with a provider on loopback and without one."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from service.auth.access import ROUTES
from service.mcp.api import Api, Refused, ToolFailed
from tests.fakes.chat_servers import Hang, Refuse, Say
from tests.running import Service
from tests.service.chatting import PRINTER, QUESTION, Talk, talking
from tests.service.mcp.talking import connected, refusal, result_of, text_of

pytestmark = pytest.mark.skipif("POST /v1/answers" not in ROUTES, reason="answers are not served")


@pytest.fixture
def talk(database_url: str, tmp_path: Path) -> Iterator[Talk]:
    with talking(database_url, tmp_path / "home") as talk:
        yield talk


async def test_an_answer_comes_with_its_sources(talk: Talk) -> None:
    talk.provider.script(Say("On the last day of May [1]."))
    async with connected(talk.service.url, talk.service.key) as client:
        reply = await client.call_tool("ask", {"question": QUESTION, "model": talk.model_id, "top_k": 3})
    answer = result_of(reply)
    assert (answer["answer"], answer["declined"]) == ("On the last day of May [1].", False)
    assert answer["usage"]["completion_tokens"] == 7
    (citation,) = answer["citations"]
    assert (citation["number"], citation["document_id"]) == (1, talk.documents["Lease"])
    text = text_of(reply)
    assert text.startswith("On the last day of May [1].\n\nSources:\n\n[1] Lease (characters ")
    assert f"> {citation['text'].splitlines()[0]}" in text


async def test_without_a_model_sentences_are_quoted(talk: Talk) -> None:
    async with connected(talk.service.url, talk.service.key) as client:
        reply = await client.call_tool("ask", {"question": QUESTION})
    answer = result_of(reply)
    assert answer["model"] == "extractive"
    assert answer["citations"][0]["quote"] is not None
    assert text_of(reply).count("> The lease of hall B ends on the last day of May.") == 1


async def test_what_is_asked_of_some_documents_is_answered_from_them(talk: Talk) -> None:
    talk.provider.script(Say("There [1]."))
    given = {"question": PRINTER, "model": talk.model_id, "document_ids": [talk.documents["Lease"]]}
    async with connected(talk.service.url, talk.service.key) as client:
        answer = result_of(await client.call_tool("ask", given))
    cited = {citation["document_id"] for citation in answer["citations"]}
    assert answer["declined"] or cited == {talk.documents["Lease"]}


async def test_a_model_that_fails_or_is_not_there_is_the_tools_answer(talk: Talk) -> None:
    talk.provider.always = Refuse(400, "no such deployment")
    async with connected(talk.service.url, talk.service.key) as client:
        failed = refusal(await client.call_tool("ask", {"question": QUESTION, "model": talk.model_id}))
        absent = refusal(await client.call_tool("ask", {"question": QUESTION, "model": "nothing"}))
        store = refusal(
            await client.call_tool("ask", {"question": QUESTION, "collection_ids": ["vs_nobodys"]})
        )
        assert "There is no such collection" in store
        team = refusal(await client.call_tool("ask", {"question": QUESTION, "team_id": "nobodys"}))
    assert failed
    assert "model" in absent
    assert "There is no such team" in team


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_a_client_that_leaves_ends_the_providers_call(talk: Talk, mode: str) -> None:
    talk.provider.script(Hang())
    async with connected(talk.service.url, talk.service.key, mode) as client:
        call = asyncio.create_task(client.call_tool("ask", {"question": QUESTION, "model": talk.model_id}))
        while not await asyncio.to_thread(lambda: bool(talk.provider.requests)):
            pass
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
    assert await asyncio.to_thread(talk.provider.disconnected.wait, 15)


async def test_a_server_without_answers_is_told_apart_from_what_is_not_there(server: Service) -> None:
    # Answers of an older version of this service: it has no such path.
    async with httpx.AsyncClient(
        base_url=f"{server.url}/console", headers={"Authorization": f"Bearer {server.key}"}
    ) as http:
        with pytest.raises(ToolFailed, match="does not write answers: use search_documents") as failed:
            await Api(http).answer({"question": "?"})
    assert not isinstance(failed.value, Refused)
