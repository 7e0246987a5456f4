"""`docsearch ingest` brings the server up to date, once, whatever happens on the way."""

import hashlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from service.commands.client import find_server, open_client
from service.commands.sync import Options, Outcome, sync_files
from tests.fakes.docsearch_server import FakeDocsearch, Refusal
from tests.service.commands.conftest import Run, reply


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with two documents, one below, and what is to be left out."""
    root = tmp_path / "docs"
    (root / "deep").mkdir(parents=True)
    (root / "one.md").write_text("# One\n\nFirst.\n")
    (root / "two.txt").write_text("Second.\r\n")
    (root / "deep" / "three.html").write_text("<p>Third.</p>")
    (root / ".hidden.md").write_text("no")
    (root / ".git").mkdir()
    (root / ".git" / "config.txt").write_text("no")
    (root / "program.xyz").write_bytes(b"\x00\x01")
    return root


def test_a_folder_is_uploaded_and_waited_for(fake: FakeDocsearch, run: Run, folder: Path) -> None:
    result = run("ingest", folder, "--json")
    report = reply(result)
    assert result.exit_code == 0
    assert fake.filenames() == ["one.md", "three.html", "two.txt"]
    assert {Path(file["path"]).name: file["status"] for file in report["files"]} == {
        "one.md": "ready",
        "two.txt": "ready",
        "three.html": "ready",
        ".hidden.md": "skipped",
        ".git": "skipped",
        "program.xyz": "skipped",
    }
    assert (report["ready"], report["unchanged"], report["failed"], report["skipped"]) == (3, 0, 0, 3)
    ids = {document["id"] for document in fake.documents}
    assert {file["document_id"] for file in report["files"] if file["status"] == "ready"} == ids


def test_the_file_goes_with_its_address_and_its_bytes(fake: FakeDocsearch, run: Run, tmp_path: Path) -> None:
    file = tmp_path / "räksmörgås & co.txt"
    file.write_bytes(b"a\r\n\x00b" * 50_000)
    assert run("ingest", file, "--team-id", "t1").exit_code == 0
    [document] = fake.documents
    assert document["source_url"] == file.as_uri()
    assert document["filename"] == file.name
    assert document["team_id"] == "t1"
    assert document["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    [upload] = fake.uploads
    assert int(upload.headers["Content-Length"]) == len(upload.body) > 200_000


def test_metadata_keeps_json_types(fake: FakeDocsearch, run: Run, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a")
    pairs = ["year=2024", "final=true", "team=ops", "zip=01234", 'code="42"', "eq=a=b", "list=[1]"]
    result = run("ingest", tmp_path / "a.txt", *[f"--metadata={pair}" for pair in pairs])
    assert result.exit_code == 0
    assert fake.documents[0]["metadata"] == {
        "year": 2024,
        "final": True,
        "team": "ops",
        "zip": "01234",
        "code": "42",
        "eq": "a=b",
        "list": "[1]",
    }


def test_a_second_run_uploads_nothing(fake: FakeDocsearch, run: Run, folder: Path) -> None:
    run("ingest", folder)
    uploads = len(fake.uploads)
    report = reply(run("ingest", folder, "--json"))
    assert len(fake.uploads) == uploads
    assert (report["ready"], report["unchanged"], report["failed"]) == (0, 3, 0)


def test_a_changed_file_replaces_its_document_when_the_new_one_is_ready(
    fake: FakeDocsearch, run: Run, folder: Path
) -> None:
    run("ingest", folder)
    old = next(document["id"] for document in fake.documents if document["filename"] == "one.md")
    (folder / "one.md").write_text("# One\n\nChanged.\n")
    report = reply(run("ingest", folder, "--json"))
    assert (report["ready"], report["unchanged"]) == (1, 2)
    assert fake.find(old) is None
    assert fake.filenames() == ["one.md", "three.html", "two.txt"]
    deleted = next(i for i, r in enumerate(fake.requests) if r.method == "DELETE")
    new = next(document["id"] for document in fake.documents if document["filename"] == "one.md")
    assert any(r.method == "GET" and r.path.endswith(new) for r in fake.requests[:deleted])


def test_a_changed_file_that_fails_leaves_the_old_document(
    fake: FakeDocsearch, run: Run, tmp_path: Path
) -> None:
    file = tmp_path / "a.txt"
    file.write_text("good")
    run("ingest", file)
    [old] = fake.documents
    fake.failing["a.txt"] = "The file holds no text."
    for content in ("bad", "worse"):
        file.write_text(content)
        result = run("ingest", file)
        assert result.exit_code == 1
        assert "The file holds no text. (parse)" in result.stdout
    assert [document["status"] for document in fake.documents] == ["failed", "ready"]
    assert fake.documents[1] == old


def test_a_failed_document_is_tried_again(fake: FakeDocsearch, run: Run, tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_text("text")
    fake.failing["a.txt"] = "The embedder is down."
    assert reply(run("ingest", file, "--json"))["files"][0]["error"] == "The embedder is down. (parse)"
    fake.failing.clear()
    assert reply(run("ingest", file, "--json"))["ready"] == 1
    assert [document["status"] for document in fake.documents] == ["ready"]


def test_without_waiting_the_next_run_finishes_the_work(
    fake: FakeDocsearch, run: Run, tmp_path: Path
) -> None:
    file = tmp_path / "a.txt"
    for content in ("old", "new"):
        file.write_text(content)
        report = reply(run("ingest", file, "--no-wait", "--json"))
        assert report["files"][0]["status"] == "queued"
    assert len(fake.documents) == 2
    report = reply(run("ingest", file, "--json"))
    assert report["ready"] == 1
    assert [document["id"] for document in fake.documents] == [report["files"][0]["document_id"]]
    assert len(fake.uploads) == 2


def test_new_metadata_is_given_to_an_unchanged_file(fake: FakeDocsearch, run: Run, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("text")
    run("ingest", tmp_path / "a.txt", "-m", "year=2023", "-m", "team=ops")
    assert reply(run("ingest", tmp_path / "a.txt", "-m", "year=2024", "--json"))["ready"] == 1
    assert fake.documents[0]["metadata"] == {"year": 2024, "team": "ops"}
    assert reply(run("ingest", tmp_path / "a.txt", "-m", "year=2024", "--json"))["unchanged"] == 1


def test_documents_of_another_team_are_not_touched(fake: FakeDocsearch, run: Run, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("text")
    run("ingest", tmp_path / "a.txt", "--team-id", "t1")
    run("ingest", tmp_path / "a.txt")
    assert sorted(str(document["team_id"]) for document in fake.documents) == ["None", "t1"]


@pytest.mark.parametrize(
    "refusal",
    [
        Refusal(429, "Too many requests.", {"Retry-After": "0"}),
        Refusal(503, "The database is down."),
        Refusal(None),
    ],
    ids=["429", "503", "dropped"],
)
def test_an_upload_is_repeated_without_making_a_second_document(
    fake: FakeDocsearch, run: Run, tmp_path: Path, refusal: Refusal
) -> None:
    (tmp_path / "a.txt").write_text("text")
    fake.refuse("POST /v1/documents", refusal)
    assert run("ingest", tmp_path / "a.txt").exit_code == 0
    assert len(fake.documents) == 1
    first, second = fake.uploads
    assert first.headers["Idempotency-Key"] == second.headers["Idempotency-Key"]


def test_a_wait_that_is_too_long_is_reported_instead(fake: FakeDocsearch, run: Run, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("text")
    fake.refuse(
        "POST /v1/documents", Refusal(429, "This month's limit is reached.", {"Retry-After": "86400"})
    )
    result = run("ingest", tmp_path / "a.txt")
    assert result.exit_code == 1
    assert "This month's limit is reached." in result.stdout
    assert len(fake.uploads) == 1


@pytest.mark.parametrize("status", [413, 415, 422])
def test_a_file_that_is_refused_does_not_stop_the_others(
    fake: FakeDocsearch, run: Run, folder: Path, status: int
) -> None:
    fake.refuse("POST /v1/documents", Refusal(status, "Not this one."))
    report = reply(result := run("ingest", folder, "--json", "--concurrency", "1"))
    assert result.exit_code == 1
    assert (report["ready"], report["failed"]) == (2, 1)
    assert [file["error"] for file in report["files"] if file["status"] == "failed"] == ["Not this one."]


def test_a_forbidden_upload_is_not_tried_with_every_file(fake: FakeDocsearch, run: Run, folder: Path) -> None:
    fake.refuse("POST /v1/documents", Refusal(403, "This key may not write."))
    report = reply(run("ingest", folder, "--json", "--concurrency", "1"))
    assert report["failed"] == 3
    assert len(fake.uploads) == 1


def test_a_document_deleted_while_it_is_processed_is_reported(
    fake: FakeDocsearch, run: Run, tmp_path: Path
) -> None:
    (tmp_path / "a.txt").write_text("text")
    fake.refuse("GET /v1/documents/", Refusal(404, "There is no such document."))
    result = run("ingest", tmp_path / "a.txt")
    assert result.exit_code == 1
    assert "was deleted while it was being processed" in result.stdout


def test_a_file_that_changes_on_its_way_is_reported(fake: FakeDocsearch, run: Run, tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_text("text")
    run("ingest", file)
    file.write_text("new text")
    fake.received_sha256 = "0" * 64
    result = run("ingest", file)
    assert result.exit_code == 1
    assert "changed while it was being uploaded" in result.stdout
    assert len(fake.documents) == 2, "the old document stays until the new one is what the file holds"


class Listener:
    """Lets the documents go when it hears that nobody works on them."""

    def __init__(self, fake: FakeDocsearch) -> None:
        self.fake = fake
        self.heard: list[str] = []

    def uploaded(self) -> None:
        self.heard.append("uploaded")

    def finished(self, outcome: Outcome) -> None:
        self.heard.append(outcome.status)

    def stalled(self) -> None:
        self.heard.append("stalled")
        self.fake.released.set()


async def test_when_nobody_works_the_user_hears_of_it_once(fake: FakeDocsearch, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("text")
    fake.released.clear()
    fake.waiting_status = "queued"
    listener = Listener(fake)
    async with open_client(find_server()) as client:
        await sync_files(client, [tmp_path / "a.txt"], Options(stalled_after_s=0), listener)
    assert listener.heard == ["uploaded", "stalled", "ready"]


def test_no_server_gets_one_sentence(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unused_tcp_port: int
) -> None:
    (tmp_path / "a.txt").write_text("text")
    url = f"http://127.0.0.1:{unused_tcp_port}"
    monkeypatch.setenv("DOCSEARCH_URL", url)
    monkeypatch.setenv("DOCSEARCH_API_KEY", "dsk_x")
    result = run("ingest", tmp_path / "a.txt")
    assert result.exit_code == 1
    assert result.stderr == (
        f"docsearch: No docsearch server answers at {url}. Start one with `make serve`, or set DOCSEARCH_URL.\n"
    )
    assert result.stdout == ""


def test_nothing_to_ingest_is_a_failure_that_says_what_was_left_out(
    fake: FakeDocsearch, run: Run, tmp_path: Path
) -> None:
    assert "no file to ingest" in run("ingest", tmp_path).stderr
    (tmp_path / "a.xyz").write_text("?")
    result = run("ingest", tmp_path)
    assert result.exit_code == 1
    assert "a.xyz (format not supported)" in result.stderr
    assert fake.requests == []


def test_a_path_that_is_not_there_is_a_usage_error(run: Run, tmp_path: Path) -> None:
    result = run("ingest", tmp_path / "absent")
    assert result.exit_code == 2
    assert "does not exist" in result.stderr


def test_a_pair_without_a_key_is_a_usage_error(run: Run, tmp_path: Path) -> None:
    result = run("ingest", tmp_path, "--metadata", "year")
    assert result.exit_code == 2
    assert "'year' is not KEY=VALUE" in result.stderr


def test_the_summary_counts_and_names(fake: FakeDocsearch, run: Run, folder: Path) -> None:
    fake.failing["two.txt"] = "It is \x1b[31mred\x1b[0m."
    result = run("ingest", folder)
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert f"ready     {folder / 'one.md'}  2 pages, 7 chunks" in lines
    assert f"left out: {folder / 'program.xyz'} (format not supported)" in lines
    assert any(line.startswith(f"failed    {folder / 'two.txt'}") for line in lines)
    assert "\x1b" not in result.output


def test_ctrl_c_leaves_what_is_uploaded_and_the_next_run_continues(
    fake: FakeDocsearch, run: Run, folder: Path
) -> None:
    fake.released.clear()
    command = [sys.executable, "-m", "service.cli", "ingest", str(folder)]
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ
    )
    assert fake.asked.wait(timeout=30)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert (
        errors == "docsearch: Interrupted. What is uploaded stays; run the same command again to continue.\n"
    )
    fake.released.set()
    assert reply(run("ingest", folder, "--json"))["failed"] == 0
    assert fake.filenames() == ["one.md", "three.html", "two.txt"]
