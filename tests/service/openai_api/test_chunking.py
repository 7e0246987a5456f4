"""Chunking that is asked for, and what is said of it."""

import itertools

import openai
import pytest
from openai import OpenAI

from tests.running import Service

TEXT = "The quick brown fox jumps over the lazy dog near the old mill. " * 60
STATIC = {"type": "static", "static": {"max_chunk_size_tokens": 100, "chunk_overlap_tokens": 40}}
LARGE = {"type": "static", "static": {"max_chunk_size_tokens": 4096, "chunk_overlap_tokens": 2000}}


def chunks(server: Service, client: OpenAI, file_id: str) -> list[dict[str, int]]:
    with server.client(client.api_key) as http:
        reply = http.get(f"/v1/documents/{file_id.removeprefix('file-')}/chunks?limit=200").json()
    return list(reply["data"])


def sizes(file: object) -> tuple[int, int]:
    static = file.chunking_strategy.static  # type: ignore[attr-defined]
    return static.max_chunk_size_tokens, static.chunk_overlap_tokens


def test_a_static_strategy_is_what_is_done_and_said(server: Service, client: OpenAI) -> None:
    store, other = client.vector_stores.create(), client.vector_stores.create()
    files = client.vector_stores.files
    done = files.upload_and_poll(vector_store_id=store.id, file=("fox.txt", TEXT.encode()))
    assert done.chunking_strategy is not None
    assert done.chunking_strategy.type == "static"
    window = server.runtime.embedder.window_tokens
    assert sizes(done) == (window, int(window * 0.15))
    before = chunks(server, client, done.id)
    # Another store wants it otherwise, and the first had no wish: it is cut anew.
    again = files.create_and_poll(done.id, vector_store_id=other.id, chunking_strategy=STATIC)  # type: ignore[arg-type]
    assert (again.status, sizes(again)) == ("completed", (100, 40))
    after = chunks(server, client, done.id)
    assert len(after) > len(before)
    overlaps = [one["char_end"] - two["char_start"] for one, two in itertools.pairwise(after)]
    assert all(overlap > 100 for overlap in overlaps)
    assert sizes(files.retrieve(done.id, vector_store_id=store.id)) == (100, 40)
    # The same wish again, and none: nothing is done anew.
    for strategy in (STATIC, {"type": "auto"}):
        same = files.create(store.id, file_id=done.id, chunking_strategy=strategy)  # type: ignore[arg-type]
        assert (same.status, sizes(same)) == ("completed", (100, 40))


def test_two_stores_cannot_want_a_file_cut_in_two_ways(server: Service, client: OpenAI) -> None:
    store, other = client.vector_stores.create(), client.vector_stores.create()
    files = client.vector_stores.files
    done = files.upload_and_poll(
        vector_store_id=store.id,
        file=("fox.txt", TEXT.encode()),
        chunking_strategy=STATIC,  # type: ignore[arg-type]
    )
    with pytest.raises(openai.BadRequestError, match="upload it again") as refused:
        files.create(other.id, file_id=done.id, chunking_strategy=LARGE)  # type: ignore[arg-type]
    assert refused.value.code == "chunking_conflict"
    assert files.list(other.id).data == []
    # Once the first does not have it any more, it can be.
    files.delete(done.id, vector_store_id=store.id)
    again = files.create_and_poll(done.id, vector_store_id=other.id, chunking_strategy=LARGE)  # type: ignore[arg-type]
    window = server.runtime.embedder.window_tokens
    assert sizes(again) == (window, window // 2)


def test_a_strategy_that_makes_no_sense_is_refused(client: OpenAI) -> None:
    file_id = client.files.create(file=("fox.txt", TEXT.encode()), purpose="assistants").id
    half = {"type": "static", "static": {"max_chunk_size_tokens": 100, "chunk_overlap_tokens": 51}}
    small = {"type": "static", "static": {"max_chunk_size_tokens": 99, "chunk_overlap_tokens": 0}}
    for strategy in (half, small, {"type": "other"}):
        with pytest.raises(openai.BadRequestError):
            client.vector_stores.create(file_ids=[file_id], chunking_strategy=strategy)  # type: ignore[arg-type]
    with pytest.raises(openai.BadRequestError, match="file_ids"):
        client.vector_stores.create(chunking_strategy=STATIC)  # type: ignore[arg-type]
    assert client.vector_stores.list().data == []
