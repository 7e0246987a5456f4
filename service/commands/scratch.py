"""A corpus on its way through the real pipeline, in the space of a user who is gone afterwards."""

import asyncio
import hashlib
import tempfile
import uuid
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from db import users
from db.documents import Original, insert_document, insert_original
from db.lexical import compact_term_counts
from db.pool import Pool
from ingest.errors import NoText
from ingest.originals import Originals
from ingest.pipeline import Ingestor, ingest_document
from search.evaluate import CorpusDocument
from service.commands.output import CommandFailed

# Enough that embedding always has a full batch waiting while others are parsed and stored.
_AT_A_TIME = 16


@asynccontextmanager
async def scratch_user(pool: Pool) -> AsyncIterator[str]:
    """Yield the id of a new user, and delete them with all they own in the end, whatever the end is."""
    async with pool.acquire() as conn, conn.transaction():
        user = await users.create_user(conn, email=f"scratch-{uuid.uuid4()}@localhost", tier="ENTERPRISE")
    try:
        yield user.id
    finally:
        async with pool.acquire() as conn, conn.transaction():
            await users.delete_user(conn, user.id)


async def ingest_corpus(
    ingestor: Ingestor, user_id: str, corpus: Iterable[CorpusDocument], advance: Callable[[], None]
) -> dict[str, str]:
    """Make each text a document of the user's; return its id in the corpus for each id of ours.

    A text with nothing in it makes a document that nobody finds. Raises CommandFailed for any other failure.
    """
    corpus_ids: dict[str, str] = {}
    waiting = iter(corpus)
    with tempfile.TemporaryDirectory(prefix="docsearch-eval-") as folder:
        # Apart from the service's originals: what a killed run leaves behind is the system's to clean.
        own = replace(ingestor, originals=Originals.open(None, default_folder=Path(folder)))
        async with asyncio.TaskGroup() as group:
            for _ in range(_AT_A_TIME):
                group.create_task(_ingest_each(own, user_id, waiting, corpus_ids, advance))
    async with ingestor.pool.acquire() as conn, conn.transaction():
        # A worker does this every few minutes; searching is measured as it is then.
        await compact_term_counts(conn)
    return corpus_ids


async def _ingest_each(
    ingestor: Ingestor,
    user_id: str,
    waiting: Iterator[CorpusDocument],
    corpus_ids: dict[str, str],
    advance: Callable[[], None],
) -> None:
    for item in waiting:
        document_id = await _insert(ingestor, user_id, item)
        # Not left to a worker, and claimed at once, so that a running one finds nothing to do here.
        outcome = await ingest_document(ingestor, document_id, max_attempts=1)
        if outcome is not None and outcome.error is not None and not isinstance(outcome.error, NoText):
            raise CommandFailed(f"The document {item.id!r} could not be ingested: {outcome.error.detail}")
        corpus_ids[document_id] = item.id
        advance()


async def _insert(ingestor: Ingestor, user_id: str, item: CorpusDocument) -> str:
    document_id = str(uuid.uuid4())
    data = item.text.encode()

    async def parts() -> AsyncIterator[bytes]:
        yield data

    await ingestor.originals.put(document_id, parts())
    original = Original(
        storage_key=document_id,
        filename=f"{document_id}.txt",
        media_type="text/plain",
        size_bytes=len(data),
        sha256=hashlib.sha256(data).digest(),
    )
    async with ingestor.pool.acquire() as conn, conn.transaction():
        space_id = await insert_document(
            conn,
            document_id=document_id,
            user_id=user_id,
            team_id=None,
            title=item.title,
            metadata=None,
            source_type="text",
            source_url=None,
        )
        await insert_original(conn, space_id, document_id, original)
    return document_id
