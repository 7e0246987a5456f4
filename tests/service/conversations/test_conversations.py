"""Conversations on the whole service: held, streamed, stopped, taken up again, never lost."""

import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from db import turns
from service.conversations.recovery import keep_abandoned
from tests.fakes.chat_servers import Break, Refuse, Say
from tests.running import run_service
from tests.service.chatting import QUESTION, Talk, iter_events, read_events, talking


@pytest.fixture
def talk(database_url: str, tmp_path: Path) -> Iterator[Talk]:
    with talking(database_url, tmp_path / "home") as talk:
        yield talk


def begin(client: httpx.Client, **body: Any) -> str:
    reply = client.post("/v1/conversations", json=body)
    assert reply.status_code == 201, reply.text
    found: str = reply.json()["id"]
    return found


def say(client: httpx.Client, conversation: str, content: str, **body: Any) -> dict[str, Any]:
    reply = client.post(f"/v1/conversations/{conversation}/messages", json={"content": content, **body})
    assert reply.status_code == 200, reply.text
    done: dict[str, Any] = reply.json()
    return done


def test_a_conversation_is_held_and_read_back(talk: Talk) -> None:
    talk.provider.script(
        Say("In May [1]."),
        Say("How long is the notice for hall B?"),
        Say("Three months [1].", prompt_tokens=50),
    )
    with talk.client() as client:
        conversation = begin(client, model="fake-1")
        first = say(client, conversation, QUESTION)
        assert first["message"]["content"] == "In May [1]."
        assert first["message"]["citations"][0]["document_id"] == talk.documents["Lease"]
        second = say(client, conversation, "And how long is its notice?")
        assert second["message"]["query"] == "How long is the notice for hall B?"
        read = client.get(f"/v1/conversations/{conversation}").json()
    assert read["title"] == QUESTION
    assert [(message["role"], message["content"]) for message in read["messages"]] == [
        ("user", QUESTION),
        ("assistant", "In May [1]."),
        ("user", "And how long is its notice?"),
        ("assistant", "Three months [1]."),
    ]
    assert read["messages"][3]["reply_to"] == read["messages"][2]["id"]
    assert read["tokens_used"] == sum(message["tokens_used"] or 0 for message in read["messages"])
    assert read["cost"] > 0
    history = [role for role, _ in talk.provider.requests[-1].messages]
    assert history == ["system", "user", "assistant", "user"]


def test_messages_are_stored_as_the_platform_has_them(talk: Talk) -> None:
    with talk.client() as client:
        conversation = begin(client)
        say(client, conversation, QUESTION)

    async def stored() -> list[dict[str, Any]]:
        async with talk.service.runtime.pool.acquire() as conn:
            found: list[dict[str, Any]] = await conn.fetchval(
                'SELECT "messages" FROM "AIConversation" WHERE "id" = $1', conversation
            )
            return found

    question, answer = talk.service.call(stored())
    assert {"role", "content", "timestamp"} <= question.keys()
    assert (question["role"], question["content"]) == ("user", QUESTION)
    assert {"role", "content", "timestamp", "tokensUsed"} <= answer.keys()
    assert answer["role"] == "assistant"


def test_messages_that_the_web_application_wrote_are_part_of_it(talk: Talk) -> None:
    talk.provider.script(Say("What ends in May"), Say("Yes."))
    with talk.client() as client:
        conversation = begin(client, model="fake-1", settings={"when_nothing_found": "answer"})

        async def write() -> None:
            async with talk.service.runtime.pool.acquire() as conn:
                await conn.execute(
                    """
                    UPDATE "AIConversation" SET "messages" = ARRAY[
                        '{"role": "user", "content": "Hello, how are you?", "timestamp": "2024-01-01T00:00:00Z"}',
                        '{"role": "assistant", "content": "Well.", "tokensUsed": 15}',
                        '"not a message"']::jsonb[]
                    WHERE "id" = $1
                    """,
                    conversation,
                )

        talk.service.call(write())
        say(client, conversation, "And now?")
        messages = client.get(f"/v1/conversations/{conversation}").json()["messages"]
    assert [message["content"] for message in messages] == [
        "Hello, how are you?",
        "Well.",
        "And now?",
        "Yes.",
    ]
    assert ("assistant", "Well.") in talk.provider.requests[-1].messages


