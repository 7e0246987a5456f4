"""Processor time of the two sides of a benchmark: its worker processes, and the PostgreSQL that they use."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from db.pool import Pool

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class ProcessorTime:
    """Seconds of processor time since the processes began."""

    workers: float
    postgres: float

    def __sub__(self, other: "ProcessorTime") -> "ProcessorTime":
        return ProcessorTime(self.workers - other.workers, self.postgres - other.postgres)


async def server_pid(pool: Pool) -> int:
    """Return the process id of the server itself, the parent of every connection's."""
    async with pool.acquire() as conn:
        backend: int = await conn.fetchval("SELECT pg_backend_pid()")
    return int(_stat(backend)[1])


def processor_time(worker_pids: Iterable[int], server: int) -> ProcessorTime:
    """Read /proc. The server's time has that of its connections, of those that ended too."""
    children = [
        int(path.name)
        for path in Path("/proc").iterdir()
        if path.name.isdigit() and _parent(int(path.name)) == server
    ]
    own = sum(map(int, _stat(server)[11:15])) / _TICKS
    return ProcessorTime(
        workers=sum(_used(pid) for pid in worker_pids), postgres=own + sum(_used(pid) for pid in children)
    )


def _used(pid: int) -> float:
    try:
        return sum(map(int, _stat(pid)[11:13])) / _TICKS
    except (FileNotFoundError, ProcessLookupError):
        return 0.0


def _parent(pid: int) -> int | None:
    try:
        return int(_stat(pid)[1])
    except (FileNotFoundError, ProcessLookupError):
        return None


def _stat(pid: int) -> list[str]:
    """Return the fields behind the name, which may have spaces: state first, then the parent's id."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
