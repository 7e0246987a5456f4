"""The jobs that a deletion leaves behind. Each may run twice: what is gone stays gone."""

import msgspec
import structlog

from db.pool import Pool
from db.tenancy import as_system
from ingest.originals import Originals
from service.accounts.deletion import sweep

log = structlog.get_logger()


async def run_original_deletion(originals: Originals, payload: bytes) -> None:
    keys = msgspec.json.decode(payload, type=list[str])
    for key in keys:
        await originals.delete(key)
    log.info("originals_deleted", count=len(keys))


async def run_sweep(pool: Pool, payload: bytes) -> None:
    async with as_system(pool) as conn:
        await sweep(conn, payload.decode())
