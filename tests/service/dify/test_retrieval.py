"""POST /dify/retrieval, asked as Dify asks."""

from typing import Any

import httpx
import pytest

from tests.running import Service

TEXT = "The board met on Monday and agreed on the budget of hall B."


def dify(server: Service, key: str | None, **changes: Any) -> httpx.Response:
    """Send what Dify sends: to the address and /retrieval, with the key that it was given."""
    body = {
        "knowledge_id": "all",
        "query": "When did the board meet?",
        "retrieval_setting": {"top_k": 3, "score_threshold": 0.0},
        "metadata_condition": None,
    }
    with server.client(key) as client:
        return client.post("/dify/retrieval", json=body | changes)


def add(server: Service, key: str, **fields: Any) -> str:
    with server.client(key) as client:
        reply = client.post("/v1/documents?wait=30", json={"title": "Minutes", "content": TEXT, **fields})
    assert reply.json()["status"] == "ready"
    return str(reply.json()["id"])


def records(reply: httpx.Response) -> list[dict[str, Any]]:
    assert reply.status_code == 200, reply.text
    found: list[dict[str, Any]] = reply.json()["records"]
    return found


def failure(reply: httpx.Response) -> tuple[int, int]:
    """Return the status and Dify's code; there is a sentence for the user with it."""
    assert reply.headers["content-type"] == "application/json"
    assert reply.json()["error_msg"]
    return reply.status_code, reply.json()["error_code"]


def test_a_passage_comes_with_where_it_stands(server: Service) -> None:
    document_id = add(server, server.key, metadata={"year": 2024, "document_id": "forged"})
    (record,) = records(dify(server, server.key))
    assert (record["content"], record["title"]) == (TEXT, "Minutes")
    assert 0 < record["score"] <= 1
    where = record["metadata"]
    assert (where["document_id"], where["year"], where["page_start"]) == (document_id, 2024, None)
    assert TEXT[where["char_start"] : where["char_end"]] == record["content"]
    assert set(where) >= {"chunk_id", "page_end", "headings"}


def test_metadata_is_an_object_and_nothing_found_is_an_empty_list(server: Service) -> None:
    assert dify(server, server.key).json() == {"records": []}
    add(server, server.key)
    assert isinstance(records(dify(server, server.key))[0]["metadata"], dict)


def test_the_threshold_and_the_number_of_records_hold(server: Service) -> None:
    for i in range(3):
        add(server, server.key, content=f"{TEXT} It was meeting {i}.")
    every = records(dify(server, server.key, retrieval_setting={"top_k": 500, "score_threshold": None}))
    assert len(every) == 3
    assert [record["score"] for record in every] == sorted((r["score"] for r in every), reverse=True)
    assert len(records(dify(server, server.key, retrieval_setting={"top_k": 2, "score_threshold": 0}))) == 2
    best = every[0]["score"]
    above = records(dify(server, server.key, retrieval_setting={"top_k": 9, "score_threshold": best}))
    assert {record["score"] for record in above} == {best}
    assert records(dify(server, server.key, retrieval_setting={"top_k": 9, "score_threshold": 1.0})) == []


def test_conditions_narrow_the_search(server: Service) -> None:
    wanted = add(server, server.key, metadata={"kind": "annual report"})
    add(server, server.key, metadata={"kind": "memo"})
    condition = {"name": ["kind"], "comparison_operator": "contains", "value": "report"}
    given = {"logical_operator": "and", "conditions": [condition]}
    (record,) = records(dify(server, server.key, metadata_condition=given))
    assert record["metadata"]["document_id"] == wanted


