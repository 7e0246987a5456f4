"""Documents that runs add, change, replace, delete and read: once, and in their own space alone."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from db import ingestions
from db.jobs import DELETE_ORIGINALS, INGEST_DOCUMENT
from db.pool import Pool
from service.engine.errors import NodeError
from service.engine.nodes import NODE_TYPES
from service.engine.nodes.base import Emit, RunContext, Wait
from service.engine.services import Services
from tests.service.engine.calls import commit, new_run, one_row, outputs, run_node

TEXT = "The lease of hall B ends in May."


@pytest.fixture
def act(services: Services, run: RunContext) -> Any:
    async def acted(operation: str, **data: Any) -> Any:
        fields: dict[str, Any] = {"services": services, "run": run}
        fields |= {name: data.pop(name) for name in ("key", "run", "resumed", "now") if name in data}
        ((handle, item),) = await outputs("document", {"operation": operation, **data}, {}, **fields)
        assert handle == "output"
        return item

    return acted


async def original_of(services: Services, pool: Pool, document_id: str) -> bytes:
    async with pool.acquire() as conn:
        key = await conn.fetchval("SELECT storage_key FROM original WHERE document_id = $1", document_id)
    return b"".join([part async for part in services.originals.stream(key)])


async def jobs(pool: Pool, entrypoint: str) -> list[str]:
    async with pool.acquire() as conn:
        rows = await conn.fetch("SELECT payload FROM pgqueuer WHERE entrypoint = $1 ORDER BY id", entrypoint)
    return [row["payload"].decode() for row in rows]


async def count(pool: Pool, table: str) -> int:
    async with pool.acquire() as conn:
        found: int = await conn.fetchval(f'SELECT count(*) FROM "{table}"')
    return found


async def set_status(pool: Pool, run: RunContext, document_id: str, status: str) -> None:
    async with pool.acquire() as conn:
        if status == "failed":
            await ingestions.mark_failed(
                conn,
                run.space_id,
                document_id,
                stage="parse",
                code="no_text",
                detail="It has no text.",
                retrying=False,
            )
        else:
            await conn.execute("UPDATE ingestion SET status = $2 WHERE document_id = $1", document_id, status)


async def test_a_text_is_added_with_the_nodes_end(
    act: Any, services: Services, pool: Pool, run: RunContext
) -> None:
    item = await act("add", title="Lease", content=TEXT, metadata={"kind": "lease"})
    assert (item["title"], item["status"], item["metadata"]) == ("Lease", "queued", {"kind": "lease"})
    assert await original_of(services, pool, item["id"]) == TEXT.encode()
    assert await jobs(pool, INGEST_DOCUMENT) == [item["id"]]
    row = await one_row(pool, 'SELECT "spaceId", "userId", "teamId" FROM "Document"')
    assert row == (run.space_id, run.user_id, None)
    assert await one_row(pool, "SELECT * FROM workflow_document") == (item["id"], run.execution_id)
    usage = await one_row(pool, 'SELECT "resourceType", "action", "bytes" FROM "UsageLog"')
    assert usage == ("document", "upload", len(TEXT))


async def test_nothing_is_there_before_the_end(services: Services, run: RunContext, pool: Pool) -> None:
    data = {"operation": "add", "title": "Lease", "content": TEXT}
    outcome = await run_node("document", data, {}, services=services, run=run)
    assert isinstance(outcome, Emit)
    assert await count(pool, "Document") == 0
    await commit(services, outcome)
    assert await count(pool, "Document") == 1


async def test_another_try_adds_no_second_document(act: Any, pool: Pool) -> None:
    first = await act("add", title="Lease", content=TEXT, key="turn")
    again = await act("add", title="Lease", content=TEXT, key="turn")
    other = await act("add", title="Lease", content=TEXT, key="other turn")
    assert first["id"] == again["id"] != other["id"]
    assert await count(pool, "Document") == 2
    assert len(await jobs(pool, INGEST_DOCUMENT)) == 2


async def test_two_workers_at_the_same_turn_add_one_document(
    services: Services, run: RunContext, pool: Pool
) -> None:
    data = {"operation": "add", "title": "Lease", "content": TEXT}
    outcomes = [
        await run_node("document", data, {}, services=services, run=run, key="turn") for _ in range(2)
    ]
    for outcome in outcomes:
        await commit(services, outcome)
    assert await count(pool, "Document") == 1
    assert await count(pool, "UsageLog") == 1


async def test_an_address_is_left_to_the_worker(act: Any, pool: Pool) -> None:
    item = await act("add", url="https://example.com/lease.pdf", metadata={"a": 1})
    assert (item["source_type"], item["source_url"]) == ("url", "https://example.com/lease.pdf")
    assert await jobs(pool, INGEST_DOCUMENT) == [item["id"]]
    with pytest.raises(NodeError) as raised:
        await act("add", url="file:///etc/passwd")
    assert raised.value.code == "fetch_refused"


async def test_a_team_gets_the_documents_of_its_workflows(services: Services, act: Any, pool: Pool) -> None:
    async with pool.acquire() as conn:
        team_id = await conn.fetchval(
            """INSERT INTO "Team" ("name", "slug") VALUES ('T', 't') RETURNING "id" """
        )
    run = await new_run(services, "member@example.com", team_id)
    item = await act("add", title="Lease", content=TEXT, run=run)
    row = await one_row(
        pool, 'SELECT "spaceId", "userId", "teamId" FROM "Document" WHERE "id" = $1', item["id"]
    )
    assert row == (team_id, run.user_id, team_id)


async def test_waiting_for_a_document_goes_on_when_it_is_ready(
    services: Services, run: RunContext, pool: Pool, act: Any
) -> None:
    data = {"title": "Lease", "content": TEXT, "wait": True}
    now = datetime.now(UTC)
    fields: dict[str, Any] = {"services": services, "run": run, "key": "turn", "now": now}
    outcome = await run_node("document", data, {}, **fields)
    assert isinstance(outcome, Wait)
    assert outcome.until is not None
    assert 0 < (outcome.until - now).total_seconds() < 10
    assert await count(pool, "Document") == 1
    (document_id,) = await jobs(pool, INGEST_DOCUMENT)
    assert isinstance(await run_node("document", data, {}, **fields, resumed={"timed_out": True}), Wait)
    await set_status(pool, run, document_id, "ready")
    item = await act("add", **data, key="turn", now=now, resumed={"timed_out": True})
    assert (item["id"], item["status"]) == (document_id, "ready")
    assert await count(pool, "Document") == 1


async def test_waiting_ends_where_the_document_fails_goes_or_takes_too_long(
    services: Services, run: RunContext, pool: Pool
) -> None:
    data = {"title": "Lease", "content": TEXT, "wait": True, "waitSeconds": 60}
    fields: dict[str, Any] = {"services": services, "run": run, "key": "turn"}
    await run_node("document", data, {}, **fields, now=datetime.now(UTC))

    async def failure(now: datetime) -> NodeError:
        with pytest.raises(NodeError) as raised:
            await run_node("document", data, {}, **fields, now=now, resumed={"timed_out": True})
        return raised.value

    assert (await failure(datetime(2026, 1, 1, tzinfo=UTC))).code == "not_ready"
    (document_id,) = await jobs(pool, INGEST_DOCUMENT)
    await set_status(pool, run, document_id, "failed")
    failed = await failure(datetime.now(UTC))
    assert (failed.code, "It has no text." in failed.detail) == ("ingestion_failed", True)
    async with pool.acquire() as conn:
        await conn.execute('DELETE FROM "Document"')
    assert (await failure(datetime.now(UTC))).code == "not_found"
    assert await count(pool, "Document") == 0


async def test_title_and_metadata_are_changed(act: Any) -> None:
    added = await act("add", title="Lease", content=TEXT, metadata={"a": 1})
    item = await act("update", documentId=added["id"], title="Old lease")
    assert (item["title"], item["metadata"]) == ("Old lease", {"a": 1})
    item = await act("update", documentId=added["id"], metadata={"external_id": "crm-1"})
    assert (item["title"], item["metadata"]) == ("Old lease", {"external_id": "crm-1"})
    assert (await act("get", externalId="crm-1"))["id"] == added["id"]


async def test_what_has_an_external_id_is_found_again_by_it(act: Any, pool: Pool) -> None:
    added = await act("add", externalId="crm-1", title="Lease", content=TEXT)
    assert added["metadata"] == {"external_id": "crm-1"}
    changed = await act("update", externalId="crm-1", metadata={"v": 1})
    assert changed["metadata"] == {"v": 1, "external_id": "crm-1"}
    changed = await act("update", documentId=added["id"], metadata={"v": 2})
    assert changed["metadata"] == {"v": 2, "external_id": "crm-1"}
    changed = await act("update", documentId=added["id"], externalId="crm-2", metadata={"v": 3})
    assert changed["metadata"] == {"v": 3, "external_id": "crm-2"}
    changed = await act("update", documentId=added["id"], externalId="crm-3", title="The lease")
    assert changed["metadata"] == {"v": 3, "external_id": "crm-3"}
    put = await act("upsert", externalId="crm-3", title="Lease", content="Another text.")
    assert put["replaced"] == [added["id"]]
    assert await count(pool, "Document") == 1


async def test_upsert_puts_one_document_in_the_place_of_another(
    act: Any, services: Services, pool: Pool
) -> None:
    first = await act("upsert", externalId="crm-1", title="Lease", content=TEXT, metadata={"v": 1})
    assert (first["metadata"], first["replaced"]) == ({"v": 1, "external_id": "crm-1"}, [])
    old_key = f"{first['id'][:2]}/{first['id']}"
    second = await act(
        "upsert", externalId="crm-1", title="Lease", content=TEXT + " Or June.", metadata={"v": 2}
    )
    assert second["replaced"] == [first["id"]]
    assert second["id"] != first["id"]
    async with pool.acquire() as conn:
        ids = [row["id"] for row in await conn.fetch('SELECT "id" AS id FROM "Document"')]
    assert ids == [second["id"]]
    audit = await one_row(pool, "SELECT actor, action, resource_id FROM audit_log")
    assert audit == ("system", "document.deleted", first["id"])
    (deletion,) = await jobs(pool, DELETE_ORIGINALS)
    assert deletion == f'["{old_key}"]'
    assert await original_of(services, pool, second["id"]) == (TEXT + " Or June.").encode()


async def test_upsert_of_the_same_text_changes_what_stands_beside_it(act: Any, pool: Pool) -> None:
    first = await act("upsert", externalId="crm-1", title="Lease", content=TEXT)
    again = await act("upsert", externalId="crm-1", title="The lease", content=TEXT, metadata={"v": 2})
    assert (again["id"], again["replaced"]) == (first["id"], [])
    assert (again["title"], again["metadata"]) == ("The lease", {"v": 2, "external_id": "crm-1"})
    assert await jobs(pool, INGEST_DOCUMENT) == [first["id"]]


async def test_upsert_of_the_same_text_waits_for_the_document_that_is_there(
    act: Any, services: Services, run: RunContext, pool: Pool
) -> None:
    data: dict[str, Any] = {"externalId": "crm-1", "title": "Lease", "content": TEXT}
    first = await act("upsert", **data)
    data |= {"operation": "upsert", "wait": True}
    now = datetime.now(UTC)
    fields: dict[str, Any] = {"services": services, "run": run, "key": "again", "now": now}
    assert isinstance(await run_node("document", data, {}, **fields), Wait)
    resumed = {"timed_out": True}
    assert isinstance(await run_node("document", data, {}, **fields, resumed=resumed), Wait)
    await set_status(pool, run, first["id"], "ready")
    again = await act(data.pop("operation"), **data, key="again", now=now, resumed=resumed)
    assert (again["id"], again["status"], again["replaced"]) == (first["id"], "ready", [])


async def test_two_runs_that_upsert_at_once_leave_one_document(
    services: Services, run: RunContext, pool: Pool
) -> None:
    data = {"operation": "upsert", "externalId": "crm-1", "title": "Lease"}
    outcomes = [
        await run_node("document", {**data, "content": content}, {}, services=services, run=run)
        for content in ("One text.", "Another text.")
    ]
    await asyncio.gather(*(commit(services, outcome) for outcome in outcomes))
    assert await count(pool, "Document") == 1


async def test_a_document_is_deleted_and_its_bytes_after_it(act: Any, pool: Pool, run: RunContext) -> None:
    added = await act("add", title="Lease", content=TEXT)
    item = await act("delete", documentId=added["id"])
    assert item == {"id": added["id"], "title": "Lease", "status": "deleted"}
    assert await count(pool, "Document") == 0
    assert len(await jobs(pool, DELETE_ORIGINALS)) == 1
    with pytest.raises(NodeError) as raised:
        await act("delete", documentId=added["id"])
    assert raised.value.code == "not_found"


async def test_text_comes_along_up_to_a_length(act: Any, pool: Pool) -> None:
    added = await act("add", title="Lease", content=TEXT)
    async with pool.acquire() as conn:
        await conn.execute('UPDATE "Document" SET "content" = $1', TEXT)
    assert "text" not in await act("get", documentId=added["id"])
    whole = await act("get", documentId=added["id"], includeText=True)
    assert (whole["text"], whole["text_is_cut"]) == (TEXT, False)
    part = await act("get", documentId=added["id"], includeText=True, maxChars=9)
    assert (part["text"], part["text_is_cut"]) == ("The lease", True)


@pytest.mark.parametrize("operation", ["get", "update", "delete"])
async def test_somebody_elses_document_is_not_there(
    act: Any, services: Services, pool: Pool, operation: str
) -> None:
    added = await act("upsert", externalId="crm-1", title="Lease", content=TEXT)
    stranger = await new_run(services, "stranger@example.com")
    for named in ({"documentId": added["id"]}, {"externalId": "crm-1"}, {"documentId": "a\x00b"}):
        with pytest.raises(NodeError) as raised:
            await act(operation, **named, title="Mine", run=stranger)
        assert raised.value.code == "not_found"
    theirs = await act("upsert", externalId="crm-1", title="Lease", content="Other.", run=stranger)
    assert theirs["replaced"] == []
    assert await count(pool, "Document") == 2


async def test_a_plan_without_room_refuses(act: Any, services: Services, pool: Pool, run: RunContext) -> None:
    outcome = await run_node("document", {"title": "A", "content": "B"}, {}, services=services, run=run)
    async with pool.acquire() as conn:
        await conn.execute("UPDATE plan SET storage_limit_bytes = 10")
        await conn.execute('UPDATE "User" SET "storageUsed" = 10')
    with pytest.raises(NodeError) as raised:
        await act("add", title="Lease", content=TEXT)
    assert (raised.value.code, raised.value.retryable) == ("plan_limit", False)
    with pytest.raises(Exception, match="allows no more storage"):
        await commit(services, outcome)
    assert await count(pool, "Document") == 0


@pytest.mark.parametrize(
    ("data", "field"),
    [
        ({}, "data.content"),
        ({"content": "x"}, "data.title"),
        ({"operation": "upsert", "title": "A", "content": "x"}, "data.externalId"),
        ({"operation": "update", "title": "A"}, "data.documentId"),
        ({"operation": "update", "documentId": "x"}, "data.title"),
        ({"operation": "update", "documentId": "x", "title": "A", "content": "x"}, "data.content"),
        ({"operation": "get"}, "data.documentId"),
        ({"operation": "delete"}, "data.documentId"),
    ],
)
async def test_what_an_operation_needs_is_said(data: dict[str, Any], field: str) -> None:
    assert next(f"data.{key}" for key, _ in NODE_TYPES["document"].problems(data)) == field
    with pytest.raises(NodeError) as raised:
        await run_node("document", data, {})
    assert (raised.value.code, raised.value.field) == ("bad_config", field)


async def test_what_cannot_be_stored_is_refused(act: Any) -> None:
    for data in (
        {"title": "x" * 501, "content": "x"},
        {"title": "A", "content": "x", "metadata": {"big": "x" * 70_000}},
        {"url": "https://example.com/" + "x" * 3_000},
    ):
        with pytest.raises(NodeError) as raised:
            await act("add", **data)
        assert raised.value.code == "bad_config"
