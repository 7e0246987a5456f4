"""POST /dify/retrieval as Dify sends it, on the whole service."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.database import TestServer
from tests.running import Service, run_service

LEASE = "The lease of hall B ends on the last day of May."
MINUTES = "The board met on Monday and agreed on the budget."


@pytest.fixture(scope="module")
def server(postgres: TestServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One service with its worker for the module; each test has people of its own."""
    dsn = postgres.create()
    with run_service(dsn, tmp_path_factory.mktemp("home")) as service:
        yield service
    postgres.drop(dsn)


@pytest.fixture
def key(server: Service, request: pytest.FixtureRequest) -> str:
    """A key of somebody with a lease and minutes of their own."""
    key = server.new_user(f"{request.node.name[5:60]}@example.com")
    for title, content in (("Lease", LEASE), ("Minutes", MINUTES)):
        add(server, key, title=title, content=content, metadata={"kind": title.lower(), "page_start": "mine"})
    return key


def add(server: Service, key: str, **fields: Any) -> str:
    with server.client(key) as client:
        reply = client.post("/v1/documents?wait=50", json=fields)
    assert reply.json()["status"] == "ready", reply.text
    return str(reply.json()["id"])


def retrieve(server: Service, key: str, knowledge_id: str = "all", **fields: Any) -> httpx.Response:
    """Send what Dify sends: it always gives both settings, and null where there are no conditions."""
    body = {
        "retrieval_setting": {"top_k": 4, "score_threshold": 0.0},
        "query": "When does the lease end?",
        "knowledge_id": knowledge_id,
        "metadata_condition": None,
    }
    with server.client(key) as client:
        return client.post("/dify/retrieval", json=body | fields)


def titles(reply: httpx.Response) -> list[str]:
    assert reply.status_code == 200, reply.text
    return [record["title"] for record in reply.json()["records"]]


def refusal(reply: httpx.Response) -> tuple[int, int]:
    """Return status and error_code of what has Dify's form."""
    assert isinstance(reply.json()["error_msg"], str)
    assert reply.headers["content-type"] == "application/json"
    return reply.status_code, reply.json()["error_code"]


def test_records_have_content_score_title_and_where_they_stand(server: Service, key: str) -> None:
    reply = retrieve(server, key)
    assert titles(reply)[0] == "Lease"
    for record in reply.json()["records"]:
        assert set(record) == {"content", "score", "title", "metadata"}
    record = reply.json()["records"][0]
    place = record["metadata"]
    assert record["content"] == LEASE[place["char_start"] : place["char_end"]]
    assert 0 < record["score"] <= 1
    assert place["kind"] == "lease"
    # The document's own metadata do not hide where the passage stands.
    assert (place["page_start"], place["page_end"], place["headings"]) == (None, None, [])
    with server.client(key) as client:
        (chunk,) = client.get(f"/v1/documents/{place['document_id']}/chunks").json()["data"]
    assert chunk["id"] == place["chunk_id"]


def test_top_k_and_threshold_hold(server: Service, key: str) -> None:
    records = retrieve(server, key).json()["records"]
    assert len(records) == 2
    assert titles(retrieve(server, key, retrieval_setting={"top_k": 1, "score_threshold": 0})) == ["Lease"]
    between = (records[0]["score"] + records[1]["score"]) / 2
    assert titles(retrieve(server, key, retrieval_setting={"top_k": 4, "score_threshold": between})) == [
        "Lease"
    ]
    nothing = retrieve(server, key, retrieval_setting={"top_k": 4, "score_threshold": 1.0})
    assert nothing.json() == {"records": []}
    assert titles(retrieve(server, key, retrieval_setting={"top_k": 4, "score_threshold": None})) != []


def test_conditions_narrow_what_is_found(server: Service, key: str) -> None:
    conditions = [{"name": ["kind"], "comparison_operator": "start with", "value": "min", "id": "added"}]
    condition = {"logical_operator": "and", "conditions": conditions}
    assert titles(retrieve(server, key, metadata_condition=condition)) == ["Minutes"]


