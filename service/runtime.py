"""What API and worker both run on: opened once a process, closed in reverse."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

from db.pool import Pool, open_pool
from ingest.fetch import Fetcher
from ingest.isolate import ParserPool
from ingest.originals import Originals
from ingest.pipeline import Ingestor
from service.auth.oidc import TokenVerifier
from service.auth.sign_in import open_verifier
from service.providers import RememberingQueries, open_embedder
from service.settings import Settings


@dataclass(frozen=True, slots=True)
class Runtime:
    settings: Settings
    owner_url: str
    """The database as the owner of its tables: for the upkeep of indexes, which nobody else may do."""
    pool: Pool
    """Connections of the service's own role; db/tenancy.py narrows them to a caller's."""
    originals: Originals
    embedder: RememberingQueries
    verifier: TokenVerifier | None = None
    """None where nobody signs in with tokens."""


@contextlib.asynccontextmanager
async def open_runtime(
    settings: Settings,
    database_url: str,
    owner_url: str | None = None,
    *,
    embedder: RememberingQueries | None = None,
) -> AsyncIterator[Runtime]:
    """Open pool, object store, embedder and verifier on a migrated database; owner_url unset: the same.

    An embedder that is given is used as it is and left open.
    """
    async with (
        open_pool(
            database_url,
            size=settings.database_pool_size,
            statement_cache_size=settings.database_statement_cache_size,
        ) as pool,
        contextlib.nullcontext(embedder) if embedder else open_embedder(settings) as in_use,
        open_verifier(settings) as verifier,
    ):
        originals = Originals.open(settings.storage_url, default_folder=settings.home / "originals")
        yield Runtime(
            settings=settings,
            owner_url=owner_url or database_url,
            pool=pool,
            originals=originals,
            embedder=in_use,
            verifier=verifier,
        )


@contextlib.asynccontextmanager
async def open_ingestor(runtime: Runtime) -> AsyncIterator[Ingestor]:
    """Add the parser's subprocesses, which only who ingests needs."""
    settings = runtime.settings
    async with ParserPool(
        min(2, settings.worker_concurrency),
        timeout_s=settings.parse_timeout_s,
        memory_mb=settings.parse_memory_mb,
    ) as parser:
        yield Ingestor(
            pool=runtime.pool,
            originals=runtime.originals,
            parser=parser,
            embedder=runtime.embedder,
            fetcher=Fetcher(settings.allowed_networks),
            max_file_bytes=settings.max_upload_bytes,
            price_per_million=settings.embedding_price_per_million,
        )
