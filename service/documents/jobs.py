"""The job that ingests a document.

Running it twice is harmless: a finished or deleted document is not claimed again, and the store replaces what an
interrupted run left.
"""

from datetime import timedelta

import structlog
from pgqueuer.errors import RetryRequested
from pgqueuer.models import Job

from db.ingestions import abandon
from db.outbox import emit_document
from ingest.pipeline import Ingestor, Outcome, ingest_document
from service.metrics import CHUNKS_STORED, DOCUMENTS_INGESTED, INGEST_SECONDS

log = structlog.get_logger()

MAX_ATTEMPTS = 5
# 2, 4, 8, 16 s: a provider's rate limit is commonly a minute's, and its own Retry-After has been honoured before.
_FIRST_DELAY_S = 2


async def run_ingestion(ingestor: Ingestor, job: Job) -> None:
    """Ingest the document named by the job. Raises RetryRequested where another attempt may succeed."""
    document_id = (job.payload or b"").decode()
    with (
        structlog.contextvars.bound_contextvars(document_id=document_id, job_id=int(job.id)),
        INGEST_SECONDS.time(),
    ):
        try:
            outcome = await ingest_document(ingestor, document_id, max_attempts=MAX_ATTEMPTS)
        except Exception as exc:  # noqa: BLE001 - whatever it was, the document must not stay "processing"
            await _unexpected(ingestor, document_id, job.attempts, exc)
            return
        _report(outcome)
    if outcome is not None and outcome.retrying:
        raise RetryRequested(_delay(job.attempts), reason=str(outcome.error))


async def _unexpected(ingestor: Ingestor, document_id: str, attempts: int, exc: Exception) -> None:
    log.error("ingestion_crashed", exc_info=exc, attempts=attempts)
    if attempts + 1 < MAX_ATTEMPTS:
        raise RetryRequested(_delay(attempts), reason=type(exc).__name__) from exc
    async with ingestor.pool.acquire() as conn, conn.transaction():
        space_id = await abandon(conn, document_id)
        if space_id is not None:
            await emit_document(conn, space_id, "document.failed", document_id)
    DOCUMENTS_INGESTED.labels("failed").inc()


def _delay(attempts: int) -> timedelta:
    return timedelta(seconds=_FIRST_DELAY_S * 2**attempts)


def _report(outcome: Outcome | None) -> None:
    if outcome is None:
        log.info("ingestion_skipped")
    elif outcome.error is not None:
        log.warning("ingestion_failed", code=outcome.error.code, retrying=outcome.retrying)
        if not outcome.retrying:
            DOCUMENTS_INGESTED.labels("failed").inc()
    else:
        log.info("document_ready", chunks=outcome.chunks, tokens=outcome.tokens)
        DOCUMENTS_INGESTED.labels("ready").inc()
        CHUNKS_STORED.inc(outcome.chunks)
