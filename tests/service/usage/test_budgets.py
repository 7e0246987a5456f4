"""Budgets over HTTP: set, listed, kept to by answers, searches and uploads, and told of."""

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.fakes.chat_servers import Refuse, Say
from tests.running import Service, run_service
from tests.service.chatting import QUESTION, Talk, talking

ESTIMATE = (3_000 + 3_000) * 0.001 + 1_024 * 0.002
"""What is set aside for an answer of the model of tests.service.chatting, in dollars."""


@pytest.fixture
def talk(database_url: str, tmp_path: Path) -> Iterator[Talk]:
    with talking(database_url, tmp_path / "home") as talk:
        yield talk


@pytest.fixture
def priced(database_url: str, tmp_path: Path) -> Iterator[Service]:
    """A service where a token of a query or a document costs a cent."""
    with run_service(database_url, tmp_path / "home", embedding_price_per_million=10_000) as service:
        yield service


def _me(client: httpx.Client) -> str:
    user_id: str = client.get("/v1/users/me").json()["id"]
    return user_id


def _put(client: httpx.Client, kind: str, subject_id: str, dollars: float) -> httpx.Response:
    return client.put(f"/v1/budgets/{kind}/{subject_id}", json={"monthly_limit": dollars})


def _amounts(client: httpx.Client, kind: str = "user") -> tuple[float, float]:
    """Return what is spent and what is set aside of the caller's budget of a kind."""
    (found,) = [budget for budget in client.get("/v1/budgets").json()["data"] if budget["kind"] == kind]
    return found["spent"], found["reserved"]


def test_a_budget_is_set_listed_changed_and_removed(server: Service) -> None:
    with server.client(server.new_user("ann@example.com")) as client:
        me = _me(client)
        team = client.post("/v1/teams", json={"name": "Law"}).json()["id"]
        key = client.get("/v1/api-keys").json()["data"][0]["id"]
        assert client.get("/v1/budgets").json()["data"] == []
        for kind, subject_id in (("user", me), ("team", team), ("key", key)):
            reply = _put(client, kind, subject_id, 2.5)
            assert reply.status_code == 200, reply.text
            assert (
                client.put(f"/v1/budgets/{kind}/{subject_id}", json={"monthly_limit": 7}).status_code == 200
            )
        listed = client.get("/v1/budgets").json()["data"]
        assert [(found["kind"], found["subject_id"], found["monthly_limit"]) for found in listed] == [
            ("user", me, 7),
            ("team", team, 7),
            ("key", key, 7),
        ]
        assert listed[0] | {"resets_at": ""} == reply.json() | {
            "kind": "user",
            "subject_id": me,
            "monthly_limit": 7,
            "resets_at": "",
        }
        resets_at = datetime.fromisoformat(listed[0]["resets_at"])
        assert resets_at > datetime.now(UTC)
        assert (resets_at.day, resets_at.hour) == (1, 0)
        assert client.delete(f"/v1/budgets/user/{me}").status_code == 204
        assert client.delete(f"/v1/budgets/user/{me}").status_code == 404
        assert [found["kind"] for found in client.get("/v1/budgets").json()["data"]] == ["team", "key"]
        audit = client.get(f"/v1/teams/{team}/audit").json()["data"]
        assert [(row["action"], row["details"]) for row in audit if row["action"].startswith("budget")] == [
            ("budget.set", {"monthly_limit": 7}),
            ("budget.set", {"monthly_limit": 2.5}),
        ]


@pytest.mark.parametrize("limit", [-1, 1e12, "much", None])
def test_a_limit_is_an_amount(server: Service, limit: Any) -> None:
    with server.client() as client:
        reply = client.put(f"/v1/budgets/user/{_me(client)}", json={"monthly_limit": limit})
    assert reply.status_code == 400, reply.text


