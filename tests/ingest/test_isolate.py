"""Parsing in a process of its own: limits that hold, errors that arrive, and nobody left behind."""

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import psutil
import pytest

from ingest.chunk import Chunk
from ingest.errors import CorruptFile, EncryptedFile, IngestError, NoText, ParserLimit, UnsupportedFormat
from ingest.isolate import ChildNotStarted, ParserPool
from ingest.parse import ParsedDocument
from ingest.tokenize import TokenizerSpec
from tests.ingest.parse.files import DOCX_TYPE, handbook
from tests.ingest.tokenizers import MINILM_WINDOW_TOKENS, TIKTOKEN, WORDPIECE, assert_sound


async def ask(
    pool: ParserPool,
    path: Path,
    media_type: str = "text/plain",
    *,
    title: str | None = None,
    spec: TokenizerSpec = WORDPIECE,
) -> tuple[ParsedDocument, list[Chunk]]:
    return await pool.parse_and_chunk(path, media_type, path.name, title, spec, MINILM_WINDOW_TOKENS)


@pytest.fixture
def small(tmp_path: Path) -> Path:
    path = tmp_path / "small file.txt"
    path.write_text("Hello world.\n\nA second paragraph. 👩‍👩‍👧", encoding="utf-8")
    return path


@pytest.fixture
def endless(tmp_path: Path) -> Path:
    """Elements that nest deeper than the parser likes: minutes of work in C, which holds the interpreter."""
    path = tmp_path / "endless.html"
    path.write_text("<dl>" * 400_000, encoding="utf-8")
    return path


async def until_gone(pid: int) -> None:
    async with asyncio.timeout(20):
        await asyncio.to_thread(_wait_until_gone, pid)


def _wait_until_gone(pid: int) -> None:
    try:
        psutil.Process(pid).wait(timeout=20)
    except psutil.NoSuchProcess:
        return


async def busy_child(
    pool: ParserPool, small: Path, endless: Path
) -> tuple[psutil.Process, asyncio.Task[object]]:
    """Give the pool's child an endless document, and return when it works on it."""
    await ask(pool, small)
    (pid,) = pool.child_pids()
    process = psutil.Process(pid)
    task: asyncio.Task[object] = asyncio.create_task(ask(pool, endless, "text/html"))
    await asyncio.to_thread(_wait_until_busy, process)
    return process, task


def _wait_until_busy(process: psutil.Process) -> None:
    begun = process.cpu_times().user
    while process.cpu_times().user < begun + 0.2:
        process.cpu_percent(interval=0.02)


async def test_document_and_chunks_arrive(tmp_path: Path) -> None:
    path = tmp_path / "handbook.pdf"
    handbook().output(str(path))
    async with ParserPool(1) as pool:
        for spec in (WORDPIECE, TIKTOKEN):
            parsed, chunks = await ask(pool, path, "application/pdf", spec=spec)
            assert_sound(parsed, chunks, parsed.title, spec.load(), MINILM_WINDOW_TOKENS)
            assert (parsed.title, len(parsed.page_starts), parsed.blocks) == ("Handbook", 4, ())


async def test_the_title_is_the_given_one_else_the_found_one_else_the_file_name(
    small: Path, tmp_path: Path
) -> None:
    markdown = tmp_path / "page.md"
    markdown.write_text("# Found\n\ntext", encoding="utf-8")
    async with ParserPool(1) as pool:
        assert (await ask(pool, small, title="Given"))[0].title == "Given"
        assert (await ask(pool, markdown, "text/markdown"))[0].title == "Found"
        assert (await ask(pool, small))[0].title == "small file"


@pytest.mark.parametrize(
    ("data", "media_type", "expected"),
    [
        (b"", "text/plain", NoText),
        (b"nonsense", "application/pdf", CorruptFile),
        (
            b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + "EncryptedPackage".encode("utf-16-le"),
            DOCX_TYPE,
            EncryptedFile,
        ),
        (b"words", "image/png", UnsupportedFormat),
    ],
)
async def test_errors_cross_whole_and_the_child_lives_on(
    tmp_path: Path, small: Path, data: bytes, media_type: str, expected: type[IngestError]
) -> None:
    path = tmp_path / "file"
    path.write_bytes(data)
    async with ParserPool(1) as pool:
        with pytest.raises(expected) as caught:
            await ask(pool, path, media_type)
        assert type(caught.value) is expected
        assert caught.value.detail.endswith(".")
        assert (caught.value.stage, caught.value.retryable) == ("parse", False)
        before = pool.child_pids()
        await ask(pool, small)
        assert pool.child_pids() == before


async def test_an_error_in_chunking_names_its_stage(small: Path) -> None:
    async with ParserPool(1) as pool:
        with pytest.raises(IngestError) as caught:
            await pool.parse_and_chunk(small, "text/plain", None, "title", WORDPIECE, 1)
        assert caught.value.stage == "chunk"
        assert any("no room" in note for note in caught.value.__notes__)


async def test_a_document_that_takes_too_long_is_given_up_and_the_loop_stays_free(
    small: Path, endless: Path
) -> None:
    async with ParserPool(1, timeout_s=1.0) as pool:
        await ask(pool, small)
        (pid,) = pool.child_pids()
        ticks = 0
        task = asyncio.create_task(ask(pool, endless, "text/html"))
        while not task.done():
            await asyncio.sleep(0.01)
            ticks += 1
        with pytest.raises(ParserLimit, match="longer than 1 second"):
            await task
        assert ticks > 20
        await until_gone(pid)
        await ask(pool, small)


