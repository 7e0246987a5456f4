"""How many processor cores this process may use."""

import os
from pathlib import Path

_CGROUP_LIMIT = Path("/sys/fs/cgroup/cpu.max")


def usable_cores() -> int:
    """Return at least 1: the cores of the process's affinity, or fewer where its container has a quota."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = read_quota(_CGROUP_LIMIT)
    return cores if quota is None else max(1, min(cores, quota))


def read_quota(path: Path) -> int | None:
    """Read cgroup 2's `<microseconds> <period>`; None where there is no limit, 0 for less than half a core."""
    try:
        allowed, period = path.read_text(encoding="ascii").split()
    except (OSError, ValueError):
        return None
    return None if allowed == "max" else round(int(allowed) / int(period))
