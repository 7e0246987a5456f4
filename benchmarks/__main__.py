"""Every benchmark, one after the other: about half an hour on two cores. Each runs alone by its own name as well."""

import subprocess
import sys

BENCHMARKS = (
    "quality",
    "embedding",
    "ingest",
    "http_search",
    "isolation",
    "answers",
    "chat",
    "workflows",
    "workflow_faults",
    "workflow_schedules",
    "startup",
)


def main() -> None:
    for name in BENCHMARKS:
        print(f"\n## {name}: python -m benchmarks.{name}\n", flush=True)
        subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=True)


if __name__ == "__main__":
    main()
