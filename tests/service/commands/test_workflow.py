"""`docsearch workflow`: files looked at without a server, and carried in and out of a real one."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.running import Service, run_service
from tests.service.commands.conftest import Run, reply

RIGHT: dict[str, Any] = {
    "format": "docsearch.workflow",
    "version": 1,
    "name": "Mine",
    "nodes": [
        {"id": "start", "type": "trigger", "data": {"kind": "manual"}},
        {"id": "a", "type": "set", "data": {"fields": {"x": "{{ input.y }}"}}},
    ],
    "connections": [{"source": "start", "target": "a"}],
}
N8N: dict[str, Any] = {
    "name": "Theirs",
    "nodes": [
        {
            "name": "Go",
            "type": "n8n-nodes-base.manualTrigger",
            "typeVersion": 1,
            "parameters": {},
            "position": [0, 0],
        },
        {
            "name": "Code",
            "type": "n8n-nodes-base.code",
            "typeVersion": 2,
            "parameters": {"jsCode": "1"},
            "position": [0, 0],
        },
    ],
    "connections": {"Go": {"main": [[{"node": "Code", "type": "main", "index": 0}]]}},
}


def write(folder: Path, name: str, value: Any) -> Path:
    path = folder / name
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    return path


def test_a_valid_file_is_said_to_be(run: Run, tmp_path: Path) -> None:
    path = write(tmp_path, "mine.json", RIGHT)
    result = run("workflow", "validate", path)
    assert (result.exit_code, result.stdout) == (0, f"{path}: valid\n")


def test_errors_are_named_by_node_and_field(run: Run, tmp_path: Path) -> None:
    wrong = RIGHT | {
        "nodes": [*RIGHT["nodes"], {"id": "b", "type": "ai", "data": {"prompt": "{{ input. }}"}}]
    }
    good, bad = write(tmp_path, "good.json", RIGHT), write(tmp_path, "bad.json", wrong)
    result = run("workflow", "validate", good, bad)
    assert result.exit_code == 1
    assert f"{good}: valid\n" in result.stdout
    assert f"{bad}: error: b data.model: model is missing.\n" in result.stdout
    told = run("workflow", "validate", good, bad, "--json")
    assert told.exit_code == 1
    files = reply(told)["files"]
    assert [file["valid"] for file in files] == [True, False]
    assert {issue["field"] for issue in files[1]["issues"]} >= {"data.model", "data.prompt"}


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", "3", '{"nodes": [{"id": 1}], "connections": []}', "[" * 100_000]
)
def test_what_is_no_workflow_is_an_error(run: Run, tmp_path: Path, content: str) -> None:
    result = run("workflow", "validate", write(tmp_path, "odd.json", content))
    assert result.exit_code == 1
    assert "error: " in result.stdout


def test_a_missing_file_does_not_hide_the_others(run: Run, tmp_path: Path) -> None:
    good = write(tmp_path, "good.json", RIGHT)
    result = run("workflow", "validate", tmp_path / "gone.json", good)
    assert result.exit_code == 1
    assert f"{good}: valid" in result.stdout


def test_an_export_of_n8n_is_validated_as_it_would_come_in(run: Run) -> None:
    result = run("workflow", "validate", "-", stdin=json.dumps([N8N]))
    assert result.exit_code == 0
    assert "note: Code: there is no node type" in result.stdout


def test_terminals_are_not_driven(run: Run, tmp_path: Path) -> None:
    wrong = RIGHT | {"nodes": [{"id": "a\x1b[31m", "type": "\x1b]0;x\x07"}]}
    assert "\x1b" not in run("workflow", "validate", write(tmp_path, "x.json", wrong)).stdout


@pytest.fixture
def api(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    with run_service(database_url, tmp_path / "served", worker=False) as service:
        monkeypatch.setenv("DOCSEARCH_URL", service.url)
        monkeypatch.setenv("DOCSEARCH_API_KEY", service.key)
        yield service


def test_files_go_in_and_out(api: Service, run: Run, tmp_path: Path) -> None:
    made = run("workflow", "import", write(tmp_path, "mine.json", RIGHT), "--name", "Called")
    assert made.exit_code == 0, made.output
    workflow_id = made.stdout.strip()
    out = tmp_path / "out.json"
    assert run("workflow", "export", workflow_id, "-o", out).exit_code == 0
    exported = json.loads(out.read_text())
    assert (exported["name"], exported["nodes"]) == ("Called", RIGHT["nodes"])
    assert reply(run("workflow", "export", workflow_id)) == exported
    theirs = reply(run("workflow", "import", write(tmp_path, "n8n.json", N8N), "--json"))
    assert (theirs["name"], len(theirs["notes"])) == ("Theirs", 1)
    refused = run("workflow", "import", out, "--team", "gone")
    assert refused.exit_code == 1
    assert "no such team" in refused.stderr
    assert run("workflow", "export", "gone").exit_code == 1


@pytest.fixture
def working(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    """A service with a worker, which the commands talk to."""
    with run_service(database_url, tmp_path / "served") as service:
        monkeypatch.setenv("DOCSEARCH_URL", service.url)
        monkeypatch.setenv("DOCSEARCH_API_KEY", service.key)
        yield service


def test_a_workflow_is_run_and_its_output_printed(working: Service, run: Run, tmp_path: Path) -> None:
    made = run("workflow", "import", write(tmp_path, "mine.json", RIGHT)).stdout.strip()
    done = run("workflow", "run", made, "--input", '{"y": 3}')
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout) == {"y": 3, "x": 3}
    assert "node.finished   a" in done.stderr
    as_json = reply(run("workflow", "run", made, "--json", "--input", "-", stdin='{"y": 4}'))
    assert (as_json["status"], as_json["output"]["x"]) == ("SUCCESS", 4)


def test_a_run_that_fails_or_waits_is_no_success(working: Service, run: Run, tmp_path: Path) -> None:
    made = run("workflow", "import", write(tmp_path, "mine.json", RIGHT)).stdout.strip()
    failed = run("workflow", "run", made, "--input", "{}")
    assert failed.exit_code == 1
    assert "FAILED" in failed.stderr
    waits = RIGHT | {"nodes": [RIGHT["nodes"][0], {"id": "a", "type": "wait", "data": {"for": "reply"}}]}
    made = run("workflow", "import", write(tmp_path, "waits.json", waits)).stdout.strip()
    waiting = run("workflow", "run", made, "--json")
    assert (waiting.exit_code, reply(waiting)["waiting"][0]["node_id"]) == (1, "a")
    assert run("workflow", "run", made, "--input", "{").exit_code == 1


def test_a_workflow_that_is_called_is_waited_for(working: Service, run: Run, tmp_path: Path) -> None:
    pause = {"id": "a", "type": "wait", "data": {"amount": 1}}
    called = RIGHT | {"nodes": [RIGHT["nodes"][0], pause]}
    child = run("workflow", "import", write(tmp_path, "called.json", called)).stdout.strip()
    calls = RIGHT | {
        "nodes": [RIGHT["nodes"][0], {"id": "a", "type": "workflow", "data": {"workflowId": child}}]
    }
    made = run("workflow", "import", write(tmp_path, "calls.json", calls)).stdout.strip()
    done = run("workflow", "run", made, "--input", '{"y": 3}')
    assert (done.exit_code, json.loads(done.stdout)) == (0, {"y": 3}), done.stderr
