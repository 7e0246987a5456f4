"""What streaming an answer through the service adds to the provider's own time, and whether anything blocks its loop.

python -m benchmarks.chat [--documents 200] [--streams 256] [--rounds 3] [--debug] [--freeze]

A provider of our own on loopback says TOKENS words without a pause. It is asked directly, and through POST /v1/answers,
which searches first; provider and service are processes of their own, and the client is the same. --debug has asyncio
name what blocks.
"""

import argparse
import asyncio
import contextlib
import gc
import itertools
import json
import logging
import multiprocessing
import statistics
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from time import perf_counter
from typing import Any

import httpx
import numpy as np
import structlog

from benchmarks.workbench import SHARED, commit, machine, read_corpus, read_queries, scratch, table
from tests.running import Service, run_service

TOKENS = 50
AT_ONCE = (1, 32)
TICK_S = 0.005
WARM_UP = 8
BLOCKED_S = 0.05
PROMPT = "What a passage says stands here. " * 300
"""For the provider asked directly: about as long as what the service sends."""


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds of one stream; retrieval is when its passages came, where a search was made."""

    first: float
    whole: float
    retrieval: float | None = None


@dataclass(frozen=True, slots=True)
class Row:
    at_once: int
    what: str
    p50: float
    p95: float


@dataclass(frozen=True, slots=True)
class Ticks:
    """Seconds between wakings that should be TICK_S apart, and of the longest garbage collection meanwhile."""

    gaps: list[float]
    longest_collection: float


def serve_provider(parent: Connection) -> None:
    """Answer chat completions as OpenAI does, as fast as a loop can; a process of its own."""

    def event(delta: dict[str, str], reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": reason}
        data = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
        return _chunk(f"data: {json.dumps(data)}\n\n")

    usage = {"prompt_tokens": 2_000, "completion_tokens": TOKENS, "total_tokens": 2_000 + TOKENS}
    last = {
        "id": "c",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "m",
        "choices": [],
        "usage": usage,
    }
    events = [
        *(event({"content": f"word{number} "}) for number in range(TOKENS - 1)),
        event({"content": "[1]."}),
        event({}, "stop"),
        _chunk(f"data: {json.dumps(last)}\n\n"),
        _chunk("data: [DONE]\n\n"),
        b"0\r\n\r\n",
    ]
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                asked = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
                await reader.readexactly(int(asked.split("content-length:")[1].split("\r\n")[0]))
                for part in (head, *events):
                    writer.write(part)
                    await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def main() -> None:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        parent.send(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1")
        await asyncio.to_thread(parent.recv)
        server.close()

    asyncio.run(main())


def _chunk(text: str) -> bytes:
    data = text.encode()
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


def serve_service(
    parent: Connection, dsn: str, provider_url: str, documents: int, debug: bool, freeze: bool
) -> None:
    """Run the service with documents in it and a model of the provider's; tick in its loop when told to."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    limits: dict[str, Any] = {f"rate_limit{key}_requests_per_minute": 10**6 for key in ("", "_key")}
    with (
        tempfile.TemporaryDirectory(prefix="docsearch-bench-") as home,
        run_service(dsn, Path(home), model_allowed_networks="127.0.0.0/8", **limits) as service,
    ):
        model_id = _prepare(service, provider_url, documents)
        parent.send((service.url, service.key, model_id))
        if debug:
            logging.basicConfig(level=logging.WARNING)
            service.call(_debug())
        if freeze:
            gc.collect()
            gc.freeze()
        while parent.recv() == "tick":
            ticking = service.call(_start_ticking())
            parent.recv()
            parent.send(service.call(ticking.stop()))


def serve_clock(parent: Connection) -> None:
    """Tick in a process that does nothing else: what the machine itself holds up."""

    async def main() -> None:
        ticking = await _start_ticking()
        await asyncio.to_thread(parent.recv)
        parent.send(await ticking.stop())

    while parent.recv() == "tick":
        asyncio.run(main())


@dataclass(slots=True)
class _Ticking:
    """gaps are the seconds between wakings that should be TICK_S apart."""

    gaps: list[float] = field(default_factory=list)
    longest_collection: float = 0.0
    """Of garbage, in seconds: it stops every thread."""
    task: "asyncio.Task[None] | None" = None
    _collecting_since: float = 0.0

    def watch_collections(self, phase: str, _: dict[str, int]) -> None:
        if phase == "start":
            self._collecting_since = perf_counter()
        else:
            self.longest_collection = max(self.longest_collection, perf_counter() - self._collecting_since)

    async def run(self) -> None:
        last = perf_counter()
        while True:
            await asyncio.sleep(TICK_S)
            now = perf_counter()
            self.gaps.append(now - last)
            last = now

    async def stop(self) -> Ticks:
        assert self.task is not None, "it was started"
        self.task.cancel()
        gc.callbacks.remove(self.watch_collections)
        return Ticks(self.gaps, self.longest_collection)


