"""The queue: jobs are enqueued in the transaction that makes them necessary."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import msgspec
from pgqueuer.db import AsyncpgDriver
from pgqueuer.queries import Queries

from db.pool import Conn

INGEST_DOCUMENT = "ingest_document"
DELIVER_WEBHOOK = "deliver_webhook"
DELETE_ORIGINALS = "delete_originals"
SWEEP_PERSON = "sweep_person"
RUN_WORKFLOW = "run_workflow"
RUN_ERROR_WORKFLOW = "run_error_workflow"
FIRE_EVENT_TRIGGERS = "fire_event_triggers"

# Storage keys that one job deletes: a payload of some kilobytes, and seconds of work.
_KEYS_PER_JOB = 200


async def enqueue_ingestion(conn: Conn, document_id: str) -> None:
    """Enqueue on conn, so that a rollback of its transaction takes the job with it."""
    await Queries(AsyncpgDriver(conn)).enqueue(INGEST_DOCUMENT, document_id.encode())  # type: ignore[arg-type]


async def enqueue_run(conn: Conn, execution_id: str, *, after: timedelta | None = None) -> None:
    """Have a worker drive an execution, now or later: it is harmless to ask for that twice."""
    await Queries(AsyncpgDriver(conn)).enqueue(RUN_WORKFLOW, execution_id.encode(), execute_after=after)  # type: ignore[arg-type]


class FiredEvent(msgspec.Struct, frozen=True):
    """Something that workflows of a space wait for. origin: the execution that made the document it is about."""

    event_id: str
    event_type: str
    space_id: str
    data: dict[str, Any]
    origin: str | None


async def enqueue_event(conn: Conn, event: FiredEvent) -> None:
    """Have the workflows started that wait for an event."""
    await Queries(AsyncpgDriver(conn)).enqueue(FIRE_EVENT_TRIGGERS, msgspec.json.encode(event))  # type: ignore[arg-type]


async def enqueue_error_workflow(conn: Conn, execution_id: str) -> None:
    """Have the workflow started that its workflow names for a failed execution."""
    await Queries(AsyncpgDriver(conn)).enqueue(RUN_ERROR_WORKFLOW, execution_id.encode())  # type: ignore[arg-type]


async def enqueue_deliveries(conn: Conn, delivery_ids: Sequence[str], delay: timedelta | None = None) -> None:
    """Enqueue the sending of events on conn, as above; delay puts it off."""
    count = len(delivery_ids)
    await Queries(AsyncpgDriver(conn)).enqueue(  # type: ignore[arg-type]
        [DELIVER_WEBHOOK] * count,
        [delivery_id.encode() for delivery_id in delivery_ids],
        [0] * count,
        [delay] * count,
    )


async def enqueue_original_deletions(conn: Conn, storage_keys: Sequence[str]) -> None:
    """Have the bytes of originals deleted once the rows are gone for good."""
    payloads = [
        msgspec.json.encode(storage_keys[start : start + _KEYS_PER_JOB])
        for start in range(0, len(storage_keys), _KEYS_PER_JOB)
    ]
    if payloads:
        await Queries(AsyncpgDriver(conn)).enqueue(  # type: ignore[arg-type]
            [DELETE_ORIGINALS] * len(payloads), list(payloads), [0] * len(payloads)
        )


async def enqueue_sweep(conn: Conn, user_id: str, *, after: timedelta) -> None:
    """Have a deleted person looked for once more, when every request of theirs has ended."""
    await Queries(AsyncpgDriver(conn)).enqueue(SWEEP_PERSON, user_id.encode(), execute_after=after)  # type: ignore[arg-type]


async def requeue_orphans(conn: Conn) -> int:
    """Enqueue every unfinished ingestion that has no job, as a killed or interrupted worker may leave it.

    Document and job are written in one transaction and a job ends after its document, so no live one is caught.
    Returns how many there were.
    """
    rows = await conn.fetch(
        """
        SELECT i.document_id FROM ingestion i
        WHERE i.status IN ('queued', 'processing')
          AND NOT EXISTS (
              SELECT 1 FROM pgqueuer q
              WHERE q.entrypoint = $1 AND q.payload = convert_to(i.document_id, 'UTF8')
                AND q.status IN ('queued', 'picked')
          )
        ORDER BY i.queued_at
        FOR UPDATE OF i SKIP LOCKED
        """,
        INGEST_DOCUMENT,
    )
    for row in rows:
        await enqueue_ingestion(conn, row["document_id"])
    return len(rows)