def test_a_stream_begins_with_ids_and_ends_with_the_stored_message(talk: Talk) -> None:
    talk.provider.script(Say("In ", "May [1]."))
    with talk.client() as client:
        conversation = begin(client, model="fake-1")
        with client.stream(
            "POST", f"/v1/conversations/{conversation}/messages", json={"content": QUESTION, "stream": True}
        ) as reply:
            events = read_events(reply)
        kinds = [kind for kind, _, _ in events]
        assert kinds[:2] == ["start", "retrieval"]
        assert kinds[-3:] == ["citation", "usage", "done"]
        message = client.get(f"/v1/conversations/{conversation}").json()["messages"][1]
    assert events[-1][1]["message"] == message
    assert events[0][1]["message_id"] == message["id"]


def test_two_messages_at_once_are_both_answered_and_kept(talk: Talk) -> None:
    with talk.client() as client:
        conversation = begin(client)
        with ThreadPoolExecutor(12) as threads:
            list(threads.map(lambda n: say(client, conversation, f"{QUESTION} {n}"), range(12)))
        messages = client.get(f"/v1/conversations/{conversation}").json()["messages"]
    assert len(messages) == 24
    questions = {message["id"] for message in messages if message["role"] == "user"}
    assert {message["reply_to"] for message in messages if message["role"] == "assistant"} == questions


def test_an_answer_can_be_stopped_and_keeps_what_was_said(talk: Talk) -> None:
    talk.provider.script(
        Say("In May ", "and so on", pause_after=1, prompt_tokens=None, completion_tokens=None)
    )
    with talk.client() as client:
        conversation = begin(client, model="fake-1")
        with client.stream(
            "POST", f"/v1/conversations/{conversation}/messages", json={"content": QUESTION, "stream": True}
        ) as reply:
            last: dict[str, Any] = {}
            for kind, data, _ in iter_events(reply):
                if kind == "start":
                    message_id = data["message_id"]
                elif kind == "delta":
                    url = f"/v1/conversations/{conversation}/messages/{message_id}/stop"
                    assert client.post(url).status_code == 202
                last = data
        assert talk.provider.disconnected.wait(20)
        assert last["message"]["status"] == "stopped"
        assert last["message"]["content"].strip() == "In May"
        assert last["usage"]["estimated"]
        assert last["usage"]["completion_tokens"] > 0
        read = client.get(f"/v1/conversations/{conversation}").json()
    assert read["messages"][1] == last["message"]
    assert read["cost"] == pytest.approx(last["usage"]["cost"])


def test_an_answer_is_stopped_from_another_process(talk: Talk, tmp_path: Path) -> None:
    talk.provider.script(Say("In May ", "and so on", pause_after=1))
    with (
        run_service(talk.service.database_url, tmp_path / "two", worker=False) as other,
        talk.client() as client,
        other.client(talk.service.key) as there,
    ):
        conversation = begin(client, model="fake-1")
        with client.stream(
            "POST", f"/v1/conversations/{conversation}/messages", json={"content": QUESTION, "stream": True}
        ) as reply:
            for kind, data, _ in iter_events(reply):
                if kind == "start":
                    message_id = data["message_id"]
                elif kind == "delta":
                    there.post(f"/v1/conversations/{conversation}/messages/{message_id}/stop")
                last = data
    assert last["message"]["status"] == "stopped"