def test_a_budget_belongs_to_whose_it_is(server: Service) -> None:
    ann, bob = server.new_user("ann@example.com"), server.new_user("bob@example.com")
    with server.client(ann) as client:
        me, key = _me(client), client.get("/v1/api-keys").json()["data"][0]["id"]
        _put(client, "user", me, 5)
        _put(client, "key", key, 5)
        small = client.post(
            "/v1/api-keys", json={"name": "s", "scopes": ["usage:read", "account:write"]}
        ).json()
        assert _put(client, "plan", me, 5).status_code == 400
    with server.client(bob) as client:
        assert client.get("/v1/budgets").json()["data"] == []
        for kind, subject_id in (("user", me), ("key", key), ("team", "nobody's"), ("key", "nobody's")):
            assert _put(client, kind, subject_id, 1000).status_code == 404
            assert client.delete(f"/v1/budgets/{kind}/{subject_id}").status_code == 404
    with server.client(small["key"]) as client:
        assert [found["monthly_limit"] for found in client.get("/v1/budgets").json()["data"]] == [5, 5]
        assert _put(client, "user", me, 1000).status_code == 403


def test_an_answer_is_refused_before_the_model_is_asked(talk: Talk) -> None:
    with talk.client() as client:
        me = _me(client)
        _put(client, "user", me, ESTIMATE - 0.001)
        question = {"question": QUESTION, "model": talk.model_id}
        for _ in range(2):
            reply = client.post("/v1/answers", json=question)
        problem = reply.json()
        assert (reply.status_code, reply.headers["x-should-retry"]) == (402, "false")
        assert problem | {"detail": "", "resets_at": ""} == {
            "status": 402,
            "title": "Payment Required",
            "type": "about:blank",
            "detail": "",
            "code": "budget_reached",
            "kind": "user",
            "subject_id": me,
            "limit": ESTIMATE - 0.001,
            "spent": 0,
            "reserved": 0,
            "resets_at": "",
        }
        assert "Your monthly budget" in problem["detail"]
        assert talk.provider.requests == []
        told = [note for note in client.get("/v1/notifications").json()["data"] if note["type"] == "SYSTEM"]
        assert [note["title"] for note in told] == ["A monthly budget has stopped a request"]
        # What costs nothing goes on.
        assert client.post("/v1/answers", json={"question": QUESTION}).status_code == 200


def test_an_answer_is_settled_at_what_it_cost_whether_it_succeeds_or_fails(talk: Talk) -> None:
    with talk.client() as client:
        _put(client, "user", _me(client), ESTIMATE + 0.1)
        question = {"question": QUESTION, "model": talk.model_id}
        talk.provider.script(Say("In May [1].", prompt_tokens=50, completion_tokens=10))
        assert client.post("/v1/answers", json=question).json()["usage"]["cost"] == pytest.approx(0.07)
        assert _amounts(client) == (0.07, 0)
        talk.provider.script(Refuse(401, "no"))
        client.post("/v1/answers", json=question)
        assert _amounts(client) == (0.07, 0)
        talk.provider.script(Say("In May [1].", prompt_tokens=50, completion_tokens=10))
        client.post("/v1/answers", json=question)
        assert client.post("/v1/answers", json=question).status_code == 402
        assert _amounts(client) == (0.14, 0)


async def test_of_questions_at_once_those_are_asked_that_fit(talk: Talk) -> None:
    with talk.client() as client:
        _put(client, "user", _me(client), ESTIMATE * 3)
        talk.provider.script(*(Say("In May [1].", prompt_tokens=50, completion_tokens=10) for _ in range(12)))
        headers = client.headers
    async with httpx.AsyncClient(base_url=talk.url, headers=headers, timeout=60) as client:
        replies = await asyncio.gather(
            *(
                client.post("/v1/answers", json={"question": QUESTION, "model": talk.model_id})
                for _ in range(12)
            )
        )
    statuses = [reply.status_code for reply in replies]
    assert set(statuses) <= {200, 402}
    assert statuses.count(200) >= 3
    with talk.client() as client:
        spent, reserved = _amounts(client)
    assert spent == pytest.approx(0.07 * statuses.count(200))
    assert reserved == 0
    assert spent <= ESTIMATE * 3


def test_people_are_told_once_that_a_budget_runs_low(talk: Talk) -> None:
    with talk.client() as client:
        _put(client, "user", _me(client), 100)
        question = {"question": QUESTION, "model": talk.model_id}
        for cost_tokens in (79_000, 1_000, 1, 1):
            talk.provider.script(Say("In May [1].", prompt_tokens=cost_tokens, completion_tokens=0))
            assert client.post("/v1/answers", json=question).status_code == 200
        notes = client.get("/v1/notifications").json()["data"]
    assert [note["title"] for note in notes] == ["80 % of a monthly budget is spent"]
    assert "$80.00 of $100.00" in notes[0]["message"]


