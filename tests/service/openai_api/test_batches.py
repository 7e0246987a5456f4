"""Batches: counts that hold from the first reply on, and cancelling."""

import threading
from typing import Any

import openai
import pytest
from openai import OpenAI

from tests.running import Service
from tests.service.openai_api.conftest import Connect


def upload(client: OpenAI, number: int) -> str:
    content = f"Report number {number} is about the boiler.".encode()
    return client.files.create(file=(f"{number}.txt", content), purpose="assistants").id


def test_counts_have_waiting_files_from_the_first_reply_on(idle: Service, connect: Connect) -> None:
    client = connect(idle)
    ids = [upload(client, number) for number in range(3)]
    store = client.vector_stores.create()
    reply = client.vector_stores.file_batches.with_raw_response.create(store.id, file_ids=[*ids, ids[0]])
    batch = reply.parse()
    assert (batch.status, batch.file_counts.in_progress, batch.file_counts.total) == ("in_progress", 3, 3)
    assert reply.headers["openai-poll-after-ms"] == "300"
    one = client.vector_stores.files.with_raw_response.retrieve(ids[0], vector_store_id=store.id)
    assert (one.parse().status, one.headers["openai-poll-after-ms"]) == ("in_progress", "300")
    full = client.vector_stores.retrieve(store.id)
    assert (full.status, full.file_counts.in_progress, full.usage_bytes) == ("in_progress", 3, 0)


def test_cancelling_leaves_out_what_was_not_ready(idle: Service, connect: Connect) -> None:
    client = connect(idle)
    ids = [upload(client, number) for number in range(2)]
    store = client.vector_stores.create()
    batch = client.vector_stores.file_batches.create(store.id, file_ids=ids)
    cancelled = client.vector_stores.file_batches.cancel(batch.id, vector_store_id=store.id)
    assert (cancelled.status, cancelled.file_counts.cancelled, cancelled.file_counts.in_progress) == (
        "cancelled",
        2,
        0,
    )
    listed = client.vector_stores.files.list(store.id, filter="cancelled")
    assert sorted(file.id for file in listed) == sorted(ids)
    # The files stay; one that is put in again is in progress there, and still cancelled in its batch.
    assert client.files.retrieve(ids[0]).status == "uploaded"
    again = client.vector_stores.files.create(store.id, file_id=ids[0])
    assert again.status == "in_progress"
    after = client.vector_stores.file_batches.retrieve(batch.id, vector_store_id=store.id)
    assert (after.status, after.file_counts.cancelled) == ("cancelled", 2)
    of_batch = client.vector_stores.file_batches.list_files(
        batch.id, vector_store_id=store.id, filter="cancelled"
    )
    assert len(of_batch.data) == 2


def test_cancelling_what_is_ready_changes_nothing(client: OpenAI) -> None:
    store = client.vector_stores.create()
    done = client.vector_stores.files.upload_and_poll(
        vector_store_id=store.id, file=("a.txt", b"The boiler is new.")
    )
    batch = client.vector_stores.file_batches.create(store.id, file_ids=[done.id])
    # It is ready: there is nothing to cancel.
    finished = client.vector_stores.file_batches.cancel(batch.id, vector_store_id=store.id)
    assert (finished.status, finished.file_counts.completed) == ("completed", 1)
    assert len(client.vector_stores.search(store.id, query="boiler").data) == 1


def test_a_batch_is_put_in_whole_or_not_at_all(client: OpenAI) -> None:
    store = client.vector_stores.create()
    there = upload(client, 1)
    with pytest.raises(openai.NotFoundError, match="file-nowhere"):
        client.vector_stores.file_batches.create(store.id, file_ids=[there, "file-nowhere"])
    assert client.vector_stores.files.list(store.id).data == []
    bodies: list[dict[str, Any]] = [
        {"file_ids": [there], "files": [{"file_id": there}]},
        {},
        {"file_ids": []},
    ]
    for body in bodies:
        with pytest.raises(openai.BadRequestError):
            client.vector_stores.file_batches.create(store.id, **body)
    with pytest.raises(openai.BadRequestError):
        client.vector_stores.file_batches.create(store.id, file_ids=[f"file-{n}" for n in range(2001)])


def test_each_file_of_a_batch_may_have_attributes_of_its_own(client: OpenAI) -> None:
    store = client.vector_stores.create()
    one, two, three = (upload(client, number) for number in range(3))
    batches, files = client.vector_stores.file_batches, client.vector_stores.files
    batches.create(
        store.id,
        files=[{"file_id": one, "attributes": {"n": 1}}, {"file_id": two}],
        attributes={"n": 0},
    )
    assert files.retrieve(one, vector_store_id=store.id).attributes == {"n": 1}
    assert files.retrieve(two, vector_store_id=store.id).attributes is None
    batches.create(store.id, file_ids=[three], attributes={"n": 3})
    assert files.retrieve(three, vector_store_id=store.id).attributes == {"n": 3}


def test_counts_add_up_while_batches_are_put_in_taken_out_and_read(client: OpenAI) -> None:
    """Whenever anybody looks, the states of a batch add up to its total, and no reply says done too early."""
    store = client.vector_stores.create()
    ids = [upload(client, number) for number in range(24)]
    batches = client.vector_stores.file_batches
    failures: list[BaseException] = []

    def put_in(part: list[str]) -> None:
        try:
            batch = batches.create(store.id, file_ids=part)
            assert batch.file_counts.total == len(part)
            done = batches.poll(batch.id, vector_store_id=store.id)
            counts = done.file_counts
            assert (counts.completed, counts.in_progress, counts.total) == (len(part), 0, len(part))
        except BaseException as exc:
            failures.append(exc)

    # Overlapping parts, in both orders: who puts in the same ones waits, and nobody for ever.
    parts = [ids[:16], ids[8:][::-1], ids[::-1], ids]
    threads = [threading.Thread(target=put_in, args=(part,)) for part in parts]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        counts = client.vector_stores.retrieve(store.id).file_counts
        assert counts.in_progress + counts.completed + counts.failed + counts.cancelled == counts.total
    for thread in threads:
        thread.join()
    assert failures == []
    assert client.vector_stores.retrieve(store.id).file_counts.completed == 24