def test_a_reader_who_was_cut_off_takes_the_answer_up_again(talk: Talk, tmp_path: Path) -> None:
    talk.provider.script(Say("One ", "two ", "three [1].", pause_after=2))
    with (
        run_service(talk.service.database_url, tmp_path / "two", worker=False) as other,
        talk.client() as client,
        other.client(talk.service.key) as there,
    ):
        conversation = begin(client, model="fake-1")
        body = {"content": QUESTION, "stream": True, "resumable": True}
        seen = ""
        with client.stream("POST", f"/v1/conversations/{conversation}/messages", json=body) as reply:
            for kind, data, position in iter_events(reply):
                place = position
                if kind == "start":
                    message_id = data["message_id"]
                elif kind == "delta":
                    seen += data["text"]
                    break
        url = f"/v1/conversations/{conversation}/messages/{message_id}/events"
        told: dict[str, str] = {}
        threads = [
            threading.Thread(target=_take_up, args=(where, url, place, told, name))
            for name, where in (("here", client), ("elsewhere", there))
        ]
        for thread in threads:
            thread.start()
        talk.provider.release()
        for thread in threads:
            thread.join()
        assert {name: seen + text for name, text in told.items()} == dict.fromkeys(
            ("here", "elsewhere"), "One two three [1]."
        )
        assert not talk.provider.disconnected.is_set()
        # Over by now: the whole of it, from either process.
        for where in (client, there):
            with where.stream("GET", url) as reply:
                events = read_events(reply)
            assert (
                "".join(data["text"] for kind, data, _ in events if kind == "delta") == "One two three [1]."
            )
            assert events[-1][1]["message"]["status"] == "complete"


def _take_up(client: httpx.Client, url: str, place: str | None, told: dict[str, str], name: str) -> None:
    with client.stream("GET", url, headers={"Last-Event-ID": place or "0"}) as reply:
        told[name] = "".join(data["text"] for kind, data, _ in iter_events(reply) if kind == "delta")


def test_a_reader_who_leaves_ends_the_answer_and_the_beginning_is_stored(talk: Talk) -> None:
    talk.provider.script(Say("In May ", "and so on", pause_after=1))
    with talk.client() as client:
        conversation = begin(client, model="fake-1")
        with client.stream(
            "POST", f"/v1/conversations/{conversation}/messages", json={"content": QUESTION, "stream": True}
        ) as reply:
            for kind, data, _ in iter_events(reply):
                if kind == "start":
                    message_id = data["message_id"]
                elif kind == "delta":
                    break
        assert talk.provider.disconnected.wait(20)
        # Its end is an event as well: the stream of what was saved ends with it.
        with client.stream("GET", f"/v1/conversations/{conversation}/messages/{message_id}/events") as reply:
            ending = read_events(reply)[-1][1]
        assert ending["message"]["status"] == "interrupted"
        read = client.get(f"/v1/conversations/{conversation}").json()
    assert read["messages"][1]["content"].strip() == "In May"
    assert read["tokens_used"] > 0


def test_an_answer_is_given_once_more_and_the_old_one_is_kept_beside_it(talk: Talk) -> None:
    talk.provider.script(Say("First [1]."), Say("Second [1]."), Say("Third [1]."))
    with talk.client() as client:
        conversation = begin(client, model="fake-1")
        answer = say(client, conversation, QUESTION)["message"]
        url = f"/v1/conversations/{conversation}/messages/{answer['id']}/regenerate"
        second = client.post(url, json={}).json()["message"]
        assert second["content"] == "Second [1]."
        url = f"/v1/conversations/{conversation}/messages/{answer['reply_to']}/regenerate"
        client.post(url, json={})
        messages = client.get(f"/v1/conversations/{conversation}").json()["messages"]
        unknown = f"/v1/conversations/{conversation}/messages/none/regenerate"
        assert client.post(unknown, json={}).status_code == 404
    assert [message["content"] for message in messages] == [QUESTION, "Third [1]."]
    assert [old["content"] for old in messages[1]["alternatives"]] == ["First [1].", "Second [1]."]


@pytest.mark.parametrize(("failure", "kept"), [(Refuse(401), 1), (Break(1), 2)])
def test_a_failure_keeps_the_question_and_whatever_was_said(talk: Talk, failure: Any, kept: int) -> None:
    talk.provider.always = failure
    with talk.client() as client:
        conversation = begin(client, model="fake-1")
        done = say(client, conversation, QUESTION)
        assert done["error"]["code"] in {"key_refused", "broken_stream"}
        messages = client.get(f"/v1/conversations/{conversation}").json()["messages"]
        assert len(messages) == kept
        # And it can be asked again.
        talk.provider.always = Say("In May [1].")
        url = f"/v1/conversations/{conversation}/messages/{messages[0]['id']}/regenerate"
        assert client.post(url, json={}).json()["message"]["content"] == "In May [1]."
        assert len(client.get(f"/v1/conversations/{conversation}").json()["messages"]) == 2


