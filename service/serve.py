"""`docsearch serve` and `docsearch worker`: everything started in order, and stopped in reverse.

home lock ► database ► migrate ► seed ► runtime ► owner ► API ┬► worker ► handbook ► banner
                                                              └► until Ctrl-C
"""

import asyncio
import contextlib
import gc
import json
import shlex
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from db import migrate
from db.documents import find_document
from db.embedded import EmbeddedPostgres, HomeLock, running_dsn
from db.events import Events
from db.pool import Pool
from db.roles import ensure_login
from db.seed import seed
from service.app import create_app
from service.engine.jobs import open_workflows
from service.http import reserve_port, serve_http
from service.owner import Owner, ensure_owner, give_handbook
from service.runtime import Runtime, open_ingestor, open_runtime
from service.secrets import SecretBox
from service.settings import Settings
from service.templates.seeds import seeded_templates
from service.webhooks.jobs import Deliverer
from service.worker import run_worker

log = structlog.get_logger()

SERVER_FILE = "server.json"
# The handbook is a few pages; a machine that cannot read them in this time gets its banner all the same.
_HANDBOOK_WAIT_S = 60.0


@dataclass(frozen=True, slots=True)
class ServeOptions:
    worker: bool = True
    owner: bool = True


async def serve(settings: Settings, options: ServeOptions) -> None:
    """Run until SIGINT or SIGTERM. Raises DatabaseError, PortTaken or OSError where it cannot start."""
    stop = _stop_on_signals()
    async with contextlib.AsyncExitStack() as stack:
        if settings.embedded:
            stack.enter_context(HomeLock(settings.home))
        else:
            settings.home.mkdir(parents=True, exist_ok=True)
        SecretBox(settings.encryption_keys())  # refuses, before anything is started
        port = reserve_port(settings.host, settings.port)
        settings = settings.model_copy(update={"port": port})  # addresses of webhooks are made of it
        runtime = await stack.enter_async_context(_migrated_runtime(settings))
        async with runtime.pool.acquire() as conn, conn.transaction():
            await seed(conn, seeded_templates())
        app = create_app(runtime)
        http = await stack.enter_async_context(serve_http(app, settings.host, port))
        background = [http]
        if options.worker:
            background.append(await stack.enter_async_context(_working(runtime, stop)))
        url = f"http://{_shown_host(settings.host)}:{port}"
        stack.enter_context(_server_file(settings.home, url))
        if options.owner:
            owner = await ensure_owner(runtime.pool, settings.home, settings.signing_secret())
            if owner.is_new:
                await _welcome(runtime, app.state.events, owner, options, stop)
            print_banner(settings, url, owner)
        else:
            log.info("ready", url=url)
        _settle_memory()
        await _until_stopped(stop, background)


async def work(settings: Settings) -> None:
    """Run a worker apart from any API, until SIGINT or SIGTERM."""
    stop = _stop_on_signals()
    async with contextlib.AsyncExitStack() as stack:
        SecretBox(settings.encryption_keys())
        running = running_dsn(settings.home) if settings.embedded else None
        if settings.embedded and running is None:
            stack.enter_context(HomeLock(settings.home))
        runtime = await stack.enter_async_context(_migrated_runtime(settings, running))
        task = await stack.enter_async_context(_working(runtime, stop))
        log.info("worker_ready", concurrency=settings.worker_concurrency)
        await _until_stopped(stop, [task])


@contextlib.asynccontextmanager
async def _migrated_runtime(settings: Settings, running: str | None = None) -> AsyncIterator[Runtime]:
    """Migrate as the owner of the tables, then work as a role that is not.

    running is an embedded database that another process of ours runs, and that is not ours to stop.
    """
    async with _database(settings, running) as database:
        await migrate.upgrade(database.owner_url)
        database_url = database.service_url or await ensure_login(database.owner_url)
        async with open_runtime(settings, database_url, database.owner_url) as runtime:
            yield runtime


@dataclass(frozen=True, slots=True)
class _Database:
    owner_url: str = field(repr=False)
    service_url: str | None = field(repr=False)
    """None on the embedded database, where the role is still to be made."""


@contextlib.asynccontextmanager
async def _database(settings: Settings, running: str | None) -> AsyncIterator[_Database]:
    if settings.database_url is not None:
        yield _Database(settings.migration_database_url or settings.database_url, settings.database_url)
        return
    if running is not None:
        yield _Database(running, None)
        return
    server = EmbeddedPostgres(settings.home)
    # Starting and stopping are pg_ctl's, which blocks.
    try:
        yield _Database(await asyncio.to_thread(server.start), None)
    finally:
        await asyncio.to_thread(server.stop)


