"""`docsearch serve` as a person runs it: in a folder, with Ctrl-C, and with everything that can be in its way."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from db.embedded import running_dsn
from tests.running import ENCRYPTION_KEY

COMMAND = [sys.executable, "-m", "service.cli"]
# A first start sets up a database and reads the handbook, on a machine that may be busy with other tests.
START_TIMEOUT_S = 180


def environment(home: Path, **variables: str) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if k not in {"DATABASE_URL", "PORT", "HOST", "DOCSEARCH_URL"}}
    fixed = {"DOCSEARCH_HOME": str(home), "LOG_LEVEL": "WARNING"}
    if "DATABASE_URL" in variables:  # the embedded database makes a key of its own
        fixed["ENCRYPTION_KEY"] = ENCRYPTION_KEY
    return kept | fixed | variables


@contextmanager
def serving(
    home: Path, *arguments: str, **variables: str
) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """Start serve on a free port and yield it with what it says of itself once it answers; Ctrl-C at the end."""
    process = subprocess.Popen(
        [*COMMAND, "serve", "--port", "0", *arguments],
        env=environment(home, **variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield process, _ready(process)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)
        process.communicate(timeout=60)


def _ready(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout is not None
    lines: list[str] = []
    for line in process.stdout:
        lines.append(line)
        if "Ctrl-C" in line:
            break
    else:
        _, stderr = process.communicate(timeout=60)
        pytest.fail(f"serve ended before it was ready: {stderr}")
    text = "".join(lines)
    url = next(word for word in text.split() if word.startswith("http"))
    key = next(word for word in text.split() if word.startswith("dsk_"))
    return {"url": url, "key": key, "text": text}


def client_of(said: dict[str, Any]) -> httpx.Client:
    headers = {"Authorization": f"Bearer {said['key']}"}
    return httpx.Client(base_url=said["url"], headers=headers, timeout=120)


def run(home: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments],
        env=environment(home, **variables),
        capture_output=True,
        text=True,
        timeout=START_TIMEOUT_S,
        check=False,
    )


def test_first_start_second_start_and_a_clean_end(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with serving(home) as (process, said):
        # The printed curl and search lines work as printed.
        curl = (
            next(line for line in said["text"].splitlines() if "curl" in line)
            .strip()
            .removeprefix("Try")
            .strip()
        )
        answer = subprocess.run(curl, shell=True, capture_output=True, text=True, check=True)
        assert json.loads(answer.stdout)["hits"]
        search = next(line for line in said["text"].splitlines() if " search " in line).strip()
        found = subprocess.run(
            search, shell=True, capture_output=True, text=True, check=False, env=environment(home)
        )
        assert found.returncode == 0, found.stderr
        assert found.stdout.strip()
        page = httpx.get(said["url"])
        assert page.headers["content-type"].startswith("text/html")
        headers = {"Authorization": f"Bearer {said['key']}"}
        before = httpx.get(f"{said['url']}/v1/documents", headers=headers).json()["data"]
        assert len(before) >= 4
        assert {document["status"] for document in before} == {"ready"}
        assert any(document["page_count"] for document in before)
        kept_key = (home / "owner.key").read_text().strip()
        assert kept_key == said["key"]
        assert (home / "owner.key").stat().st_mode & 0o077 == 0

        second = run(home, "serve", "--port", "0")
        assert second.returncode != 0
        assert "in use" in second.stderr
        assert len(second.stderr.strip().splitlines()) == 1

        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(60) == 0
    assert running_dsn(home) is None
    assert not (home / "server.json").exists()

    with serving(home) as (process, said):
        assert said["key"] == kept_key
        headers = {"Authorization": f"Bearer {said['key']}"}
        after = httpx.get(f"{said['url']}/v1/documents", headers=headers).json()["data"]
        assert [document["id"] for document in after] == [document["id"] for document in before]
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0


def test_a_stop_does_not_wait_for_open_event_streams(tmp_path: Path, database_url: str) -> None:
    with (
        serving(tmp_path, "--no-worker", DATABASE_URL=database_url) as (process, said),
        client_of(said) as client,
    ):
        location = client.post("/v1/documents", json={"title": "t", "content": "waits"}).headers["location"]
        with client.stream("GET", location + "/events") as stream:
            lines = stream.iter_lines()
            assert next(lines).startswith("event: progress")
            started = time.monotonic()
            process.send_signal(signal.SIGINT)
            assert process.wait(30) == 0
            # Shutting down takes a moment; an open stream must not add its own idle time of 15 s.
            assert time.monotonic() - started < 12


def test_a_taken_port_is_one_sentence(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = run(tmp_path / "home", "serve", "--port", str(port))
    assert done.returncode == 1
    assert f"Port {port}" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        ({"DATABASE_URL": "postgresql://nobody:secret-word@127.0.0.1:9/none"}, "does not answer"),
        ({"DATABASE_URL": "mysql://x"}, "DATABASE_URL"),
        (
            {"DATABASE_URL": "postgresql://nobody@127.0.0.1:9/none", "ENCRYPTION_KEY": ""},
            "ENCRYPTION_KEY is not set",
        ),
        ({"PORT": "70000"}, "PORT"),
        ({"EMBEDDING_PROVIDER": "openai", "OPENAI_API_KEY": ""}, "OPENAI_API_KEY"),
    ],
)
def test_a_wrong_environment_is_one_sentence(tmp_path: Path, variables: dict[str, str], says: str) -> None:
    done = run(tmp_path / "home", "serve", **({"PORT": "0"} | variables))
    assert done.returncode == 1
    assert says in done.stderr
    assert "secret-word" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr


def test_a_home_that_is_a_file_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("in the way")
    done = run(tmp_path / "home", "serve", "--port", "0")
    assert done.returncode == 1
    assert str(tmp_path / "home") in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_worker_apart_ingests_what_an_api_without_one_took(tmp_path: Path, database_url: str) -> None:
    with serving(tmp_path, "--no-worker", DATABASE_URL=database_url) as (_, said), client_of(said) as client:
        location = client.post("/v1/documents", json={"title": "t", "content": "apart"}).headers["location"]
        assert client.get(location).json()["status"] == "queued"
        worker = subprocess.Popen(
            [*COMMAND, "worker"],
            env=environment(tmp_path, DATABASE_URL=database_url),
            start_new_session=True,
        )
        try:
            with client.stream("GET", location + "/events") as stream:
                kinds = [line for line in stream.iter_lines() if line.startswith("event: ")]
            assert kinds[-1] == "event: ready"
        finally:
            worker.send_signal(signal.SIGINT)
            assert worker.wait(60) == 0
