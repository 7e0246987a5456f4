"""A stream of progress lasts as long as the key it was asked for with."""

from db.events import notify_document
from tests.running import Service


async def _begin_again(server: Service, document_id: str) -> None:
    async with server.runtime.pool.acquire() as conn:
        await conn.execute("UPDATE ingestion SET status = 'processing' WHERE document_id = $1", document_id)


async def _revoke(server: Service, document_id: str) -> None:
    async with server.runtime.pool.acquire() as conn:
        await conn.execute("""
            UPDATE "ApiKey" SET "isActive" = false
            WHERE "userId" = (SELECT "id" FROM "User" WHERE "email" = 'ann@example.com')
        """)
        await conn.execute("UPDATE ingestion SET progress = 0.5 WHERE document_id = $1", document_id)
        await notify_document(conn, document_id)


def test_a_stream_ends_with_its_key(server: Service) -> None:
    with server.client(server.new_user("ann@example.com")) as client:
        document_id = client.post("/v1/documents?wait=30", json={"title": "t", "content": "c"}).json()["id"]
        server.call(_begin_again(server, document_id))
        events = []
        with client.stream("GET", f"/v1/documents/{document_id}/events", timeout=10) as stream:
            for line in stream.iter_lines():
                if line.startswith("event: "):
                    events.append(line)
                    server.call(_revoke(server, document_id))
    assert events == ["event: progress"]