async def _start_ticking() -> _Ticking:
    ticking = _Ticking()
    gc.callbacks.append(ticking.watch_collections)
    ticking.task = asyncio.create_task(ticking.run())
    return ticking


async def _debug() -> None:
    loop = asyncio.get_running_loop()
    loop.set_debug(True)
    loop.slow_callback_duration = BLOCKED_S


def _prepare(service: Service, provider_url: str, documents: int) -> str:
    with service.client() as client, ThreadPoolExecutor(8) as threads:

        def put(document: tuple[str, str]) -> str:
            title, text = document
            body = {"title": title or "Untitled", "content": text or title}
            status: str = client.post("/v1/documents?wait=50", json=body).raise_for_status().json()["status"]
            return status

        states = set(threads.map(put, read_corpus(SHARED / "bench" / "claude-docs", documents)))
        assert states == {"ready"}, states
        model = {
            "name": "Bench",
            "provider": "CUSTOM",
            "model_id": "m",
            "endpoint": provider_url,
            "api_key": "sk-b",
        }
        made = client.post("/v1/ai/models", json=model).raise_for_status()
    model_id: str = made.json()["id"]
    return model_id


async def _direct(client: httpx.AsyncClient, url: str, question: str) -> Times:
    messages = [{"role": "system", "content": PROMPT}, {"role": "user", "content": question}]
    body = {"model": "m", "stream": True, "stream_options": {"include_usage": True}, "messages": messages}
    started = perf_counter()
    first = None
    async with client.stream("POST", f"{url}/chat/completions", json=body) as reply:
        async for line in reply.aiter_lines():
            if first is None and '"content"' in line:
                first = perf_counter() - started
    assert first is not None, "the provider said nothing"
    return Times(first, perf_counter() - started)


async def _through(client: httpx.AsyncClient, url: str, key: str, model_id: str, question: str) -> Times:
    # Whatever the question: a declined one asks no model.
    body = {"question": question, "model": model_id, "stream": True, "settings": {"min_score": 0}}
    started = perf_counter()
    first = retrieval = None
    deltas = 0
    headers = {"Authorization": f"Bearer {key}"}
    async with client.stream("POST", f"{url}/v1/answers", json=body, headers=headers) as reply:
        assert reply.status_code == 200, await reply.aread()
        async for line in reply.aiter_lines():
            if line == "event: retrieval":
                retrieval = perf_counter() - started
            elif line == "event: delta":
                deltas += 1
                first = first or perf_counter() - started
            assert line != "event: error", "the answer failed"
    assert first is not None, "nothing was answered"
    assert deltas > 1, "the answer did not stream"
    return Times(first, perf_counter() - started, retrieval)


async def _many(
    ask: Callable[[httpx.AsyncClient, str], Awaitable[Times]], questions: Sequence[str], at_once: int
) -> list[Times]:
    """Ask them all, so many at once."""
    left = iter(questions)
    times: list[Times] = []

    async def take(client: httpx.AsyncClient) -> None:
        for question in left:
            times.append(await ask(client, question))  # noqa: PERF401 - questions are shared out as they are asked

    limits = httpx.Limits(max_connections=at_once, max_keepalive_connections=at_once)
    async with httpx.AsyncClient(timeout=120, limits=limits) as client, asyncio.TaskGroup() as group:
        for _ in range(at_once):
            group.create_task(take(client))
    return times


@asynccontextmanager
async def _process(serve: Callable[..., None], *arguments: Any) -> AsyncIterator[Connection]:
    """Run it in a new process; what it is sent last ends it."""
    ours, theirs = multiprocessing.get_context("spawn").Pipe()
    process = multiprocessing.get_context("spawn").Process(target=serve, args=(theirs, *arguments))
    process.start()
    theirs.close()  # or nobody would hear that it has died
    try:
        yield ours
    finally:
        with contextlib.suppress(BrokenPipeError):
            ours.send("end")
        await asyncio.to_thread(process.join)


async def _round(
    streams: int, documents: int, debug: bool, freeze: bool
) -> tuple[list[Row], dict[str, Ticks]]:
    async with scratch() as (_, dsn), _process(serve_provider) as provider, _process(serve_clock) as clock:
        provider_url = await asyncio.to_thread(provider.recv)
        async with _process(serve_service, dsn, provider_url, documents, debug, freeze) as service:
            url, key, model_id = await asyncio.to_thread(service.recv)
            return await _measure(provider_url, (url, key, model_id), streams, (service, clock))


