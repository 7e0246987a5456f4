"""Parse and chunk in processes of their own, so that a file can neither hang, crash nor swell the service.

Each child is driven by one thread through a pair of pipes: the event loop only ever waits. A document that
passes its limit of time or memory costs its child; the next document gets a new one.
"""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import IO, Self

import msgspec

from ingest import errors
from ingest.chunk import DEFAULT_TARGET_TOKENS, Chunk
from ingest.errors import CorruptFile, IngestError, ParserLimit
from ingest.isolate_wire import Failed, Parsed, Reply, Request, receive_frame, send_frame
from ingest.parse.document import ParsedDocument
from ingest.tokenize import TokenizerSpec

DEFAULT_TIMEOUT_S = 120.0
DEFAULT_MEMORY_MB = 2048
RECYCLE_AFTER = 500
"""Documents a child handles before a new one takes its place: parsers and their caches grow."""

START_TIMEOUT_S = 60.0
"""A child imports the parsers before its first document; seconds, on a machine that is busy."""

CLOSE_GRACE_S = 0.2

_reply_decoder: msgspec.msgpack.Decoder[Reply] = msgspec.msgpack.Decoder(Reply)
_encode = msgspec.msgpack.Encoder().encode

_ERRORS: Mapping[str, type[IngestError]] = MappingProxyType(
    {
        name: kind
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, IngestError) and kind is not errors.EmbeddingFailed
    }
)


class ChildDied(Exception):
    """The child ended or was ended before it answered; returncode as subprocess has it."""

    def __init__(self, returncode: int) -> None:
        super().__init__(f"parser process ended with {returncode}")
        self.returncode = returncode


class ChildNotStarted(RuntimeError):
    """The fault of the installation or of a shutdown, not of the document: another attempt may succeed."""


class ParserPool:
    """Up to `size` documents at once, each in a child of its own; `async with`, or call aclose().

    Children start when they are first needed and are then kept.
    """

    def __init__(
        self,
        size: int = 2,
        *,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        memory_mb: int = DEFAULT_MEMORY_MB,
        recycle_after: int = RECYCLE_AFTER,
    ) -> None:
        self._timeout_s = timeout_s
        self._memory_mb = memory_mb
        self._recycle_after = recycle_after
        self._slots = asyncio.Semaphore(size)
        self._threads = ThreadPoolExecutor(size, thread_name_prefix="parser")
        self._idle: list[_Child] = []
        self._busy: set[_Child] = set()
        self._closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def parse_and_chunk(
        self,
        path: Path,
        media_type: str,
        filename: str | None,
        title: str | None,
        tokenizer_spec: TokenizerSpec,
        window_tokens: int,
        *,
        target_tokens: int = DEFAULT_TARGET_TOKENS,
        text_tokens: int | None = None,
        overlap_tokens: int | None = None,
    ) -> tuple[ParsedDocument, list[Chunk]]:
        """Return the document (without its blocks) and its chunks, cut as chunk_document does.

        The document's title is the one the chunks were measured with: the title given, else the one found in
        the file, else the file's name. Use it for embedding_text. Raises what parse() raises, and ParserLimit
        when the limit of time or memory is passed. Cancelling ends the child.
        """
        request = Request(
            str(path),
            media_type,
            filename,
            title,
            tokenizer_spec.kind,
            tokenizer_spec.path_or_name,
            window_tokens,
            target_tokens,
            text_tokens,
            overlap_tokens,
            cpu_limit_s=int(self._timeout_s) + 30,
        )
        async with self._slots:
            return await self._run(request)

    def child_pids(self) -> list[int]:
        """The processes that run now, busy or waiting."""
        return [child.pid for child in [*self._idle, *self._busy] if child.pid is not None]

    async def aclose(self) -> None:
        """End the children, busy ones too."""
        self._closed = True
        for child in self._busy:
            child.kill()
        idle, self._idle = self._idle, []
        for child in idle:
            await asyncio.to_thread(child.close)
        await asyncio.to_thread(self._threads.shutdown)

    async def _run(self, request: Request) -> tuple[ParsedDocument, list[Chunk]]:
        if self._closed:
            raise ChildNotStarted("the parser pool is closed")
        child = self._take_child()
        self._busy.add(child)
        loop = asyncio.get_running_loop()
        task = loop.run_in_executor(self._threads, _converse, child, request, self._timeout_s)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            child.kill()
            with contextlib.suppress(Exception):
                await task
            raise
        finally:
            self._busy.discard(child)
            if child.is_usable:
                self._idle.append(child)

    def _take_child(self) -> "_Child":
        """Return a child that waits, the warmest first, or a new one; one that has ended meanwhile is let go."""
        while self._idle:
            child = self._idle.pop()
            if child.is_running:
                return child
            child.close()
        return _Child(self._memory_mb, self._recycle_after)


