"""Make the server hold each file as it is now: upload what changed, wait for it, then drop what it replaces.

A file is known by its source_url and its SHA-256. Everything that decides is read back from the server, so a
run that was interrupted anywhere is continued by the next one, and nothing old goes before its replacement
is ready.
"""

import asyncio
import hashlib
import time
import uuid
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Literal, Protocol

from service.commands.client import Client, Document, RequestRefused, ServerUnreachable, Upload
from service.commands.output import CommandFailed

# The queue is first in, first out: watching its head finds what finishes without asking about everything.
_WATCHED = 16
_POLL_FIRST_S = 0.1
_POLL_LONGEST_S = 2.0
# A worker looks for work every few seconds; when none has taken any for this long, there probably is none.
_STALLED_AFTER_S = 30.0

OutcomeStatus = Literal["ready", "unchanged", "queued", "failed", "skipped"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one path; pages and chunks where the server told them."""

    path: Path
    status: OutcomeStatus
    document_id: str | None = None
    error: str | None = None
    pages: int | None = None
    chunks: int | None = None


@dataclass(frozen=True, slots=True)
class Options:
    team_id: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    concurrency: int = 4
    wait: bool = True
    stalled_after_s: float = _STALLED_AFTER_S


class Reporter(Protocol):
    """Hears of progress as it happens."""

    def uploaded(self) -> None:
        """One more file is at the server, by this run or an earlier one, or will not get there."""

    def finished(self, outcome: Outcome) -> None: ...

    def stalled(self) -> None:
        """Documents are waiting, and for a while nobody has been working on them."""


@dataclass(frozen=True, slots=True)
class _Job:
    """A file whose document the server is working on; stale documents go when it is ready."""

    path: Path
    sha256: str
    document_id: str
    stale: tuple[Document, ...]


async def sync_files(
    client: Client, files: Sequence[Path], options: Options, reporter: Reporter
) -> list[Outcome]:
    """Return an outcome for each file, in the order of files. Raises CommandFailed where all is lost."""
    return await _Sync(client, options, reporter, await _known_documents(client, options.team_id)).run(files)


async def _known_documents(client: Client, team_id: str | None) -> dict[str, list[Document]]:
    """Return the versions of each source_url in the space that is uploaded to, newest first."""
    known: dict[str, list[Document]] = defaultdict(list)
    async for document in client.list_documents():
        if document.source_url and document.team_id == team_id:
            known[document.source_url].append(document)
    return known


def choose_current(versions: Sequence[Document], sha256: str) -> Document | None:
    """Return the version that already is, or is becoming, what the file holds; a ready one before others."""
    alive = [version for version in versions if version.sha256 == sha256 and version.status != "failed"]
    return next((version for version in alive if version.status == "ready"), alive[0] if alive else None)


def hash_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class _Sync:
    def __init__(
        self, client: Client, options: Options, reporter: Reporter, known: Mapping[str, list[Document]]
    ) -> None:
        self._client = client
        self._options = options
        self._reporter = reporter
        self._known = known
        # One key a file and run: a request repeated after a broken connection makes no second document,
        # while a later run may upload the same bytes again (after a failure or a deletion) and be heard.
        self._run_id = uuid.uuid4().hex
        self._outcomes: dict[Path, Outcome] = {}
        self._pending: dict[Path, _Job] = {}
        self._news = asyncio.Event()
        self._all_uploaded = False
        self._hopeless: CommandFailed | None = None
        self._moved_at = time.monotonic()
        self._told_stalled = False

    async def run(self, files: Sequence[Path]) -> list[Outcome]:
        waiting = iter(files)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._watch())
            async with asyncio.TaskGroup() as uploads:
                for _ in range(max(1, self._options.concurrency)):
                    uploads.create_task(self._take_files(waiting))
            self._all_uploaded = True
            self._news.set()
        return [self._outcomes[path] for path in files]

    async def _take_files(self, waiting: Iterator[Path]) -> None:
        for path in waiting:
            try:
                await self._take(path)
            except CommandFailed as exc:
                self._fail(path, exc)
            except OSError as exc:
                self._finish(Outcome(path, "failed", error=f"cannot be read: {exc.strerror or exc}"))
            self._reporter.uploaded()

    async def _take(self, path: Path) -> None:
        """See one file to the server."""
        if self._hopeless is not None:
            raise self._hopeless
        sha256 = await asyncio.to_thread(hash_file, path)
        versions = self._known.get(path.as_uri(), [])
        current = choose_current(versions, sha256)
        if current is None:
            document_id = await self._upload(path, sha256)
        else:
            document_id = current.id
            retold = await self._retell(current)
        job = _Job(
            path, sha256, document_id, tuple(version for version in versions if version.id != document_id)
        )
        if current is not None and current.status == "ready":
            await self._settle(job, current, "ready" if retold else "unchanged")
        elif self._options.wait:
            self._pending[path] = job
            self._moved_at = time.monotonic()
            self._news.set()
        else:
            self._finish(Outcome(path, "queued", document_id))

    async def _upload(self, path: Path, sha256: str) -> str:
        source_url = path.as_uri()
        fingerprint = "\n".join((self._run_id, source_url, sha256))
        accepted = await self._client.upload(
            Upload(
                path=path,
                source_url=source_url,
                idempotency_key=hashlib.sha256(fingerprint.encode()).hexdigest(),
                team_id=self._options.team_id,
                metadata=self._options.metadata,
            )
        )
        return accepted.id

    async def _retell(self, document: Document) -> bool:
        """Give the document the metadata of this run; return whether anything was missing."""
        known = document.metadata or {}
        wanted = {**known, **self._options.metadata}
        if wanted == known:
            return False
        await self._client.set_metadata(document.id, wanted)
        return True

    async def _watch(self) -> None:
        """Settle the pending documents as they finish, until all is uploaded and none is left."""
        delay_s = _POLL_FIRST_S
        while self._pending or not self._all_uploaded:
            self._news.clear()
            head = list(islice(self._pending.values(), _WATCHED))
            if any(await asyncio.gather(*(self._look(job) for job in head))):
                delay_s = _POLL_FIRST_S
            elif head:
                self._tell_if_stalled()
                await asyncio.sleep(delay_s)
                delay_s = min(delay_s * 1.5, _POLL_LONGEST_S)
            elif not self._all_uploaded:
                await self._news.wait()

    def _tell_if_stalled(self) -> None:
        if not self._told_stalled and time.monotonic() - self._moved_at >= self._options.stalled_after_s:
            self._told_stalled = True
            self._reporter.stalled()

    async def _look(self, job: _Job) -> bool:
        """Return whether the document is finished, one way or the other, and its outcome known."""
        try:
            if self._hopeless is not None:
                raise self._hopeless
            document = await self._client.get_document(job.document_id)
            if document.status != "queued":
                self._moved_at = time.monotonic()
            if document.status not in {"ready", "failed"}:
                return False
            await self._settle(job, document, "ready")
        except RequestRefused as exc:
            gone = "was deleted while it was being processed" if exc.status == 404 else str(exc)
            self._finish(Outcome(job.path, "failed", job.document_id, error=gone))
        except CommandFailed as exc:
            self._fail(job.path, exc, job.document_id)
        del self._pending[job.path]
        return True

    async def _settle(self, job: _Job, document: Document, status: OutcomeStatus) -> None:
        """Report the finished document; drop what it replaces: all of it when ready, else only failures."""
        ready = document.status == "ready"
        error = None if ready else _reason(document)
        if ready and document.sha256 is not None and document.sha256 != job.sha256:
            ready, error = False, "changed while it was being uploaded; run the same command again"
        try:
            for stale in job.stale:
                if ready or stale.status == "failed":
                    await self._client.delete_document(stale.id)
        except RequestRefused as exc:
            error = error or f"is ready, but the version it replaces could not be deleted: {exc}"
        self._finish(
            Outcome(
                job.path,
                status if error is None else "failed",
                document.id,
                error=error,
                pages=document.page_count,
                chunks=document.chunk_count,
            )
        )

    def _fail(self, path: Path, exc: CommandFailed, document_id: str | None = None) -> None:
        # What one file meets here, every other one would meet as well, after a long wait each.
        if isinstance(exc, ServerUnreachable) or (
            isinstance(exc, RequestRefused) and exc.status in {401, 403}
        ):
            self._hopeless = exc
        self._finish(Outcome(path, "failed", document_id, error=str(exc)))

    def _finish(self, outcome: Outcome) -> None:
        self._outcomes[outcome.path] = outcome
        self._reporter.finished(outcome)


def _reason(document: Document) -> str:
    if document.error is None:
        return "failed, and the server does not say why"
    stage = f" ({document.error.stage})" if document.error.stage else ""
    return f"{document.error.detail}{stage}"
