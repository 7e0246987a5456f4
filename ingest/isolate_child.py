"""The other end of ingest.isolate: reads requests from stdin, parses and chunks, answers on stdout."""

import contextlib
import gc
import logging
import os
import queue
import signal
import sys
import threading
import traceback
import warnings
from pathlib import Path

import msgspec

from ingest.chunk import chunk_document
from ingest.errors import CorruptFile, IngestError, ParserLimit, Stage
from ingest.isolate_wire import FRAME_HEADER, Failed, Parsed, Reply, Request, send_frame, to_rows
from ingest.parse import ParsedDocument, parse
from ingest.tokenize import TokenizerSpec

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
TRACE_CHARS = 4000

_decode_request = msgspec.msgpack.Decoder(Request).decode
_encode_reply = msgspec.msgpack.Encoder().encode


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Whatever a library prints must not end up between two frames.
    replies = os.dup(1)
    os.dup2(2, 1)
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    limit_memory(int(sys.argv[1]))
    requests: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_read_requests, args=(requests,), daemon=True).start()
    send_frame(replies, b"")
    with contextlib.suppress(BrokenPipeError):
        while True:
            request = _decode_request(requests.get())
            limit_cpu(request.cpu_limit_s)
            send_frame(replies, _encode_reply(answer(request)))


def answer(request: Request) -> Reply:
    """Never raises: what goes wrong is the answer."""
    stage: Stage = "parse"
    try:
        parsed = parse(Path(request.path), request.media_type, request.filename)
        stage = "chunk"
        return _chunk(parsed, request)
    except MemoryError:
        gc.collect()
        return Failed(
            ParserLimit.__name__,
            "Reading the file needed more memory than is allowed.",
            stage,
            "",
            worn_out=True,
        )
    except IngestError as exc:
        cause = _trace(exc.__cause__) if exc.__cause__ is not None else ""
        return Failed(type(exc).__name__, exc.detail, exc.stage, cause, worn_out=False)
    except RecursionError as exc:
        detail = "The file is nested too deeply to be read."
        return Failed(CorruptFile.__name__, detail, stage, _trace(exc), worn_out=False)
    except Exception as exc:  # noqa: BLE001 - the document fails with a reason, whatever it was
        detail = f"The document could not be prepared for search ({type(exc).__name__})."
        return Failed(IngestError.__name__, detail, stage, _trace(exc), worn_out=False)


def _chunk(parsed: ParsedDocument, request: Request) -> Parsed:
    title = request.title or parsed.title or (Path(request.filename).stem if request.filename else None)
    # The wire knows kinds as text; an unknown one fails in load(), as it should.
    spec = msgspec.convert(
        {"kind": request.tokenizer_kind, "path_or_name": request.tokenizer_name}, TokenizerSpec
    )
    chunks = chunk_document(
        parsed,
        title=title,
        tokenizer=spec.load(),
        window_tokens=request.window_tokens,
        target_tokens=request.target_tokens,
        text_tokens=request.text_tokens,
        overlap_tokens=request.overlap_tokens,
    )
    return Parsed(parsed.text, list(parsed.page_starts), title, dict(parsed.metadata), to_rows(chunks))


def _trace(exc: BaseException) -> str:
    return "".join(traceback.format_exception(exc))[-TRACE_CHARS:]


def limit_memory(memory_mb: int) -> None:
    """Let the process grow by so much from here on. Nowhere but on Linux does the limit bite."""
    if sys.platform != "linux":
        return
    import resource

    reserved = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * PAGE_BYTES
    limit = reserved + memory_mb * 1024 * 1024
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(
        resource.RLIMIT_AS, (min(limit, hard) if hard != resource.RLIM_INFINITY else limit, hard)
    )


def limit_cpu(seconds: int) -> None:
    """End the process if it works so much longer, should its parent be gone and nobody watch the clock."""
    if sys.platform == "win32":
        return
    import resource

    used = resource.getrusage(resource.RUSAGE_SELF)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    wanted = int(used.ru_utime + used.ru_stime) + seconds
    resource.setrlimit(
        resource.RLIMIT_CPU, (min(wanted, hard) if hard != resource.RLIM_INFINITY else wanted, hard)
    )


def _read_requests(requests: "queue.SimpleQueue[bytes]") -> None:
    """Pass requests on; when the parent closes the pipe or dies, end at once, busy or not."""
    stream = sys.stdin.buffer
    while True:
        header = stream.read(FRAME_HEADER.size)
        if len(header) < FRAME_HEADER.size:
            os._exit(0)
        (length,) = FRAME_HEADER.unpack(header)
        requests.put(stream.read(length))


if __name__ == "__main__":
    main()