def test_conversations_are_listed_found_renamed_exported_and_deleted(talk: Talk) -> None:
    with talk.client() as client:
        ids = [begin(client, title=f"Talk {n}") for n in range(3)]
        say(client, ids[0], QUESTION)
        listed = client.get("/v1/conversations", params={"limit": 2}).json()
        assert [row["id"] for row in listed["data"]] == [ids[0], ids[2]]
        rest = client.get("/v1/conversations", params={"after": listed["next_cursor"]}).json()
        assert [row["id"] for row in rest["data"]] == [ids[1]]
        for containing, found in (("HALL B", [ids[0]]), ("talk 1", [ids[1]]), ("nowhere", []), ("%", [])):
            rows = client.get("/v1/conversations", params={"containing": containing}).json()["data"]
            assert [row["id"] for row in rows] == found
        renamed = client.patch(f"/v1/conversations/{ids[0]}", json={"title": "Renamed"}).json()
        assert renamed["title"] == "Renamed"
        markdown = client.get(f"/v1/conversations/{ids[0]}/export").text
        assert markdown.startswith("# Renamed\n")
        assert f"document {talk.documents['Lease']}" in markdown
        exported = client.get(f"/v1/conversations/{ids[0]}/export", params={"as": "json"}).json()
        assert exported["messages"][0]["content"] == QUESTION
        assert client.delete(f"/v1/conversations/{ids[0]}").status_code == 204
        assert client.get(f"/v1/conversations/{ids[0]}").status_code == 404


def test_a_conversation_deleted_while_it_is_answered_is_still_charged_for(talk: Talk) -> None:
    talk.provider.script(Say("In May ", "[1].", pause_after=1))
    with talk.client() as client:
        conversation = begin(client, model="fake-1")
        deleted = False
        with client.stream(
            "POST", f"/v1/conversations/{conversation}/messages", json={"content": QUESTION, "stream": True}
        ) as reply:
            for kind, _, _ in iter_events(reply):
                if kind == "delta" and not deleted:
                    deleted = client.delete(f"/v1/conversations/{conversation}").status_code == 204
                    talk.provider.release()
        usage = client.get("/v1/usage", params={"group_by": "kind"}).json()["data"]
    assert deleted
    assert any(row["kind"] == "ai_request.chat" and row["cost"] > 0 for row in usage)


def test_an_answer_of_a_process_that_died_becomes_a_message(talk: Talk) -> None:
    with talk.client() as client:
        conversation = begin(client)
        question = say(client, conversation, QUESTION)["message"]["reply_to"]
        turn_id = uuid.uuid4()

        async def die() -> None:
            pool = talk.service.runtime.pool
            async with pool.acquire() as conn:
                owner = await conn.fetchval(
                    'SELECT "userId" FROM "AIConversation" WHERE "id" = $1', conversation
                )
                await turns.insert_turn(
                    conn,
                    turn_id=turn_id,
                    conversation_id=conversation,
                    question_id=uuid.UUID(question),
                    user_id=owner,
                    team_id=None,
                    key_id=None,
                    model_id="extractive",
                )
                await turns.save_progress(conn, turn_id, text="The beginning", retrieval=None)
            assert await keep_abandoned(pool, unseen_for=timedelta(hours=1)) == 0
            assert await keep_abandoned(pool, unseen_for=timedelta(0)) == 1
            assert await keep_abandoned(pool, unseen_for=timedelta(0)) == 0

        talk.service.call(die())
        answer = client.get(f"/v1/conversations/{conversation}").json()["messages"][1]
    assert (answer["content"], answer["status"]) == ("The beginning", "interrupted")


def test_what_the_database_cannot_hold_is_replaced_or_refused(talk: Talk) -> None:
    talk.provider.script(Say("In\x00 May", " \ud800 [1]."))
    with talk.client() as client:
        conversation = begin(client, model="fake-1")
        body = '{"content": "When does the lease\\u0000 of hall B end?"}'
        headers = {"Content-Type": "application/json"}
        reply = client.post(f"/v1/conversations/{conversation}/messages", content=body, headers=headers)
        assert reply.status_code == 200, reply.text
        assert reply.json()["message"]["content"] == "In\ufffd May \ufffd [1]."
        read = client.get(f"/v1/conversations/{conversation}").json()["messages"]
        assert read[0]["content"] == "When does the lease\ufffd of hall B end?"
        for settings in ({"instructions": "a\x00b"}, {"document_ids": ["\x00"]}):
            refused = client.post("/v1/conversations", json={"settings": settings})
            assert refused.status_code == 422, refused.text


