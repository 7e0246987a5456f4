"""Search quality: `docsearch eval` on every set of a folder, in all three modes, as one table and one picture.

python -m benchmarks.quality [--sets ../shared/bench] [--only scifact] [--plot benchmarks/quality.png]
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.workbench import SHARED, commit, machine, table

MODES = ("hybrid", "semantic", "lexical")


def evaluate(data: Path, home: Path) -> dict[str, Any]:
    """Run the command as a user would, and return what it prints."""
    done = subprocess.run(
        [sys.executable, "-m", "service.cli", "eval", "--data", str(data), "--json"],
        env={"DOCSEARCH_HOME": str(home), "PATH": "/usr/bin:/bin", "LOG_LEVEL": "WARNING"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def rows_of(name: str, report: dict[str, Any]) -> list[list[object]]:
    return [
        [
            name if mode == MODES[0] else "",
            report["documents"] if mode == MODES[0] else "",
            report["queries"] if mode == MODES[0] else "",
            mode,
            f"{figures['ndcg@10']:.3f}",
            f"{figures['recall@100']:.3f}",
            f"{figures['mrr@10']:.3f}",
            f"{figures['p50_ms']:.1f}",
            f"{figures['p95_ms']:.1f}",
        ]
        for mode, figures in ((mode, report["modes"][mode]) for mode in MODES)
    ]


def plot(reports: dict[str, dict[str, Any]], path: Path) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(9, 3.6), layout="constrained")
    for offset, (mode, colour) in enumerate(zip(MODES, ("#3b5bdb", "#91a7ff", "#adb5bd"), strict=True)):
        values = [report["modes"][mode]["ndcg@10"] for report in reports.values()]
        places = [i + (offset - 1) * 0.27 for i in range(len(reports))]
        bars = axes.bar(places, values, width=0.26, color=colour, label=mode)
        axes.bar_label(bars, fmt=lambda value: f"{value:.2f}".lstrip("0"), fontsize=7, padding=1)
    axes.set_xticks(range(len(reports)), list(reports))
    axes.set_ylabel("nDCG@10")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, ncols=3, loc="upper left", bbox_to_anchor=(0, 1.12))
    figure.savefig(path, dpi=110)


def main(sets: Path, only: list[str] | None, picture: Path | None) -> None:
    folders = [data for data in sorted(sets.iterdir()) if (data / "corpus.jsonl").exists()]
    reports: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory(prefix="docsearch-bench-") as folder:
        for data in folders:
            if only is None or data.name in only:
                reports[data.name] = evaluate(data, Path(folder) / "home")
                sys.stderr.write(f"{data.name}: {json.dumps(reports[data.name]['modes'])}\n")
    print(f"commit {commit()}, {machine()}\n")
    header = ("set", "documents", "queries", "mode", "nDCG@10", "recall@100", "MRR@10", "p50 ms", "p95 ms")
    print(table(header, [row for name, report in reports.items() for row in rows_of(name, report)]))
    if picture is not None:
        plot(reports, picture)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", type=Path, default=SHARED / "bench")
    parser.add_argument("--only", action="append")
    parser.add_argument("--plot", type=Path, default=None)
    given = parser.parse_args()
    main(given.sets, given.only, given.plot)
