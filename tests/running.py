"""The whole service, really running: HTTP on loopback, a worker, a fresh database, in a thread of its own."""

import asyncio
import base64
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from db import api_keys, users
from db.roles import ensure_login
from service.app import create_app
from service.auth.keys import hash_key, mint_key
from service.engine.jobs import open_workflows
from service.http import reserve_port, serve_http
from service.providers import RememberingQueries
from service.runtime import Runtime, open_ingestor, open_runtime
from service.settings import EmbeddingProvider, Settings, load_settings
from service.webhooks.jobs import Deliverer
from service.worker import run_worker
from tests.embedding import bundled_embedder

ENCRYPTION_KEY = base64.urlsafe_b64encode(b"thirty-two bytes only for tests!").decode()
# Services of tests speak plain HTTP, and loading the certificates of the world takes 20 ms a client.
_NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
SECRET = "a secret that is only for tests, long enough"


@dataclass(slots=True)
class Service:
    """A running service; key belongs to the local owner."""

    url: str
    key: str
    settings: Settings
    database_url: str
    _loop: asyncio.AbstractEventLoop = field(repr=False)
    _runtime: Runtime = field(repr=False)
    _stop: asyncio.Event = field(repr=False)
    _thread: threading.Thread = field(repr=False)

    def client(self, key: str | None = "", **options: Any) -> httpx.Client:
        """Return a client signed in as the owner, with another key, or with none for None."""
        token = self.key if key == "" else key
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        return httpx.Client(base_url=self.url, headers=headers, timeout=60, verify=_NO_TLS, **options)

    def new_user(self, email: str, scopes: tuple[str, ...] = ("admin",)) -> str:
        """Make another person and return a key of theirs."""
        key: str = self.call(_new_user(self._runtime, email, scopes))
        return key

    def call(self, coroutine: Any) -> Any:
        """Run a coroutine in the service's own loop, where its pool lives."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(timeout=60)

    def stop(self) -> None:
        """Stop it before the end of its block, and return when it has."""
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    @property
    def runtime(self) -> Runtime:
        return self._runtime


async def _new_user(runtime: Runtime, email: str, scopes: tuple[str, ...]) -> str:
    key = mint_key()
    async with runtime.pool.acquire() as conn, conn.transaction():
        user = await users.create_user(conn, email=email)
        await api_keys.insert_api_key(
            conn,
            user_id=user.id,
            name="test",
            key_hash=hash_key(runtime.settings.signing_secret(), key),
            prefix="dsk_test",
            scopes=list(scopes),
        )
    return key


@contextmanager
def run_service(database_url: str, home: Path, *, worker: bool = True, **overrides: Any) -> Iterator[Service]:
    """Start the service on a migrated database and stop it at the end of the block."""
    settings = load_settings(
        **{
            "DOCSEARCH_HOME": home,
            "database_url": database_url,
            "secret_key": SECRET,
            "encryption_key": ENCRYPTION_KEY,
            "port": 0,
            **overrides,
        }
    )
    box: dict[str, Any] = {}
    ready = threading.Event()

    async def main() -> None:
        stop = box["stop"] = asyncio.Event()
        service_url = await ensure_login(database_url)
        async with open_runtime(
            settings, service_url, database_url, embedder=shared_embedder(settings)
        ) as runtime:
            port = reserve_port(settings.host, 0)
            async with serve_http(create_app(runtime), settings.host, port):
                key = await _owner_key(runtime)
                box["service"] = Service(
                    url=f"http://{settings.host}:{port}",
                    key=key,
                    settings=settings,
                    database_url=database_url,
                    _loop=asyncio.get_running_loop(),
                    _runtime=runtime,
                    _stop=stop,
                    _thread=threading.current_thread(),
                )
                if not worker:
                    ready.set()
                    await stop.wait()
                    return
                async with open_ingestor(runtime) as ingestor, open_workflows(runtime) as workflows:
                    ready.set()
                    deliverer = Deliverer.open(runtime.pool, settings)
                    await run_worker(
                        ingestor, deliverer, workflows, owner_url=database_url, concurrency=4, stop=stop
                    )

    def run() -> None:
        with asyncio.Runner() as runner:
            box["loop"] = runner.get_loop()
            try:
                runner.run(main())
            except BaseException as exc:
                box["error"] = exc
            finally:
                ready.set()

    thread = threading.Thread(target=run, name="docsearch-service")
    thread.start()
    ready.wait()
    try:
        if "error" in box:
            raise box["error"]
        yield box["service"]
    finally:
        if "stop" in box and not box["loop"].is_closed():
            box["loop"].call_soon_threadsafe(box["stop"].set)
        thread.join()
    if "error" in box:
        raise box["error"]


def shared_embedder(settings: Settings) -> RememberingQueries | None:
    """Return the bundled embedder, with a memory of its own for queries; None where settings choose another."""
    if settings.embedding_provider is not EmbeddingProvider.LOCAL:
        return None
    return RememberingQueries(bundled_embedder())


async def _owner_key(runtime: Runtime) -> str:
    key = mint_key()
    async with runtime.pool.acquire() as conn, conn.transaction():
        owner = await users.ensure_local_owner(conn)
        await api_keys.insert_api_key(
            conn,
            user_id=owner.id,
            name="test owner",
            key_hash=hash_key(runtime.settings.signing_secret(), key),
            prefix="dsk_test",
            scopes=["admin"],
        )
    return key