@contextlib.asynccontextmanager
async def _working(runtime: Runtime, stop: asyncio.Event) -> AsyncIterator[asyncio.Task[None]]:
    async with open_ingestor(runtime) as ingestor, open_workflows(runtime) as workflows:
        task = asyncio.create_task(
            run_worker(
                ingestor,
                Deliverer.open(runtime.pool, runtime.settings),
                workflows,
                owner_url=runtime.owner_url,
                concurrency=runtime.settings.worker_concurrency,
                stop=stop,
            )
        )
        try:
            yield task
        finally:
            stop.set()
            with contextlib.suppress(asyncio.CancelledError):
                await task


def _settle_memory() -> None:
    """Keep what is there for good out of the collector: looking through it stops everything for a fifth of a second."""
    gc.collect()
    gc.freeze()


def _stop_on_signals() -> asyncio.Event:
    """Return an event that Ctrl-C or SIGTERM sets. A second Ctrl-C while stopping changes nothing: data comes first."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    return stop


async def _until_stopped(stop: asyncio.Event, background: list[asyncio.Task[None]]) -> None:
    """Return when stop is set; raises what ended a background task before that."""
    waiting = asyncio.create_task(stop.wait())
    done, _ = await asyncio.wait({waiting, *background}, return_when=asyncio.FIRST_COMPLETED)
    if not stop.is_set():
        for task in done:
            await task
    waiting.cancel()
    log.info("stopping")


def _shown_host(host: str) -> str:
    if host in {"0.0.0.0", "::"}:  # noqa: S104
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host


@contextlib.contextmanager
def _server_file(home: Path, url: str) -> Iterator[None]:
    """Tell the client commands in this folder where the server is, for as long as it is there."""
    path = home / SERVER_FILE
    path.write_text(json.dumps({"url": url}) + "\n")
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


async def _welcome(
    runtime: Runtime, events: Events, owner: Owner, options: ServeOptions, stop: asyncio.Event
) -> None:
    """Give a new owner the handbook, and wait until it can be searched, so that the printed commands work."""
    ids = await give_handbook(runtime.pool, runtime.originals, owner)
    if not options.worker:
        return
    sys.stderr.write("Reading the handbook, so that there is something to search…\n")
    waiting = asyncio.create_task(_all_finished(runtime.pool, events, owner.user_id, ids))
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({waiting, stopping}, timeout=_HANDBOOK_WAIT_S, return_when=asyncio.FIRST_COMPLETED)
    for task in (waiting, stopping):
        task.cancel()


async def _all_finished(pool: Pool, events: Events, user_id: str, ids: list[str]) -> None:
    for document_id in ids:
        with events.watch(document_id) as changed:
            while True:
                changed.clear()
                async with pool.acquire() as conn:
                    row = await find_document(conn, [user_id], document_id)
                if row is None or row.status in {"ready", "failed"}:
                    break
                await changed.wait()


SAMPLE_QUESTION = "What may a VIEWER of a team do?"


def print_banner(settings: Settings, url: str, owner: Owner) -> None:
    """Say where everything is, and what to try first; every line works as printed."""
    home = "" if settings.home == Path(".docsearch") else f"DOCSEARCH_HOME={shlex.quote(str(settings.home))} "
    body = shlex.quote(json.dumps({"query": SAMPLE_QUESTION, "top_k": 3}))
    headers = f"-H 'Authorization: Bearer {owner.key}' -H 'Content-Type: application/json'"
    curl = f"curl -s {url}/v1/search {headers} -d {body}"
    print(  # noqa: T201
        f"""
docsearch is ready at {url}

  Open      {url}/#key={owner.key}
  API key   {owner.key}
            (also in {settings.home / "owner.key"})

  Try       {curl}
            {home}{_own_command()} search {shlex.quote(SAMPLE_QUESTION)}
            {home}{_own_command()} ingest PATH…

  Ctrl-C stops everything; the data stays in {settings.home}.
""",
        flush=True,
    )


def _own_command() -> str:
    """Return how to call this program from where the person is."""
    found = shutil.which("docsearch")
    own = Path(sys.executable).parent / "docsearch"
    if found is not None and Path(found).resolve() == own.resolve():
        return "docsearch"
    with contextlib.suppress(ValueError):
        return shlex.quote(str(own.relative_to(Path.cwd())))
    return shlex.quote(str(own))
