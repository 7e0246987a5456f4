"""Errors reach the official client as its typed exceptions, after as many attempts as make sense."""

from pathlib import Path

import openai
import pytest
from openai import OpenAI

from tests.running import Service, run_service
from tests.service.openai_api.conftest import Connect


def test_a_wrong_key_is_an_authentication_error(server: Service, connect: Connect) -> None:
    client = connect(server, "dsk_" + "A" * 43)
    for call in (client.files.list, client.vector_stores.create):
        with pytest.raises(openai.AuthenticationError) as refused:
            call()
        assert (refused.value.code, refused.value.type) == ("invalid_api_key", "authentication_error")
    assert refused.value.response.headers["www-authenticate"].startswith("Bearer")
    assert refused.value.request_id
    assert len(client.sent) == 2  # type: ignore[attr-defined]


def test_a_key_without_the_scope_is_denied(server: Service, connect: Connect) -> None:
    client = connect(server, server.new_user("searcher@example.com", scopes=("search",)))
    with pytest.raises(openai.PermissionDeniedError, match="documents:read") as refused:
        client.vector_stores.list()
    assert refused.value.code == "insufficient_permissions"
    assert isinstance(refused.value.body, dict)
    assert refused.value.body["required_scope"] == "documents:read"


def test_what_is_absent_is_not_found(client: OpenAI) -> None:
    calls = [
        lambda: client.files.retrieve("file-none"),
        lambda: client.files.retrieve("none"),
        lambda: client.files.delete("file-none"),
        lambda: client.vector_stores.retrieve("vs_none"),
        lambda: client.vector_stores.search("vs_none", query="x"),
        lambda: client.vector_stores.files.list("vs_none"),
    ]
    for call in calls:
        with pytest.raises(openai.NotFoundError) as refused:
            call()
        assert refused.value.code == "not_found"
    assert len(client.sent) == len(calls)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"query": ""}, "query"),
        ({"query": " "}, "query"),
        ({"query": []}, "query"),
        ({"query": "x", "max_num_results": 51}, "max_num_results"),
        ({"query": "x", "filters": {"type": "like", "key": "a", "value": "b"}}, "filters"),
        ({"query": "x", "filters": {"type": "and", "filters": []}}, "filter"),
        ({"query": "x", "ranking_options": {"ranker": "magic"}}, "ranker"),
    ],
)
def test_a_search_that_cannot_be_is_a_bad_request(client: OpenAI, body: dict[str, object], says: str) -> None:
    store = client.vector_stores.create()
    with pytest.raises(openai.BadRequestError, match=says) as refused:
        client.vector_stores.search(store.id, **body)  # type: ignore[arg-type]
    assert refused.value.type == "invalid_request_error"
    assert len(client.sent) == 2  # type: ignore[attr-defined]


def test_metadata_and_attributes_have_limits(client: OpenAI) -> None:
    file_id = client.files.create(file=("a.txt", b"words"), purpose="assistants").id
    store = client.vector_stores.create(metadata={str(n): "x" * 512 for n in range(16)})
    wrong: list[dict[str, object]] = [
        {str(n): "x" for n in range(17)},
        {"k" * 65: "x"},
        {"k": "x" * 513},
        {"k": "\x00"},
    ]
    for pairs in wrong:
        with pytest.raises(openai.BadRequestError):
            client.vector_stores.create(metadata=pairs)  # type: ignore[arg-type]
        with pytest.raises(openai.BadRequestError):
            client.vector_stores.files.create(store.id, file_id=file_id, attributes=pairs)  # type: ignore[arg-type]
    with pytest.raises(openai.BadRequestError):
        client.vector_stores.create(metadata={"k": 1})  # type: ignore[dict-item]


def test_a_plan_without_room_is_said_once(server: Service, client: OpenAI) -> None:
    server.call(_fill_storage(server))
    with pytest.raises(openai.APIStatusError) as refused:
        client.files.create(file=("a.txt", b"words"), purpose="assistants")
    assert (refused.value.status_code, refused.value.code) == (402, "insufficient_quota")
    assert refused.value.response.headers["x-should-retry"] == "false"
    assert len(client.sent) == 1  # type: ignore[attr-defined]


async def _fill_storage(server: Service) -> None:
    async with server.runtime.pool.acquire() as conn:
        await conn.execute(
            """UPDATE "User" SET "storageUsed" = 100 * 1024 ^ 2 WHERE "email" = $1""",
            "test_a_plan_without_room_is_said_once@example.com",
        )


def test_too_many_requests_say_when_to_come_back(database_url: str, tmp_path: Path, connect: Connect) -> None:
    with run_service(
        database_url, tmp_path / "home", worker=False, rate_limit_requests_per_hour=1
    ) as service:
        client = connect(service, max_retries=0)
        client.files.list()
        with pytest.raises(openai.RateLimitError) as refused:
            client.files.list()
    assert (refused.value.code, refused.value.type) == ("rate_limit_exceeded", "rate_limit_error")
    assert int(refused.value.response.headers["retry-after"]) > 0
