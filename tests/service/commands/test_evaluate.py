"""`docsearch eval` measures a collection through the real pipeline, and leaves nothing of it behind."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from db.pool import connect
from tests.fakes.embedding_servers import Hang, Refuse, fake_provider
from tests.service.commands.conftest import Run

CORPUS = {
    "lighthouse": (
        "The lighthouse",
        "The lamp turns once every ten seconds and is seen twenty miles out at sea.",
    ),
    "bakery": ("", "Bread is baked at four in the morning, and sold until noon."),
    "ferry": ("Ferry timetable", "The last ferry to the island leaves at half past nine in the evening."),
    "blank": ("", "  "),
}
QUERIES = {"q1": "when does the last ferry leave?", "q2": "how far is the lamp seen?", "q3": "not judged"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A collection in BEIR layout."""
    root = tmp_path / "harbour"
    (root / "qrels").mkdir(parents=True)
    corpus = [{"_id": name, "title": title, "text": text} for name, (title, text) in CORPUS.items()]
    queries = [{"_id": name, "text": text} for name, text in QUERIES.items()]
    (root / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in corpus))
    (root / "queries.jsonl").write_text("".join(json.dumps(row) + "\n" for row in queries))
    (root / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq1\tferry\t1\nq2\tlighthouse\t1\n")
    return root


@pytest.fixture
def database(database_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("DATABASE_URL", database_url)
    return database_url


def leftovers(database_url: str) -> list[int]:
    """Count users, documents, chunks, and what the term statistics still count."""

    async def count() -> list[int]:
        conn = await connect(database_url)
        try:
            row = await conn.fetchrow("""
                SELECT (SELECT count(*) FROM "User"), (SELECT count(*) FROM "Document"),
                       (SELECT count(*) FROM chunk), (SELECT coalesce(sum(chunks), 0) FROM term_count)
            """)
            return [int(value) for value in row or ()]
        finally:
            await conn.close()

    return asyncio.run(count())


def evaluate(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own: it sets up logging for all of the process."""
    command = [sys.executable, "-m", "service.cli", "eval", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_every_mode_is_measured_and_nothing_stays(database: str, folder: Path) -> None:
    result = evaluate("--data", folder, "--json")
    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout)
    assert list(report) == ["data", "documents", "queries", "modes"]
    assert (report["data"], report["documents"], report["queries"]) == ("harbour", 4, 2)
    assert list(report["modes"]) == ["hybrid", "semantic", "lexical"]
    for figures in report["modes"].values():
        assert list(figures) == ["ndcg@10", "recall@100", "mrr@10", "p50_ms", "p95_ms"]
        assert figures["ndcg@10"] == figures["recall@100"] == figures["mrr@10"] == 1.0
        assert 0 < figures["p50_ms"] <= figures["p95_ms"]
    assert leftovers(database) == [0, 0, 0, 0]


def test_a_quick_look_is_a_table_of_less(database: str, folder: Path) -> None:
    result = evaluate("--data", folder, "--mode", "lexical", "--limit", "1")
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("harbour: 4 documents, 1 queries")
    assert "lexical │   1.000" in result.stdout
    assert "semantic" not in result.stdout


def test_an_embedder_that_refuses_ends_it_with_a_sentence_and_nothing_stays(
    database: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with fake_provider() as provider:
        provider.refuse_when = lambda _: Refuse(401, "no such key")
        monkeypatch.setenv("EMBEDDING_PROVIDER", "openai-compatible")
        monkeypatch.setenv("EMBEDDING_BASE_URL", provider.base_url)
        monkeypatch.setenv("EMBEDDING_MODEL", "m")
        result = evaluate("--data", folder)
    assert result.returncode == 1
    assert "could not be ingested" in result.stderr
    assert result.stderr.count("docsearch: ") == 1
    assert leftovers(database) == [0, 0, 0, 0]


def test_ctrl_c_removes_what_was_ingested(
    database: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with fake_provider() as provider:
        provider.refuse_when = lambda _: Hang()
        monkeypatch.setenv("EMBEDDING_PROVIDER", "openai-compatible")
        monkeypatch.setenv("EMBEDDING_BASE_URL", provider.base_url)
        monkeypatch.setenv("EMBEDDING_MODEL", "m")
        command = [sys.executable, "-m", "service.cli", "eval", "--data", str(folder)]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=os.environ)
        try:
            assert provider.arrived.acquire(timeout=60)
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 130
    assert errors == "docsearch: Interrupted; the scratch documents are removed.\n"
    assert leftovers(database) == [0, 0, 0, 0]


def test_a_folder_that_lacks_a_file_names_it(folder: Path) -> None:
    (folder / "queries.jsonl").unlink()
    result = evaluate("--data", folder)
    assert result.returncode == 1
    assert f"{folder / 'queries.jsonl'} cannot be read" in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_folder_that_is_not_there_is_a_usage_error(run: Run, tmp_path: Path) -> None:
    result = run("eval", "--data", tmp_path / "absent")
    assert result.exit_code == 2
    assert "does not exist" in result.stderr