def _converse(child: "_Child", request: Request, timeout_s: float) -> tuple[ParsedDocument, list[Chunk]]:
    """Ask the child and turn its answer, or its death, into a result or an IngestError. Runs in a thread."""
    try:
        reply = child.ask(request, timeout_s)
    except TimeoutError as exc:
        raise ParserLimit(f"Reading the file took longer than {timeout_s:g} seconds.") from exc
    except ChildDied as exc:
        raise _error_of_death(exc.returncode) from exc
    match reply:
        case Parsed():
            return _unpack(reply)
        case Failed():
            raise _error_of(reply)


def _unpack(reply: Parsed) -> tuple[ParsedDocument, list[Chunk]]:
    text = reply.text
    chunks = [
        Chunk(
            ordinal,
            text[row.char_start : row.char_end],
            row.char_start,
            row.char_end,
            row.page_start,
            row.page_end,
            row.headings,
            row.token_count,
        )
        for ordinal, row in enumerate(reply.chunks)
    ]
    return ParsedDocument(text, (), tuple(reply.page_starts), reply.title, reply.metadata), chunks


def _error_of(reply: Failed) -> IngestError:
    error = _ERRORS.get(reply.error, IngestError)(reply.detail)
    error.stage = reply.stage
    if reply.trace:
        error.add_note(reply.trace)
    return error


def _error_of_death(returncode: int) -> IngestError:
    """A child that ran out of something is ended by the system; one that met bad data ends itself."""
    limits = {-signal.SIGKILL, -signal.SIGABRT, -signal.SIGXCPU}
    if returncode in limits:
        return ParserLimit("Reading the file needed more memory or time than is allowed.")
    return CorruptFile("The file made its parser crash: it is damaged.")


@dataclass(eq=False)
class _Child:
    """One parser process. A single thread talks to it and closes it; only kill() may come from another."""

    memory_mb: int
    recycle_after: int
    is_usable: bool = True
    _handled: int = 0
    _process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None else None

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def ask(self, request: Request, timeout_s: float) -> Reply:
        """Return the answer. Raises TimeoutError and ChildDied, the child having ended."""
        process = self._process or self._start()
        try:
            send_frame(_pipe(process.stdin), _encode(request))
            reply = _reply_decoder.decode(receive_frame(_pipe(process.stdout), timeout_s))
        except (BrokenPipeError, EOFError) as exc:
            raise ChildDied(self.close()) from exc
        except BaseException:
            self.close()
            raise
        self._handled += 1
        if self._handled >= self.recycle_after or (isinstance(reply, Failed) and reply.worn_out):
            self.close()
        return reply

    def kill(self) -> None:
        """End the process now; the thread that waits for it will notice and close it."""
        self.is_usable = False
        if self._process is not None:
            self._process.kill()

    def close(self) -> int:
        """End the process if it has not ended by itself, and return what it ended with."""
        self.is_usable = False
        process = self._process
        if process is None:
            return 0
        try:
            # One that broke its pipe is on its way out: its own reason is worth more than our signal.
            returncode = process.wait(timeout=CLOSE_GRACE_S if process.poll() is None else None)
        except subprocess.TimeoutExpired:
            process.kill()
            returncode = process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        return returncode

    def _start(self) -> subprocess.Popen[bytes]:
        self._process = process = subprocess.Popen(  # noqa: S603 - our own module, in our own interpreter
            # -P and our own path: a csv.py in the folder we were started from is not the standard library's.
            [sys.executable, "-P", "-m", "ingest.isolate_child", str(self.memory_mb)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            env=os.environ | _CHILD_ENVIRONMENT | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            # A session of its own: Ctrl-C in the terminal is for the parent, which then ends the children.
            start_new_session=True,
        )
        if not self.is_usable:
            process.kill()  # kill() came while there was nothing to kill
        try:
            receive_frame(_pipe(process.stdout), START_TIMEOUT_S)
        except (EOFError, TimeoutError) as exc:
            raise ChildNotStarted(f"the parser process did not start: it ended with {self.close()}") from exc
        return process


# One thread each: a pool's children are its parallelism, and threads reserve address space.
_CHILD_ENVIRONMENT: Mapping[str, str] = MappingProxyType(
    {
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        "RAYON_NUM_THREADS": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "MALLOC_ARENA_MAX": "2",
    }
)


def _pipe(pipe: IO[bytes] | None) -> int:
    if pipe is None or pipe.closed:
        raise BrokenPipeError
    return pipe.fileno()
