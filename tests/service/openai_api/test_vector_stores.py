"""Vector stores and their files with the official client."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import openai
import pytest
from openai import OpenAI

from tests.locks import until_waiting
from tests.running import Service
from tests.service.openai_api.conftest import Connect

TEXTS = {
    "heating.txt": b"Heating in hall B is serviced every October by the caretaker.",
    "roof.txt": b"The roof was sealed in May, and holds for ten years.",
    "lease.txt": b"The tenant gives three months of notice in writing.",
}


def upload(client: OpenAI, name: str = "heating.txt", **options: Any) -> str:
    return client.files.create(file=(name, TEXTS[name]), purpose="assistants", **options).id


def names(client: OpenAI, store: str, query: str, **options: Any) -> list[str]:
    return [hit.filename for hit in client.vector_stores.search(store, query=query, **options)]


def test_a_store_is_made_changed_listed_and_deleted(client: OpenAI) -> None:
    made = client.vector_stores.create(
        name="House",
        description="All of it",
        metadata={"kind": "test"},
        expires_after={"anchor": "last_active_at", "days": 7},
    )
    assert made.object == "vector_store"
    assert made.id.startswith("vs_")
    assert (made.name, made.metadata, made.status) == ("House", {"kind": "test"}, "completed")
    assert made.file_counts.total == made.usage_bytes == 0
    assert made.expires_at is not None
    assert made.last_active_at is not None
    assert made.expires_at - made.last_active_at == 7 * 86400
    renamed = client.vector_stores.update(made.id, name="Home")
    assert (renamed.name, renamed.metadata) == ("Home", {"kind": "test"})
    cleared = client.vector_stores.update(made.id, name=None, metadata=None, expires_after=None)
    assert [cleared.name, cleared.metadata, cleared.expires_after, cleared.expires_at] == [None] * 4
    assert client.vector_stores.retrieve(made.id) == cleared
    gone = client.vector_stores.delete(made.id)
    assert (gone.id, gone.object, gone.deleted) == (made.id, "vector_store.deleted", True)
    with pytest.raises(openai.NotFoundError):
        client.vector_stores.retrieve(made.id)


def test_lists_are_paged_through_and_may_be_deleted_on_the_way(client: OpenAI) -> None:
    assert client.vector_stores.list().data == []
    ids = [client.vector_stores.create(name=str(n)).id for n in range(5)]
    assert [store.id for store in client.vector_stores.list(limit=2)] == ids[::-1]
    assert [store.id for store in client.vector_stores.list(limit=2, order="asc")] == ids
    before = client.vector_stores.list(limit=2, order="asc", before=ids[3])
    assert [store.id for store in before.data] == ids[1:3]
    assert before.has_more is True
    assert [client.vector_stores.delete(store.id).id for store in client.vector_stores.list(limit=2)] == ids[
        ::-1
    ]
    with pytest.raises(openai.BadRequestError) as refused:
        client.vector_stores.list(after="nothing")
    assert refused.value.code == "invalid_cursor"


def test_upload_and_poll_gives_a_file_that_is_found(client: OpenAI) -> None:
    store = client.vector_stores.create(name="House")
    done = client.vector_stores.files.upload_and_poll(
        vector_store_id=store.id, file=("heating.txt", TEXTS["heating.txt"]), attributes={"year": 2024}
    )
    assert (done.status, done.object, done.vector_store_id) == ("completed", "vector_store.file", store.id)
    assert done.usage_bytes == len(TEXTS["heating.txt"])
    assert done.last_error is None
    full = client.vector_stores.retrieve(store.id)
    assert (full.file_counts.completed, full.file_counts.total, full.status) == (1, 1, "completed")
    assert full.usage_bytes == done.usage_bytes
    page = client.vector_stores.search(store.id, query="when is the heating serviced")
    (hit,) = page.data
    assert (hit.file_id, hit.filename, hit.attributes) == (done.id, "heating.txt", {"year": 2024})
    assert 0 < hit.score <= 1
    extra = hit.model_extra or {}
    text = "".join(
        part.text or "" for part in client.vector_stores.files.content(done.id, vector_store_id=store.id)
    )
    assert hit.content[0].text == text[extra["char_start"] : extra["char_end"]]
    assert extra["chunk_id"]
    assert (page.model_extra or {})["search_query"] == ["when is the heating serviced"]


def test_upload_and_poll_of_a_batch_returns_when_all_are_ready(client: OpenAI) -> None:
    store = client.vector_stores.create(name="House")
    batch = client.vector_stores.file_batches.upload_and_poll(store.id, files=list(TEXTS.items()))
    assert (batch.status, batch.object) == ("completed", "vector_store.files_batch")
    assert (batch.file_counts.completed, batch.file_counts.total) == (3, 3)
    listed = client.vector_stores.file_batches.list_files(batch.id, vector_store_id=store.id, limit=2)
    assert len(list(listed)) == 3
    assert set(names(client, store.id, "roof")) <= set(TEXTS)
    assert names(client, store.id, "roof sealed", max_num_results=1) == ["roof.txt"]


def test_files_are_listed_described_and_taken_out(client: OpenAI) -> None:
    ids = [upload(client, name) for name in TEXTS]
    store = client.vector_stores.create(file_ids=ids)
    assert store.file_counts.total == 3
    files = client.vector_stores.files
    for file_id in ids:
        assert files.poll(file_id, vector_store_id=store.id).status == "completed"
    newest_first = [file.id for file in files.list(store.id, limit=2)]
    assert sorted(newest_first) == sorted(ids)
    assert [file.id for file in files.list(store.id, limit=1, order="asc")] == newest_first[::-1]
    before = files.list(store.id, before=newest_first[2], limit=1).data
    assert [file.id for file in before] == [newest_first[1]]
    assert files.list(store.id, filter="failed").data == []
    assert len(files.list(store.id, filter="completed").data) == 3
    changed = files.update(ids[0], vector_store_id=store.id, attributes={"a": "b", "n": 1.5, "yes": True})
    assert changed.attributes == {"a": "b", "n": 1.5, "yes": True}
    assert files.update(ids[0], vector_store_id=store.id, attributes=None).attributes is None
    gone = files.delete(ids[0], vector_store_id=store.id)
    assert (gone.id, gone.object, gone.deleted) == (ids[0], "vector_store.file.deleted", True)
    with pytest.raises(openai.NotFoundError):
        files.retrieve(ids[0], vector_store_id=store.id)
    assert "heating.txt" not in names(client, store.id, "heating")
    assert client.files.retrieve(ids[0]).id == ids[0]


def test_a_deleted_file_is_found_no_more(client: OpenAI) -> None:
    store = client.vector_stores.create()
    done = client.vector_stores.files.upload_and_poll(
        vector_store_id=store.id, file=("roof.txt", TEXTS["roof.txt"])
    )
    assert names(client, store.id, "roof") == ["roof.txt"]
    client.files.delete(done.id)
    assert names(client, store.id, "roof") == []
    assert client.vector_stores.retrieve(store.id).file_counts.total == 0


def test_a_file_that_fails_says_why_in_its_store(client: OpenAI) -> None:
    store = client.vector_stores.create()
    failed = client.vector_stores.files.upload_and_poll(
        vector_store_id=store.id, file=("broken.pdf", b"%PDF-1.7 nothing else")
    )
    assert failed.status == "failed"
    assert failed.last_error is not None
    assert failed.last_error.code == "invalid_file"
    counts = client.vector_stores.retrieve(store.id).file_counts
    assert (counts.failed, counts.completed, counts.in_progress) == (1, 0, 0)


FILTERS: list[tuple[dict[str, Any], set[str]]] = [
    ({"type": "eq", "key": "year", "value": 2023}, {"heating.txt"}),
    ({"type": "ne", "key": "year", "value": 2023}, {"roof.txt", "lease.txt"}),
    ({"type": "gt", "key": "year", "value": 2023}, {"roof.txt"}),
    ({"type": "gte", "key": "year", "value": 2023}, {"heating.txt", "roof.txt"}),
    ({"type": "lt", "key": "year", "value": 2024}, {"heating.txt"}),
    ({"type": "lte", "key": "year", "value": 2024}, {"heating.txt", "roof.txt"}),
    ({"type": "in", "key": "kind", "value": ["a", "b"]}, {"heating.txt", "roof.txt"}),
    ({"type": "nin", "key": "kind", "value": ["a"]}, {"roof.txt", "lease.txt"}),
    (
        {
            "type": "and",
            "filters": [
                {"type": "eq", "key": "open", "value": True},
                {
                    "type": "or",
                    "filters": [
                        {"type": "eq", "key": "year", "value": 2024},
                        {"type": "eq", "key": "kind", "value": "none"},
                    ],
                },
            ],
        },
        {"roof.txt"},
    ),
]


def test_every_filter_narrows_by_attributes(client: OpenAI) -> None:
    attributes: list[dict[str, Any]] = [
        {"year": 2023, "kind": "a", "open": True},
        {"year": 2024, "kind": "b", "open": True},
        {},
    ]
    files = [
        {"file_id": upload(client, name), "attributes": described}
        for name, described in zip(TEXTS, attributes, strict=True)
    ]
    store = client.vector_stores.create()
    batch = client.vector_stores.file_batches.create_and_poll(store.id, files=files)  # type: ignore[arg-type]
    assert batch.file_counts.completed == 3
    query = "heating roof lease notice"
    assert set(names(client, store.id, query)) == set(TEXTS)
    found = [set(names(client, store.id, query, filters=condition)) for condition, _ in FILTERS]
    assert found == [expected for _, expected in FILTERS]


def test_search_takes_several_queries_thresholds_and_weights(client: OpenAI) -> None:
    store = client.vector_stores.create()
    client.vector_stores.file_batches.upload_and_poll(store.id, files=list(TEXTS.items()))
    page = client.vector_stores.search(store.id, query=["roof sealed", "months of notice"], max_num_results=2)
    assert {hit.filename for hit in page.data} == {"roof.txt", "lease.txt"}
    assert (page.model_extra or {})["search_query"] == ["roof sealed", "months of notice"]
    scores = [hit.score for hit in page.data]
    assert scores == sorted(scores, reverse=True)
    strict = {"ranker": "auto", "score_threshold": 0.99}
    assert names(client, store.id, "gardening", ranking_options=strict, rewrite_query=True) == []
    words = {"hybrid_search": {"embedding_weight": 0, "text_weight": 1}}
    assert names(client, store.id, "caretaker", ranking_options=words) == ["heating.txt"]
    meaning = {"hybrid_search": {"embedding_weight": 1, "text_weight": 0}}
    assert len(names(client, store.id, "caretaker", ranking_options=meaning)) == 3
    none = {"hybrid_search": {"embedding_weight": 0, "text_weight": 0}}
    with pytest.raises(openai.BadRequestError):
        client.vector_stores.search(store.id, query="x", ranking_options=none)  # type: ignore[arg-type]


def test_our_own_search_looks_into_stores_as_well(server: Service, client: OpenAI, connect: Connect) -> None:
    store = client.vector_stores.create()
    for name in ("roof.txt", "lease.txt"):
        upload(client, name)
    client.vector_stores.files.upload_and_poll(vector_store_id=store.id, file=("roof.txt", TEXTS["roof.txt"]))
    stranger = server.new_user(f"{store.id}@example.com")
    body = {"query": "roof lease notice", "collection_ids": [store.id]}
    with server.client(client.api_key) as http:
        hits = http.post("/v1/search", json=body).json()["hits"]
        assert {hit["title"] for hit in hits} == {"roof"}
        assert http.post("/v1/search", json=body | {"collection_ids": []}).json()["hits"] == []
        assert http.post("/v1/search", json=body | {"collection_ids": ["vs_none"]}).status_code == 404
    with server.client(stranger) as http:
        assert http.post("/v1/search", json=body).status_code == 404


def test_nobody_reaches_the_store_of_another(server: Service, client: OpenAI, connect: Connect) -> None:
    file_id = upload(client)
    store = client.vector_stores.create(file_ids=[file_id])
    batch = client.vector_stores.file_batches.create(store.id, file_ids=[file_id])
    other = connect(server, server.new_user(f"other-{store.id}@example.com"))
    mine = other.vector_stores.create()
    files, batches = other.vector_stores.files, other.vector_stores.file_batches
    calls: list[Callable[[], object]] = [
        lambda: other.vector_stores.retrieve(store.id),
        lambda: other.vector_stores.update(store.id, name="x"),
        lambda: other.vector_stores.delete(store.id),
        lambda: other.vector_stores.search(store.id, query="heating"),
        lambda: files.list(store.id),
        lambda: files.create(store.id, file_id=file_id),
        lambda: files.create(mine.id, file_id=file_id),
        lambda: other.vector_stores.create(file_ids=[file_id]),
        lambda: batches.create(mine.id, file_ids=[file_id]),
        lambda: files.retrieve(file_id, vector_store_id=store.id),
        lambda: files.update(file_id, vector_store_id=store.id, attributes={}),
        lambda: files.delete(file_id, vector_store_id=store.id),
        lambda: files.content(file_id, vector_store_id=store.id),
        lambda: batches.retrieve(batch.id, vector_store_id=store.id),
        lambda: batches.retrieve(batch.id, vector_store_id=mine.id),
        lambda: batches.cancel(batch.id, vector_store_id=store.id),
        lambda: batches.list_files(batch.id, vector_store_id=store.id),
    ]
    for call in calls:
        sent = len(other.sent)  # type: ignore[attr-defined]
        with pytest.raises(openai.NotFoundError):
            call()
        assert len(other.sent) == sent + 1  # type: ignore[attr-defined]
    assert [found.id for found in other.vector_stores.list()] == [mine.id]


def test_a_file_of_a_team_is_for_stores_of_that_team(server: Service, client: OpenAI) -> None:
    with server.client(client.api_key) as http:
        team = http.post("/v1/teams", json={"name": "House"}).json()["id"]
    header = {"X-Docsearch-Team": team}
    shared = upload(client, extra_headers=header)
    with pytest.raises(openai.BadRequestError, match="team"):
        client.vector_stores.create(file_ids=[shared])
    store = client.vector_stores.create(file_ids=[shared], extra_headers=header)
    assert (store.model_extra or {})["team_id"] == team


def test_a_store_waits_to_be_deleted_until_what_is_being_put_in_is_in(
    server: Service, client: OpenAI
) -> None:
    file_id, store = upload(client), client.vector_stores.create()
    # Somebody holds the file for a moment: putting it in waits, and the deletion waits for that.
    conn, transaction = server.call(_hold_document(server, file_id.removeprefix("file-")))
    with ThreadPoolExecutor() as threads:
        putting_in = threads.submit(client.vector_stores.files.create, store.id, file_id=file_id)
        server.call(_waiting(server, 1))
        deleting = threads.submit(client.vector_stores.delete, store.id)
        server.call(_waiting(server, 2))
        server.call(_release(server, conn, transaction))
        assert putting_in.result().id == file_id
        assert deleting.result().deleted
    with pytest.raises(openai.NotFoundError):
        client.vector_stores.files.create(store.id, file_id=file_id)


async def _hold_document(server: Service, document_id: str) -> tuple[Any, Any]:
    conn = await server.runtime.pool.acquire()
    transaction = conn.transaction()
    await transaction.start()
    await conn.execute('SELECT FROM "Document" WHERE "id" = $1 FOR UPDATE', document_id)
    return conn, transaction


async def _waiting(server: Service, count: int) -> None:
    async with server.runtime.pool.acquire() as conn:
        await until_waiting(conn, count)


async def _release(server: Service, conn: Any, transaction: Any) -> None:
    await transaction.rollback()
    await server.runtime.pool.release(conn)


def test_a_file_that_is_put_in_twice_at_once_is_in_once(client: OpenAI) -> None:
    store, file_id = client.vector_stores.create(), upload(client)
    failures: list[BaseException] = []

    def put_in(number: int) -> None:
        try:
            client.vector_stores.files.create(store.id, file_id=file_id, attributes={"by": number})
        except BaseException as exc:
            failures.append(exc)

    threads = [threading.Thread(target=put_in, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert [file.id for file in client.vector_stores.files.list(store.id)] == [file_id]
    # Again without attributes: those that it has stay.
    again = client.vector_stores.files.create(store.id, file_id=file_id)
    assert again.attributes is not None
    assert set(again.attributes) == {"by"}