def test_a_team_and_a_vector_store_are_knowledge(server: Service, key: str) -> None:
    with server.client(key) as client:
        team_id = client.post("/v1/teams", json={"name": "Board"}).json()["id"]
        shared = add(server, key, title="Shared", content=LEASE, team_id=team_id)
        store = client.post(
            "/v1/vector_stores", json={"file_ids": [f"file-{shared}"]}, headers={"X-Docsearch-Team": team_id}
        ).json()["id"]
        empty = client.post("/v1/vector_stores", json={}).json()["id"]
    assert sorted(titles(retrieve(server, key))) == ["Lease", "Minutes", "Shared"]
    assert titles(retrieve(server, key, team_id)) == ["Shared"]
    assert titles(retrieve(server, key, store)) == ["Shared"]
    assert titles(retrieve(server, key, empty)) == []


def test_knowledge_of_others_is_not_there(server: Service, key: str) -> None:
    stranger = server.new_user("stranger@example.com")
    with server.client(key) as client:
        team_id = client.post("/v1/teams", json={"name": "Secret"}).json()["id"]
        stores = [
            client.post("/v1/vector_stores", json={}, headers=headers).json()["id"]
            for headers in ({}, {"X-Docsearch-Team": team_id})
        ]
        user_id = client.get("/v1/users/me").json()["id"]
    for knowledge_id in (team_id, *stores, user_id, "vs_nothing", "nothing", "vs_\x00", "ALL"):
        assert refusal(retrieve(server, stranger, knowledge_id)) == (404, 2001), knowledge_id
    assert titles(retrieve(server, stranger)) == []


def test_who_is_not_let_in_is_told_in_difys_form(server: Service) -> None:
    with httpx.Client(base_url=server.url) as client:
        for header in (None, "dsk_" + "A" * 43, "Bearer", "Bearer nonsense", "Basic dXNlcg=="):
            headers = {} if header is None else {"Authorization": header}
            assert refusal(client.post("/dify/retrieval", json={}, headers=headers)) == (401, 1001), header
    assert refusal(retrieve(server, "dsk_" + "A" * 43)) == (401, 1002)
    reader = server.new_user("reader@example.com", scopes=("documents:read",))
    reply = retrieve(server, reader)
    assert refusal(reply) == (403, 1002)
    assert "lacks the scope search" in reply.json()["error_msg"]


@pytest.mark.parametrize(
    "fields",
    [
        {"query": ""},
        {"query": None},
        {"knowledge_id": ""},
        {"retrieval_setting": {"top_k": 0}},
        {"retrieval_setting": {"score_threshold": 2}},
        {"metadata_condition": {"conditions": [{"name": "a", "comparison_operator": "like", "value": "b"}]}},
        {"metadata_condition": {"conditions": [{"name": [], "comparison_operator": "is", "value": "b"}]}},
        {"metadata_condition": {"conditions": [{"name": "a", "comparison_operator": "is"}]}},
    ],
)
def test_what_makes_no_sense_is_refused(server: Service, fields: dict[str, Any]) -> None:
    reply = retrieve(server, server.key, **fields)
    assert refusal(reply) == (400, 400)
    assert reply.json()["error_msg"]


def test_what_cannot_be_searched_for_is_refused(server: Service) -> None:
    assert refusal(retrieve(server, server.key, query=" \t")) == (422, 422)
    long = {"conditions": [{"name": "a", "comparison_operator": "contains", "value": "x" * 2000}]}
    assert refusal(retrieve(server, server.key, metadata_condition=long)) == (422, 422)


def test_dify_can_check_the_address(server: Service) -> None:
    # When a knowledge base is set up it sends no body, and takes all but 403, 404 and 502 for a success.
    with server.client() as client:
        assert refusal(client.post("/dify/retrieval")) == (400, 400)


def test_a_query_is_written_down_as_any_other(server: Service) -> None:
    key = server.new_user("counted@example.com")
    with server.client(key) as client:
        team_id = client.post("/v1/teams", json={"name": "Counted"}).json()["id"]
        retrieve(server, key, team_id)
        retrieve(server, key)
        rows = client.get("/v1/usage", params={"group_by": ["kind", "team"]}).json()["data"]
    counted = {row["team_id"]: row["requests"] for row in rows if row["kind"] == "search.query"}
    assert counted == {team_id: 1, None: 1}
