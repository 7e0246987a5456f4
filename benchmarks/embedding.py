"""How much of the bare model's speed the bundled embedder keeps, and what queries take meanwhile.

    python -m benchmarks.embedding [--chunks 96] [--rounds 3]

Chunks fill the window: 254 tokens of random words. The bare model gets them tokenised, padded and batched already, in
the best of several configurations; the embedder gets their texts. Rounds of both alternate, so that a noisy machine is
noisy for both. The second column counts chunks by second of processor time: on a machine that does other things as
well it is the one to trust, all the more as the embedder's threads give way to them (they are niced).
"""

import argparse
import asyncio
import contextlib
import random
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tokenizers import Tokenizer

from service.providers.minilm.cores import usable_cores
from service.providers.minilm.embedder import WINDOW_TOKENS, MiniLMEmbedder
from service.providers.minilm.files import FOLDER
from service.providers.minilm.runtime import ov
from service.providers.minilm.stream import Stream, pad

Encoded = list[list[int]]


@dataclass
class Speed:
    """Chunks by second, of the clock and of processor time, a round each."""

    wall: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)

    @contextlib.contextmanager
    def measure(self, chunks: int) -> Iterator[None]:
        wall, processor = time.perf_counter(), time.process_time()
        yield
        self.wall.append(chunks / (time.perf_counter() - wall))
        self.processor.append(chunks / (time.process_time() - processor))

    def report(self, name: str) -> None:
        wall, processor = statistics.median(self.wall), statistics.median(self.processor)
        print(f"{name:<45} {wall:6.1f} chunks/s   {processor:6.1f} chunks/s of one core")


def make_chunks(count: int) -> list[str]:
    """Return texts of exactly WINDOW_TOKENS tokens, the same ones every time."""
    tokenizer = Tokenizer.from_file(str(FOLDER / "tokenizer.json"))
    words = sorted(
        word for word in tokenizer.get_vocab() if word.isascii() and word.isalpha() and len(word) > 2
    )
    draw = random.Random(1)
    return [" ".join(draw.choices(words, k=WINDOW_TOKENS)) for _ in range(count)]


def encode(chunks: Sequence[str]) -> Encoded:
    tokenizer = Tokenizer.from_file(str(FOLDER / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(WINDOW_TOKENS + 2)
    return [encoding.ids for encoding in tokenizer.encode_batch(list(chunks))]


def bare_threads(encoded: Encoded, batch: int) -> Callable[[], None]:
    """One single-threaded compiled model a core, each in a thread of its own."""
    core = ov.Core()
    model = core.read_model(FOLDER / "model.xml")
    streams = [Stream(core, model) for _ in range(usable_cores())]
    parts = [encoded[i : i + batch] for i in range(0, len(encoded), batch)]

    def run() -> None:
        left, lock = iter(parts), threading.Lock()

        def work(stream: Stream) -> None:
            while True:
                with lock:
                    part = next(left, None)
                if part is None:
                    return
                stream.embed(part)

        threads = [threading.Thread(target=work, args=(stream,)) for stream in streams]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    return run


def bare_queue(encoded: Encoded, batch: int) -> Callable[[], None]:
    """OpenVINO's own: one compiled model with a stream a core, fed by its AsyncInferQueue."""
    config = {"PERFORMANCE_HINT": "THROUGHPUT", "NUM_STREAMS": usable_cores(), "ENABLE_CPU_PINNING": False}
    compiled = ov.Core().compile_model(FOLDER / "model.xml", "CPU", config)
    queue = ov.AsyncInferQueue(compiled, usable_cores())
    inputs = [list(pad(encoded[i : i + batch])) for i in range(0, len(encoded), batch)]

    def run() -> None:
        for ids_and_mask in inputs:
            queue.start_async(ids_and_mask)
        queue.wait_all()

    return run


async def query_ms(embedder: MiniLMEmbedder, count: int) -> list[float]:
    taken = []
    for i in range(count):
        started = time.perf_counter()
        await embedder.embed_query(f"how is the {i}th part of the harbour maintained?")
        taken.append((time.perf_counter() - started) * 1e3)
        await asyncio.sleep(0.01)
    return taken


def resident_mb() -> float:
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        return float("nan")
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


def report_queries(when: str, taken: Sequence[float]) -> None:
    p50, p95 = statistics.median(taken), statistics.quantiles(taken, n=20)[-1]
    print(f"query, {when:<22} p50 {p50:6.1f} ms   p95 {p95:6.1f} ms   ({len(taken)} queries)")


async def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--chunks", type=int, default=96)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    chunks = make_chunks(options.chunks)
    encoded = encode(chunks)

    before = resident_mb()
    started = time.perf_counter()
    embedder = await MiniLMEmbedder.open()
    print(f"opened in {time.perf_counter() - started:.2f} s, {usable_cores()} cores")
    report_queries("nothing else running", await query_ms(embedder, 100))
    searching = resident_mb()
    await embedder.embed_documents(chunks[:16])
    print(
        f"memory: +{searching - before:.0f} MB to search, +{resident_mb() - before:.0f} MB to ingest as well"
    )

    bare = {f"threads, batches of {n}": bare_threads(encoded, n) for n in (1, 2, 4)}
    bare |= {f"AsyncInferQueue, batches of {n}": bare_queue(encoded, n) for n in (1, 4)}
    for run in bare.values():
        run()
    speeds = {name: Speed() for name in bare}
    ours = Speed()
    for _ in range(options.rounds):
        for name, run in bare.items():
            with speeds[name].measure(len(chunks)):
                await asyncio.to_thread(run)
            with ours.measure(len(chunks)):
                await embedder.embed_documents(chunks)
    for name, speed in speeds.items():
        speed.report(f"bare OpenVINO, {name}")
    ours.report("embedder, from texts")
    wall = statistics.median(ours.wall) / max(statistics.median(speed.wall) for speed in speeds.values())
    processor = statistics.median(ours.processor) / max(
        statistics.median(speed.processor) for speed in speeds.values()
    )
    print(f"{'embedder / best bare configuration':<45} {wall:6.3f}            {processor:6.3f}")

    ingesting = asyncio.create_task(embedder.embed_documents(chunks * 20))
    taken = await query_ms(embedder, 100)
    report_queries("while documents embed", taken)
    ingesting.cancel()
    await embedder.aclose()


if __name__ == "__main__":
    asyncio.run(main())
