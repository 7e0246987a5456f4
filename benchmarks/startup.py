"""A fresh clone: seconds until `make serve` answers its first search, and the memory of all of it under load.

    python -m benchmarks.startup [--data ../shared/bench/scifact] [--documents 5183]

Clones the checkout's HEAD into a scratch folder, installs there (timed apart), serves, asks, uploads the corpus over
HTTP and watches the memory (proportional set size, so that pages shared by processes count once) of the whole tree.
"""

import argparse
import asyncio
import json
import os
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import httpx
import psutil

from benchmarks.workbench import SHARED, commit, machine, read_corpus, table
from service.http import reserve_port


class MemoryWatch(threading.Thread):
    """Samples the summed PSS of a process tree and PostgreSQL's under home, in MiB, and keeps the peak."""

    def __init__(self, root: int, home: Path) -> None:
        super().__init__(daemon=True)
        self.root, self.home = root, home
        self.peak = self.now = 0.0
        self.done = threading.Event()

    def run(self) -> None:
        while not self.done.wait(0.5):
            self.now = sum(_pss(pid) for pid in self._processes()) / 2**20
            self.peak = max(self.peak, self.now)

    def _processes(self) -> set[int]:
        tree = _tree(self.root)
        try:
            postmaster = int((self.home / "pg" / "postmaster.pid").read_text().split("\n", 1)[0])
        except (OSError, ValueError):
            return tree
        return tree | _tree(postmaster)


def _tree(pid: int) -> set[int]:
    try:
        process = psutil.Process(pid)
        return {pid, *(child.pid for child in process.children(recursive=True))}
    except psutil.NoSuchProcess:
        return set()


def _pss(pid: int) -> float:
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return float(line.split()[1]) * 1024
    except OSError:
        pass
    return 0.0


def first_search(url: str, key_file: Path, give_up_s: float) -> float:
    """Return when a search first answered with a hit, as time.perf_counter() has it."""
    deadline = time.perf_counter() + give_up_s
    while time.perf_counter() < deadline:
        try:
            headers = {"Authorization": f"Bearer {key_file.read_text().strip()}"}
            reply = httpx.post(
                f"{url}/v1/search", json={"query": "deleted documents"}, headers=headers, timeout=30
            )
            if reply.status_code == 200 and reply.json()["hits"]:
                return time.perf_counter()
        except (OSError, httpx.HTTPError):
            pass
        time.sleep(0.05)
    raise SystemExit("no search was answered in time")


async def upload(url: str, key: str, corpus: Sequence[tuple[str, str]]) -> float:
    """Upload the corpus, eight requests at a time; return the seconds until every document is ready."""
    started = time.perf_counter()
    async with httpx.AsyncClient(
        base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=120
    ) as client:
        gate = asyncio.Semaphore(8)

        async def one(title: str, text: str) -> None:
            async with gate:
                reply = await client.post(
                    "/v1/documents", json={"title": title or "untitled", "content": text}
                )
                reply.raise_for_status()

        await asyncio.gather(*(one(title, text) for title, text in corpus))
        for status in ("queued", "processing"):
            while (await client.get("/v1/documents", params={"status": status, "limit": 1})).json()["data"]:
                await asyncio.sleep(0.5)
        failed = (await client.get("/v1/documents", params={"status": "failed", "limit": 1})).json()["data"]
    if failed:
        raise SystemExit(f"documents failed: {failed}")
    return time.perf_counter() - started


def main(data: Path, documents: int) -> None:
    port = reserve_port("127.0.0.1", 0)
    with tempfile.TemporaryDirectory(prefix="docsearch-fresh-") as folder:
        clone = Path(folder) / "docsearch"
        subprocess.run(["git", "clone", "-q", str(Path(__file__).parents[1]), str(clone)], check=True)
        environment = {
            k: v for k, v in os.environ.items() if k not in {"VIRTUAL_ENV", "DOCSEARCH_HOME", "DATABASE_URL"}
        }
        started = time.perf_counter()
        subprocess.run([".ci/environment", "serve"], cwd=clone, env=environment, check=True)
        installed = time.perf_counter() - started
        started = time.perf_counter()
        server = subprocess.Popen(
            ["make", "-s", "serve", f"PORT={port}"],
            cwd=clone,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        home = clone / ".docsearch"
        watch = MemoryWatch(server.pid, home)
        watch.start()
        url = f"http://127.0.0.1:{port}"
        try:
            answered = first_search(url, home / "owner.key", 300) - started
            time.sleep(3)
            idle = watch.now
            corpus = read_corpus(data, documents)
            took = asyncio.run(upload(url, (home / "owner.key").read_text().strip(), corpus))
        finally:
            watch.done.set()
            os.killpg(server.pid, signal.SIGINT)
            server.wait(60)
        print(f"commit {commit()}, {machine()}, {len(corpus)} documents of {data.name}\n")
        rows = [
            ("installation, s", f"{installed:.1f}"),
            ("`make serve` to its first answered search, s", f"{answered:.1f}"),
            ("memory after the first search, MiB", f"{idle:.0f}"),
            ("uploading and ingesting the corpus, s", f"{took:.1f}"),
            ("peak memory of service, workers and database, MiB", f"{watch.peak:.0f}"),
        ]
        print(table(("", ""), rows))
        print(json.dumps(dict(rows)))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=SHARED / "bench" / "scifact")
    parser.add_argument("--documents", type=int, default=None)
    given = parser.parse_args()
    main(given.data, given.documents)
