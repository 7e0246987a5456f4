"""Worker processes of the workflow benchmarks: ours, and PgQueuer's own with a job for each node."""

import asyncio
import contextlib
import logging
import multiprocessing
import os
import signal
import tempfile
from collections.abc import Callable, Iterator
from datetime import timedelta
from multiprocessing.process import BaseProcess
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import structlog
from pgqueuer import PgQueuer
from pgqueuer.db import AsyncpgDriver
from pgqueuer.models import Job
from pgqueuer.queries import Queries

from db.pool import open_pool
from service.engine.jobs import open_workflows
from service.runtime import open_runtime
from service.settings import load_settings
from service.worker import run_workflows

SECRETS = {"secret_key": "benchmark " * 8, "encryption_key": "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="}
BARE = "bare_node"
NODES = 10


def work(dsn: str, lease_s: float, concurrency: int, ready: Event | None = None) -> None:
    """Run workflows until SIGTERM, as `docsearch worker` does beside its other work; set ready when it begins."""
    _quiet()
    with tempfile.TemporaryDirectory(prefix="docsearch-bench-") as home:
        asyncio.run(_work(dsn, Path(home), lease_s, concurrency, ready))


async def _work(dsn: str, home: Path, lease_s: float, concurrency: int, ready: Event | None) -> None:
    settings = load_settings(
        DOCSEARCH_HOME=home,
        workflow_allowed_networks="127.0.0.0/8",
        workflow_concurrency=concurrency,
        **SECRETS,
    )
    async with (
        open_runtime(settings, dsn) as runtime,
        open_workflows(runtime, lease=timedelta(seconds=lease_s)) as workflows,
    ):
        connection = PgQueuer.from_asyncpg_pool(runtime.pool).connection
        if ready is not None:
            ready.set()
        await run_workflows(workflows, connection, _stopped())


def work_bare(dsn: str, lease_s: float, concurrency: int) -> None:
    """Take jobs that each enqueue the next of their chain, in a transaction, as an engine of a job a node would."""
    _quiet()
    asyncio.run(_work_bare(dsn, concurrency))


async def _work_bare(dsn: str, concurrency: int) -> None:
    async with open_pool(dsn, size=10) as pool:
        queue = PgQueuer.from_asyncpg_pool(pool)

        @queue.entrypoint(BARE, accepts_context=False)
        async def node(job: Job) -> None:
            chain, _, at = (job.payload or b"").decode().partition(":")
            following = int(at) + 1
            async with pool.acquire() as conn, conn.transaction():
                if following < NODES:
                    await Queries(AsyncpgDriver(conn)).enqueue(  # type: ignore[arg-type]
                        BARE, f"{chain}:{following}".encode()
                    )
                if following in {1, NODES}:
                    await conn.execute(
                        "INSERT INTO bare_done (chain, node) VALUES ($1, $2)", chain, following
                    )

        queue.qm.shutdown = _stopped()
        await queue.run(
            dequeue_timeout=timedelta(seconds=1),
            batch_size=max(concurrency // 2, 1),
            max_concurrent_tasks=concurrency,
        )


def _quiet() -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))


def _stopped() -> asyncio.Event:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


def start_worker(target: Callable[..., None], *arguments: Any) -> BaseProcess:
    process = multiprocessing.get_context("spawn").Process(target=target, args=arguments, daemon=True)
    process.start()
    return process


@contextlib.contextmanager
def workers(target: Callable[..., None], count: int, *arguments: Any) -> Iterator[list[BaseProcess]]:
    """Run so many workers; the list may be changed by whoever kills some and starts others."""
    started = [start_worker(target, *arguments) for _ in range(count)]
    try:
        yield started
    finally:
        for process in started:
            process.terminate()
        for process in started:
            process.join(15)
            if process.is_alive():
                process.kill()


def kill(process: BaseProcess) -> None:
    """End a worker as a crash does."""
    if process.pid is not None:
        os.kill(process.pid, signal.SIGKILL)
        process.join()
