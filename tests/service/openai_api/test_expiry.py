"""Files that expire go as if they had been deleted; vector stores that expire stay, and are not searched."""

import httpx
import openai
import pytest
from openai import OpenAI

from db.pool import Pool
from service.maintenance import delete_expired_files
from tests.fakes.webhook_receiver import webhook_receiver
from tests.running import Service, run_service
from tests.service.openai_api.conftest import Connect

ROOF = b"The roof was sealed in May."


def run(service: Service, sql: str, *arguments: object) -> None:
    async def execute(pool: Pool) -> None:
        async with pool.acquire() as conn:
            await conn.execute(sql, *arguments)

    service.call(execute(service.runtime.pool))


def test_an_expired_file_is_deleted_everywhere_and_told_of(
    database_url: str, tmp_path, connect: Connect
) -> None:
    with (
        webhook_receiver() as receiver,
        run_service(database_url, tmp_path / "home", webhook_allowed_networks="127.0.0.0/8") as service,
    ):
        client = connect(service)
        store = client.vector_stores.create()
        expiry: dict[str, object] = {"anchor": "created_at", "seconds": 3600}
        going = client.files.create(
            file=("going.txt", ROOF),
            purpose="user_data",
            expires_after=expiry,  # type: ignore[arg-type]
        )
        staying = client.files.create(
            file=("staying.txt", ROOF + b" Really."),
            purpose="user_data",
            expires_after=expiry,  # type: ignore[arg-type]
        )
        done = client.vector_stores.file_batches.create_and_poll(store.id, file_ids=[going.id, staying.id])
        assert done.file_counts.completed == 2
        with service.client() as http:
            hook = {"url": receiver.url, "events": ["document.deleted"]}
            assert http.post("/v1/webhooks", json=hook).status_code == 201
        run(
            service,
            "UPDATE document_file SET expires_at = now() WHERE document_id = $1",
            going.id.removeprefix("file-"),
        )
        service.call(delete_expired_files(service.runtime.pool))
        with pytest.raises(openai.NotFoundError):
            client.files.retrieve(going.id)
        assert [file.id for file in client.files.list()] == [staying.id]
        found = client.vector_stores.search(store.id, query="roof").data
        assert [hit.file_id for hit in found] == [staying.id]
        assert client.vector_stores.retrieve(store.id).file_counts.total == 1
        (event,) = receiver.wait_for(1)
        assert b'"reason":"expired"' in event.body
        _wait_until_gone(service)
        with service.client() as http:
            used = http.get("/v1/plan").json()["storage_bytes"]["used"]
        assert used == len(ROOF + b" Really.")


def _wait_until_gone(service: Service) -> None:
    """Return when the job that deletes the bytes is done: one original is left."""
    with service.client() as http:
        for _ in range(200):
            files = [path for path in (service.settings.home / "originals").rglob("*") if path.is_file()]
            if len(files) == 1:
                return
            # A request that is held for a moment; there is nothing of a job's that could be waited for.
            http.post("/v1/documents?wait=0.05", json={"title": "", "content": ""})
    raise AssertionError(files)


@pytest.fixture
def expired(server: Service, client: OpenAI) -> str:
    """A store that nobody has used for a day longer than it says."""
    store = client.vector_stores.create(expires_after={"anchor": "last_active_at", "days": 1})
    client.vector_stores.files.upload_and_poll(vector_store_id=store.id, file=("roof.txt", ROOF))
    run(server, "UPDATE collection SET last_active_at = now() - interval '2 days' WHERE id = $1", store.id)
    return store.id


def test_an_expired_store_says_so_and_is_not_searched(server: Service, client: OpenAI, expired: str) -> None:
    shown = client.vector_stores.retrieve(expired)
    assert (shown.status, shown.file_counts.completed) == ("expired", 1)
    with pytest.raises(openai.BadRequestError, match="expired") as refused:
        client.vector_stores.search(expired, query="roof")
    assert refused.value.code == "vector_store_expired"
    file_id = client.files.list().data[0].id
    with pytest.raises(openai.BadRequestError, match="expired"):
        client.vector_stores.files.create(expired, file_id=file_id)
    with server.client(client.api_key) as http:
        reply: httpx.Response = http.post("/v1/search", json={"query": "roof", "collection_ids": [expired]})
    assert (reply.status_code, "expired" in reply.json()["detail"]) == (422, True)
    # A new name is no new life.
    assert client.vector_stores.update(expired, name="Old").status == "expired"


def test_an_expired_store_lives_again_with_another_expiry(client: OpenAI, expired: str) -> None:
    client.vector_stores.update(expired, expires_after={"anchor": "last_active_at", "days": 3})
    assert len(client.vector_stores.search(expired, query="roof").data) == 1


def test_a_search_is_a_use(server: Service, client: OpenAI) -> None:
    store = client.vector_stores.create(expires_after={"anchor": "last_active_at", "days": 1})
    run(server, "UPDATE collection SET last_active_at = now() - interval '23 hours' WHERE id = $1", store.id)
    before = client.vector_stores.retrieve(store.id).last_active_at
    client.vector_stores.search(store.id, query="roof")
    after = client.vector_stores.retrieve(store.id).last_active_at
    assert before is not None
    assert after is not None
    assert after - before >= 23 * 3600 - 1