async def test_a_document_that_swells_is_given_up(tmp_path: Path, small: Path) -> None:
    big = tmp_path / "big.txt"
    big.write_bytes("words and more wörds\n\n".encode() * 2_000_000)
    async with ParserPool(1, memory_mb=100) as pool:
        with pytest.raises(ParserLimit, match="memory"):
            await ask(pool, big)
        await ask(pool, small)


@pytest.mark.parametrize(
    ("number", "expected"),
    [(signal.SIGKILL, ParserLimit), (signal.SIGABRT, ParserLimit), (signal.SIGSEGV, CorruptFile)],
)
async def test_a_child_that_dies_fails_its_document_only(
    small: Path, endless: Path, number: signal.Signals, expected: type[IngestError]
) -> None:
    async with ParserPool(1) as pool:
        child, task = await busy_child(pool, small, endless)
        child.send_signal(number)
        with pytest.raises(expected):
            await task
        await ask(pool, small)


async def test_an_idle_child_that_died_costs_no_document(small: Path) -> None:
    async with ParserPool(1) as pool:
        await ask(pool, small)
        (pid,) = pool.child_pids()
        os.kill(pid, signal.SIGKILL)
        await until_gone(pid)
        assert (await ask(pool, small))[1]


async def test_a_child_is_replaced_after_so_many_documents(small: Path) -> None:
    async with ParserPool(1, recycle_after=2) as pool:
        seen = []
        for _ in range(4):
            await ask(pool, small)
            seen.extend(pool.child_pids())
        assert len(set(seen)) == 2


async def test_cancelling_ends_the_child(small: Path, endless: Path) -> None:
    async with ParserPool(1) as pool:
        child, task = await busy_child(pool, small, endless)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await until_gone(child.pid)
        await ask(pool, small)


async def test_more_documents_than_children_wait_their_turn(small: Path) -> None:
    async with ParserPool(2) as pool:
        results = await asyncio.gather(*[ask(pool, small) for _ in range(20)])
        assert {parsed.text for parsed, _ in results} == {"Hello world.\n\nA second paragraph. 👩‍👩‍👧"}
        assert len(pool.child_pids()) == 2


async def test_closing_leaves_nobody_behind(small: Path, endless: Path) -> None:
    pool = ParserPool(2)
    _, task = await busy_child(pool, small, endless)
    await ask(pool, small)
    pids = pool.child_pids()
    assert len(pids) == 2
    await pool.aclose()
    with pytest.raises(IngestError):
        await task
    for pid in pids:
        await until_gone(pid)
    with pytest.raises(ChildNotStarted):
        await ask(pool, small)


@pytest.mark.parametrize("busy", [False, True])
def test_children_do_not_outlive_a_parent_that_was_killed(small: Path, endless: Path, busy: bool) -> None:
    program = textwrap.dedent("""
        import asyncio, sys
        from pathlib import Path
        from ingest.isolate import ParserPool
        from ingest.tokenize import TokenizerSpec

        async def main(small, endless, tokenizer, busy):
            pool = ParserPool(1)
            spec = TokenizerSpec("wordpiece", tokenizer)
            await pool.parse_and_chunk(Path(small), "text/plain", None, None, spec, 254)
            print(*pool.child_pids(), flush=True)
            if busy == "True":
                # Work in Python: threads get their turn, unlike in a parser that holds the interpreter.
                await pool.parse_and_chunk(Path(endless), "text/markdown", None, None, spec, 254)
            await asyncio.Event().wait()

        asyncio.run(main(*sys.argv[1:]))
    """)
    slow = endless.with_suffix(".md")
    slow.write_text("*a **b _c\n" * 400_000, encoding="utf-8")
    arguments = [str(small), str(slow), WORDPIECE.path_or_name, str(busy)]
    parent = subprocess.Popen([sys.executable, "-c", program, *arguments], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = psutil.Process(int(parent.stdout.readline()))
    assert os.getsid(child.pid) == child.pid  # Ctrl-C in the parent's terminal does not reach it
    if busy:
        _wait_until_busy(child)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    _wait_until_gone(child.pid)


async def test_a_child_is_not_stopped_by_an_interrupt(small: Path) -> None:
    async with ParserPool(1) as pool:
        await ask(pool, small)
        (pid,) = pool.child_pids()
        os.kill(pid, signal.SIGINT)
        await ask(pool, small)
        assert pool.child_pids() == [pid]


async def test_a_child_loads_neither_server_nor_model_nor_driver(small: Path) -> None:
    async with ParserPool(1) as pool:
        await ask(pool, small)
        (pid,) = pool.child_pids()
        mapped = " ".join(region.path for region in psutil.Process(pid).memory_maps())
    for package in ("openvino", "asyncpg", "granian", "sqlalchemy"):
        assert package not in mapped
    assert "tokenizers" in mapped


async def test_small_documents_cost_little(small: Path) -> None:
    async with ParserPool(1) as pool:
        await ask(pool, small)
        times = []
        for _ in range(50):
            started = time.perf_counter()
            await ask(pool, small)
            times.append(time.perf_counter() - started)
    # 0.6 ms on an idle machine.
    assert min(times) < 0.003
