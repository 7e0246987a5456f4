"""POST /v1/answers on the whole service, with a provider on loopback and without one."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.chat_servers import Break, Hang, Refuse, Say
from tests.service.chatting import LEASE, PRINTER, QUESTION, Talk, iter_events, read_events, talking


@pytest.fixture
def talk(database_url: str, tmp_path: Path) -> Iterator[Talk]:
    with talking(database_url, tmp_path / "home") as talk:
        yield talk


def test_without_a_model_the_sentences_of_the_documents_answer(talk: Talk) -> None:
    with talk.client() as client:
        reply = client.post("/v1/answers", json={"question": QUESTION})
        assert reply.status_code == 200, reply.text
        answer = reply.json()
        assert "no language model" in answer["answer"]
        first = answer["citations"][0]
        assert first["document_id"] == talk.documents["Lease"]
        content = client.get(f"/v1/documents/{first['document_id']}/text").text
        assert content[first["char_start"] : first["char_end"]] == first["text"]
        quote = content[first["quote"]["char_start"] : first["quote"]["char_end"]]
        assert quote == "The lease of hall B ends on the last day of May."
        assert f"- {quote} [1]" in answer["answer"]
        assert (answer["model"], answer["declined"], answer["usage"]["cost"]) == ("extractive", False, 0.0)


def test_a_model_answers_and_is_paid_for(talk: Talk) -> None:
    talk.provider.script(Say("On the last day ", "of May [1", "].", prompt_tokens=100, completion_tokens=10))
    with talk.client() as client:
        answer = client.post("/v1/answers", json={"question": QUESTION, "model": talk.model_id}).json()
        assert answer["answer"] == "On the last day of May [1]."
        assert [citation["document_id"] for citation in answer["citations"]] == [talk.documents["Lease"]]
        assert answer["usage"] == {
            "prompt_tokens": 100,
            "completion_tokens": 10,
            "total_tokens": 110,
            "cost": pytest.approx(0.12),
            "estimated": False,
        }
        model = client.get(f"/v1/ai/models/{talk.model_id}").json()
        assert (model["total_requests"], model["total_tokens"]) == (1, 110)
        usage = client.get("/v1/usage", params={"group_by": "kind"}).json()["data"]
        charged = {row["kind"]: row for row in usage}["ai_request.answer"]
        assert (charged["tokens"], charged["cost"]) == (110, pytest.approx(0.12))
    assert LEASE in talk.provider.requests[0].prompt


def test_a_stream_brings_passages_text_citations_and_the_end(talk: Talk) -> None:
    talk.provider.script(Say("In May ", "[1][7]", "."))
    with (
        talk.client() as client,
        client.stream(
            "POST", "/v1/answers", json={"question": QUESTION, "model": "fake-1", "stream": True}
        ) as reply,
    ):
        assert reply.headers["content-type"].startswith("text/event-stream")
        events = read_events(reply)
    kinds = [kind for kind, _, _ in events]
    assert kinds[0] == "retrieval"
    assert kinds[-2:] == ["usage", "done"]
    assert "citation" in kinds
    assert "".join(data["text"] for kind, data, _ in events if kind == "delta") == "In May [1]."
    hits = events[0][1]["hits"]
    assert hits[0]["text"] == LEASE
    assert events[-1][1]["answer"] == "In May [1]."


def test_what_is_not_in_the_documents_is_declined_without_asking_anybody(talk: Talk) -> None:
    with talk.client() as client:
        answer = client.post(
            "/v1/answers", json={"question": "Who won the chess match in Reykjavik?", "model": "fake-1"}
        )
    assert answer.json()["declined"] is True
    assert answer.json()["citations"] == []
    assert "nothing in the documents" in answer.json()["answer"]
    assert not talk.provider.requests


def test_settings_say_where_to_look(talk: Talk) -> None:
    with talk.client() as client:
        only = {"document_ids": [talk.documents["Printer"]]}
        assert client.post("/v1/answers", json={"question": QUESTION, "settings": only}).json()["declined"]
        question = "What makes the printer jam?"
        answer = client.post("/v1/answers", json={"question": question, "settings": only}).json()
        assert PRINTER.split(". ")[0] in answer["answer"]
        assert (
            client.post("/v1/answers", json={"question": "x", "settings": {"team_id": "none"}}).status_code
            == 404
        )
        assert (
            client.post(
                "/v1/answers", json={"question": "x", "settings": {"collection_ids": ["vs_1"]}}
            ).status_code
            == 404
        )
        assert client.post("/v1/answers", json={"question": "x", "model": "none"}).status_code == 404


@pytest.mark.parametrize("failure", [Refuse(401), Break(0)])
def test_a_model_that_fails_says_why_and_what_came_before_is_kept(
    talk: Talk, failure: Refuse | Break
) -> None:
    talk.provider.always = failure
    with talk.client() as client:
        answer = client.post("/v1/answers", json={"question": QUESTION, "model": "fake-1"}).json()
    assert answer["error"]["code"] in {"key_refused", "broken_stream", "unreachable"}
    assert "sk-never-shown" not in str(answer)
    assert answer["answer"] == ""


def test_a_client_that_leaves_ends_the_providers_call_and_is_charged_for_what_came(talk: Talk) -> None:
    talk.provider.script(Say("In May ", "and more", pause_after=1))
    with (
        talk.client() as client,
        client.stream(
            "POST", "/v1/answers", json={"question": QUESTION, "model": "fake-1", "stream": True}
        ) as reply,
    ):
        for kind, _, _ in iter_events(reply):
            if kind == "delta":
                break
    assert talk.provider.disconnected.wait(20)
    _wait_for_usage(talk, "ai_request.answer")


def test_a_client_that_waits_for_json_and_leaves_ends_it_too(talk: Talk) -> None:
    talk.provider.script(Hang())
    with talk.client() as client:
        request = client.build_request("POST", "/v1/answers", json={"question": QUESTION, "model": "fake-1"})
        request.extensions["timeout"] = {"connect": 5, "read": 1.0, "write": 5, "pool": 5}
        with pytest.raises(Exception, match="timed out"):
            client.send(request)
    assert talk.provider.disconnected.wait(20)


def _wait_for_usage(talk: Talk, kind: str) -> None:
    async def charged() -> bool:
        # Written by the answer's own task, which nobody outside can wait for.
        for _ in range(200):
            async with talk.service.runtime.pool.acquire() as conn:
                tokens = await conn.fetchval(
                    """SELECT "tokens" FROM "UsageLog" WHERE "resourceType" || '.' || "action" = $1""", kind
                )
            if tokens:
                return True
            await asyncio.sleep(0.1)
        return False

    assert talk.service.call(charged())