async def _measure(
    provider_url: str, target: tuple[str, str, str], streams: int, tickers: tuple[Connection, Connection]
) -> tuple[list[Row], dict[str, Ticks]]:
    async def direct(client: httpx.AsyncClient, question: str) -> Times:
        return await _direct(client, provider_url, question)

    async def through(client: httpx.AsyncClient, question: str) -> Times:
        return await _through(client, *target, question)

    # Each once, so that every one is embedded.
    fresh = itertools.cycle(
        [*read_queries(SHARED / "bench" / "claude-docs"), *read_queries(SHARED / "bench" / "chunking-eval")]
    )
    gaps: dict[str, Ticks] = {}
    rows: list[Row] = []
    for at_once in AT_ONCE:
        for ask in (direct, through):
            await _many(ask, list(itertools.islice(fresh, WARM_UP)), min(at_once, WARM_UP))
        count = max(64, streams // 4) if at_once == 1 else streams
        alone = await _many(direct, list(itertools.islice(itertools.cycle(["Why?"]), count)), at_once)
        for ticker in tickers:
            ticker.send("tick")
        ours = await _many(through, list(itertools.islice(fresh, count)), at_once)
        for name, ticker in zip(("service", "idle process"), tickers, strict=True):
            ticker.send("stop")
            gaps[f"{name}, {at_once} at once"] = await asyncio.to_thread(ticker.recv)
        rows += _rows(at_once, alone, ours)
    return rows, gaps


def _rows(at_once: int, alone: Sequence[Times], ours: Sequence[Times]) -> list[Row]:
    def row(what: str, seconds: Sequence[float]) -> Row:
        p50, p95 = np.percentile(np.array(seconds) * 1000, [50, 95])
        return Row(at_once, what, float(p50), float(p95))

    return [
        row("provider, first token", [one.first for one in alone]),
        row("ours, first token", [one.first for one in ours]),
        row("ours, passages", [one.retrieval or 0.0 for one in ours]),
        row("ours, from passages to first token", [one.first - (one.retrieval or 0.0) for one in ours]),
        row("provider, whole stream", [one.whole for one in alone]),
        row("ours, whole stream", [one.whole for one in ours]),
    ]


async def main(documents: int, streams: int, rounds: int, debug: bool, freeze: bool) -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    done = [await _round(streams, documents, debug, freeze) for _ in range(rounds)]

    def first_at_32(one: tuple[list[Row], dict[str, Ticks]]) -> float:
        return next(
            row.p50 for row in one[0] if row.at_once == AT_ONCE[-1] and row.what == "ours, first token"
        )

    for one in done:
        print(f"round: first token at {AT_ONCE[-1]} at once {first_at_32(one):.1f} ms", flush=True)
    median = statistics.median_low(map(first_at_32, done))
    rows, gaps = next(one for one in done if first_at_32(one) == median)
    print(f"\ncommit {commit()}, {machine()}, {streams} streams, the median of {rounds} rounds\n")
    print(table(("at once", "what", "p50 ms", "p95 ms", "ratio to the provider"), _with_ratios(rows)))
    print()
    print(
        table(
            (
                "ticks",
                "longest gap ms, each round",
                "longest garbage collection ms",
                "99.9th percentile ms",
                f"gaps above {BLOCKED_S * 1000:.0f} ms",
            ),
            [_gap_row(name, [of_round[name] for _, of_round in done]) for name in gaps],
        )
    )


def _with_ratios(rows: Sequence[Row]) -> list[tuple[object, ...]]:
    base = {
        (row.at_once, row.what.split(", ")[1]): row.p50 for row in rows if row.what.startswith("provider")
    }
    made: list[tuple[object, ...]] = []
    for row in rows:
        against = base.get((row.at_once, row.what.split(", ")[1]))
        ratio = "" if against is None else f"{row.p50 / against:.2f}"
        made.append((row.at_once, row.what, f"{row.p50:.1f}", f"{row.p95:.1f}", ratio))
    return made


def _gap_row(name: str, rounds: Sequence[Ticks]) -> tuple[object, ...]:
    longest = ", ".join(f"{max(ticks.gaps) * 1000:.1f}" for ticks in rounds)
    collection = ", ".join(f"{ticks.longest_collection * 1000:.1f}" for ticks in rounds)
    every = np.concatenate([np.array(ticks.gaps) for ticks in rounds])
    return (
        name,
        longest,
        collection,
        f"{np.percentile(every, 99.9) * 1000:.1f}",
        f"{(every > BLOCKED_S).sum()} of {len(every)}",
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=int, default=200)
    parser.add_argument("--streams", type=int, default=256, help="a quarter of them one at a time")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--debug", action="store_true")
    parser.add_argument(
        "--freeze", action="store_true", help="keep what the service starts with from being collected"
    )
    given = parser.parse_args()
    asyncio.run(main(given.documents, given.streams, given.rounds, given.debug, given.freeze))