@pytest.mark.parametrize(
    "changes",
    [
        {"query": ""},
        {"query": 5},
        {"knowledge_id": None},
        {"retrieval_setting": {"top_k": 0}},
        {"retrieval_setting": {"top_k": 3, "score_threshold": 2}},
        {"metadata_condition": {"conditions": [{"name": "k", "comparison_operator": "like", "value": "x"}]}},
        {"metadata_condition": {"conditions": [{"name": "k", "comparison_operator": "is"}]}},
        {"metadata_condition": {"conditions": [{"comparison_operator": "empty"}]}},
    ],
)
def test_what_has_not_the_form_is_refused(server: Service, changes: dict[str, Any]) -> None:
    assert failure(dify(server, server.key, **changes)) == (400, 400)


def test_the_check_that_dify_makes_when_it_is_connected_passes(server: Service) -> None:
    with server.client() as client:
        # Without a body; it takes 403, 404 and 502 for wrong addresses and keys.
        assert failure(client.post("/dify/retrieval")) == (400, 400)


def test_who_may_not_is_told_so(server: Service) -> None:
    with server.client(None) as client:
        for header, code in (
            (None, 1001),
            ("", 1001),
            ("Basic abc", 1001),
            ("Bearer", 1001),
            ("Bearer x", 1002),
        ):
            headers = {} if header is None else {"Authorization": header}
            reply = client.post("/dify/retrieval", json={}, headers=headers)
            assert failure(reply) == (401, code), header
            assert reply.headers["www-authenticate"].startswith("Bearer")
    lacking = server.new_user("reader@example.com", scopes=("documents:read",))
    assert failure(dify(server, lacking)) == (403, 1002)


def test_knowledge_of_others_is_not_there(server: Service) -> None:
    owner, other = server.new_user("owner@example.com"), server.new_user("other@example.com")
    with server.client(owner) as client:
        team_id = client.post("/v1/teams", json={"name": "Legal"}).json()["id"]
        store_id = client.post("/v1/vector_stores", json={"name": "Legal"}).json()["id"]
        user_id = client.get("/v1/users/me").json()["id"]
    document_id = add(server, owner, team_id=team_id)
    with server.client(owner) as client:
        client.post(f"/v1/vector_stores/{store_id}/files", json={"file_id": document_id})
    assert len(records(dify(server, owner, knowledge_id=team_id))) == 1
    assert records(dify(server, owner, knowledge_id=store_id)) == []
    assert records(dify(server, other)) == []
    for knowledge_id in (
        team_id,
        store_id,
        user_id,
        document_id,
        "nonsense",
        "vs_nonsense",
        "vs_\x00",
        "\x00",
    ):
        assert failure(dify(server, other, knowledge_id=knowledge_id)) == (404, 2001), knowledge_id


def test_a_team_is_searched_alone(server: Service) -> None:
    with server.client() as client:
        team_id = client.post("/v1/teams", json={"name": "Legal"}).json()["id"]
    add(server, server.key)
    shared = add(server, server.key, team_id=team_id)
    (record,) = records(dify(server, server.key, knowledge_id=team_id))
    assert record["metadata"]["document_id"] == shared
    assert len(records(dify(server, server.key))) == 2


def test_a_vector_store_is_searched_alone(server: Service) -> None:
    add(server, server.key)
    with server.client() as client:
        upload = {"file": ("minutes.txt", TEXT.encode(), "text/plain")}
        file_id = client.post("/v1/files", files=upload, data={"purpose": "assistants"}).json()["id"]
        made = client.post("/v1/vector_stores", json={"name": "Minutes", "file_ids": [file_id]}).json()
        while client.get(f"/v1/vector_stores/{made['id']}").json()["status"] != "completed":
            pass
    (record,) = records(dify(server, server.key, knowledge_id=made["id"]))
    assert record["content"] == TEXT


def test_a_search_is_written_down_for_the_team(server: Service) -> None:
    with server.client() as client:
        team_id = client.post("/v1/teams", json={"name": "Legal"}).json()["id"]
    records(dify(server, server.key, knowledge_id=team_id))
    with server.client() as client:
        (row,) = client.get("/v1/usage", params={"group_by": ["kind", "team"]}).json()["data"]
    assert (row["kind"], row["team_id"], row["requests"]) == ("search.query", team_id, 1)