def test_searches_and_uploads_stop_where_embedding_has_a_price(priced: Service) -> None:
    with priced.client(priced.new_user("ann@example.com")) as client:
        _put(client, "user", _me(client), 0.2)
        document = {"title": "t", "content": "The lease of hall B ends in May."}
        location = client.post(
            "/v1/documents?wait=50", json=document, headers={"Idempotency-Key": "k"}
        ).headers["location"]
        assert client.get(location).json()["status"] == "ready"
        by_ingestion = _amounts(client)[0]
        assert by_ingestion > 0
        for mode, words in (("hybrid", 3), ("lexical", 0), ("semantic", 2)):
            before = _amounts(client)[0]
            reply = client.post(
                "/v1/search", json={"query": "lease hall ends"[: words * 5 or None], "mode": mode}
            )
            assert reply.status_code == 200, reply.text
            assert _amounts(client)[0] == pytest.approx(before + words * 0.01)
            assert _amounts(client)[1] == 0
        # A query that is refused gives back what was set aside for it.
        assert (
            client.post("/v1/search", json={"query": "a", "filters": {"eq": ["nonsense"]}}).status_code >= 400
        )
        assert _amounts(client)[1] == 0

        _put(client, "user", _me(client), by_ingestion)
        reply = client.post("/v1/search", json={"query": "lease"})
        assert (reply.status_code, reply.json()["code"]) == (402, "budget_reached")
        assert client.post("/v1/search", json={"query": "lease", "mode": "lexical"}).status_code == 200
        refused = client.post("/v1/documents", json={"title": "u", "content": "more"})
        assert (refused.status_code, refused.json()["code"]) == (402, "budget_reached")
        again = client.post("/v1/documents", json=document, headers={"Idempotency-Key": "k"})
        assert again.headers["location"] == location
        assert len(client.get("/v1/documents").json()["data"]) == 1


def test_the_key_that_is_used_up_stops_and_the_person_does_not(priced: Service) -> None:
    with priced.client(priced.new_user("ann@example.com")) as client:
        made = client.post("/v1/api-keys", json={"name": "small", "scopes": ["search"]}).json()
        _put(client, "key", made["api_key"]["id"], 0.015)
        with priced.client(made["key"]) as small:
            assert small.post("/v1/search", json={"query": "lease"}).status_code == 200
            refused = small.post("/v1/search", json={"query": "lease"})
        assert (refused.status_code, refused.json()["kind"]) == (402, "key")
        assert client.post("/v1/search", json={"query": "lease"}).status_code == 200
        assert _amounts(client, "key") == (0.01, 0)


def test_a_team_stops_for_all_of_its_members_and_its_owners_hear_of_it(priced: Service) -> None:
    ann, bob = priced.new_user("ann@example.com"), priced.new_user("bob@example.com")
    with priced.client(ann) as owner, priced.client(bob) as member:
        team = owner.post("/v1/teams", json={"name": "Law"}).json()["id"]
        priced.call(_join(priced, team, _me(member)))
        _put(owner, "team", team, 0.01)
        query = {"query": "lease", "team_id": team}
        assert member.post("/v1/search", json=query).status_code == 200
        refused = owner.post("/v1/search", json=query)
        assert (refused.status_code, refused.json()["kind"], refused.json()["subject_id"]) == (
            402,
            "team",
            team,
        )
        assert member.post("/v1/search", json={"query": "lease"}).status_code == 200
        assert _amounts(member, "team") == (0.01, 0)
        assert _put(member, "team", team, 5).status_code == 403
        notes = [client.get("/v1/notifications").json()["data"] for client in (owner, member)]
        assert [len(told) for told in notes] == [1, 0]
        assert json.dumps(notes[0][0]).count(team) == 1


async def _join(service: Service, team_id: str, user_id: str) -> None:
    async with service.runtime.pool.acquire() as conn:
        await conn.execute(
            """INSERT INTO "TeamMember" ("teamId", "userId", "role") VALUES ($1, $2, 'MEMBER')""",
            team_id,
            user_id,
        )
