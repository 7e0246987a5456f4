"""An operator's day at the command line, against the real service: ingest, search, ingest again, replace."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.running import Service


@pytest.fixture(autouse=True)
def environment(server: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCSEARCH_URL", server.url)
    monkeypatch.setenv("DOCSEARCH_API_KEY", server.key)
    monkeypatch.setenv("DOCSEARCH_HOME", str(tmp_path / "nowhere"))


def docsearch(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "service.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def run(*arguments: str | Path) -> Any:
    """Run a command that must work, and return what it prints as JSON."""
    result = docsearch(*arguments, "--json")
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def test_a_folder_is_ingested_searched_kept_and_replaced(server: Service, tmp_path: Path) -> None:
    folder = tmp_path / "handbook"
    folder.mkdir()
    (folder / "rollback.md").write_text(
        "# Releases\n\n## Rolling back\n\nTo roll back a release, run `deploy undo` on the bastion host.\n"
    )
    (folder / "oncall.txt").write_text("The person on call changes every Monday at ten in the morning.\n")
    (folder / "prices.csv").write_text("product,price\nlantern,12.50\nrope,3.75\n")
    (folder / "photo.jpeg").write_bytes(b"\xff\xd8\xff")

    first = run("ingest", folder, "--metadata", "team=ops")
    assert (first["ready"], first["skipped"], first["failed"]) == (3, 1, 0)

    reply = run("search", "how do I undo a release?", "--filter", "team=ops")
    hit = reply["hits"][0]
    assert "deploy undo" in hit["text"]
    assert hit["headings"] == ["Releases", "Rolling back"]
    with server.client() as client:
        text = client.get(f"/v1/documents/{hit['document_id']}/text").text
    assert text[hit["char_start"] : hit["char_end"]] == hit["text"]

    printed = docsearch("search", "who is on call?", "--top-k", "1")
    assert printed.returncode == 0
    assert "every Monday at ten" in printed.stdout

    second = run("ingest", folder)
    assert (second["ready"], second["unchanged"]) == (0, 3)

    (folder / "rollback.md").write_text("# Releases\n\n## Rolling back\n\nPress the red button.\n")
    third = run("ingest", folder)
    assert (third["ready"], third["unchanged"]) == (1, 2)
    hits = run("search", "how do I undo a release?")["hits"]
    assert "red button" in hits[0]["text"]
    assert not any("deploy undo" in hit["text"] for hit in hits)
    with server.client() as client:
        assert len(client.get("/v1/documents").json()["data"]) == 3


def test_a_file_that_cannot_be_read_fails_alone(tmp_path: Path) -> None:
    (tmp_path / "good.md").write_text("# Good\n\nText.\n")
    (tmp_path / "empty.txt").write_text("   \n")
    (tmp_path / "broken.pdf").write_bytes(b"%PDF-1.7\nnothing of the kind\n")
    result = docsearch("ingest", tmp_path, "--json")
    assert result.returncode == 1
    outcomes = {Path(file["path"]).name: file for file in json.loads(result.stdout)["files"]}
    assert outcomes["good.md"]["status"] == "ready"
    for name in ("empty.txt", "broken.pdf"):
        assert outcomes[name]["status"] == "failed"
        assert outcomes[name]["error"]