def test_a_teams_conversation_answers_from_the_teams_documents_alone(talk: Talk) -> None:
    with talk.client() as client:
        team = client.post("/v1/teams", json={"name": "Open"}).json()["id"]
        elsewhere = client.post("/v1/teams", json={"name": "Other"}).json()["id"]
        conversation = begin(client, team_id=team)
        # What is its owner's own would be read by every member of the team.
        assert say(client, conversation, QUESTION)["message"]["declined"]
        only = {"document_ids": [talk.documents["Lease"]]}
        client.patch(f"/v1/conversations/{conversation}", json={"settings": only})
        assert say(client, conversation, QUESTION)["message"]["declined"]
        there = client.post("/v1/conversations", json={"team_id": team, "settings": {"team_id": elsewhere}})
        assert there.status_code == 422
        client.patch(f"/v1/documents/{talk.documents['Lease']}", json={"team_id": team})
        assert not say(client, conversation, QUESTION)["message"]["declined"]


def test_a_key_that_may_not_search_gets_no_answers_from_documents(talk: Talk) -> None:
    key = talk.service.new_user("writer@example.com", scopes=("conversations:write",))
    with talk.service.client(key) as client:
        asked = {"model": "extractive", "messages": [{"role": "user", "content": QUESTION}]}
        assert client.post("/v1/chat/completions", json=asked).status_code == 403
        assert (
            client.post("/v1/responses", json={"model": "extractive", "input": QUESTION}).status_code == 403
        )
        conversation = begin(client)
        reply = client.post(f"/v1/conversations/{conversation}/messages", json={"content": QUESTION})
        assert reply.status_code == 403
        assert client.get("/v1/conversations").status_code == 403


def test_what_sql_wrote_into_a_conversation_breaks_nothing(talk: Talk) -> None:
    with talk.client() as client:
        conversation = begin(client)
        question = say(client, conversation, QUESTION)["message"]["reply_to"]

        async def write() -> None:
            async with talk.service.runtime.pool.acquire() as conn:
                await conn.execute(
                    """
                    UPDATE "AIConversation" SET "summary" = '{"x": 1}', "settings" = '{"mode": 7}',
                        "messages" = array_append("messages"[1:1],
                            jsonb_build_object('role', 'assistant', 'content', 5, 'replyTo', $2::text))
                        || '{"role": "user", "content": "?", "id": "no uuid"}'::jsonb
                    WHERE "id" = $1
                    """,
                    conversation,
                    question,
                )

        talk.service.call(write())
        url = f"/v1/conversations/{conversation}/messages"
        assert client.post(f"{url}/{question}/regenerate", json={}).json()["message"]["citations"]
        assert client.post(f"{url}/no uuid/regenerate", json={}).status_code == 404
        assert say(client, conversation, QUESTION)["message"]["citations"]
        assert client.post(url, json={"content": "  "}).status_code == 422


def test_an_answer_read_twice_ends_with_neither_reader_alone(talk: Talk) -> None:
    """Whoever waits for the whole of it still does when another reader closes the stream."""
    talk.provider.script(Say("In May ", "[1].", pause_after=1))
    with talk.client() as client, ThreadPoolExecutor(1) as threads:
        conversation = begin(client, model="fake-1")
        waiting = threads.submit(say, client, conversation, QUESTION)
        talk.provider.wait_for_request()

        async def turn_id() -> str:
            async with talk.service.runtime.pool.acquire() as conn:
                return str(await conn.fetchval("SELECT id FROM conversation_turn"))

        url = f"/v1/conversations/{conversation}/messages/{talk.service.call(turn_id())}/events"
        with client.stream("GET", url) as reply:
            next(iter_events(reply))
        talk.provider.release()
        assert waiting.result()["message"]["content"] == "In May [1]."
