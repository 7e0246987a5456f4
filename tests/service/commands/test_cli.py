"""The command as a whole: help that teaches, at once; one sentence for a failure; a reference that is complete."""

import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import typer.main

from service.cli import app
from tests.service.commands.conftest import Run

REFERENCE = (Path(__file__).parents[3] / "docs" / "cli.md").read_text()

HEAVY = {
    "openvino",
    "litestar",
    "granian",
    "asyncpg",
    "httpx",
    "numpy",
    "sqlalchemy",
    "pydantic_settings",
    "rich",
}


def commands(command: Any = None, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield every command that does something, with the words that call it."""
    command = command or typer.main.get_command(app)
    if not hasattr(command, "commands"):
        yield path, command
        return
    for name, nested in command.commands.items():
        yield from commands(nested, (*path, name))


COMMANDS = [pytest.param(path, command, id=" ".join(path)) for path, command in commands()]


def test_every_command_of_the_design_is_there() -> None:
    have = {" ".join(path) for path, _ in commands()}
    assert have >= {
        *("serve", "worker", "ingest", "search", "eval"),
        *(f"db {name}" for name in ("migrate", "new", "status", "reset", "seed")),
        *("index status", "index rebuild"),
        *("keys create", "keys list", "keys revoke"),
    }


def test_alone_it_prints_its_help(run: Run) -> None:
    result = run()
    assert result.exit_code == 0
    assert result.stdout.startswith("Usage: ")
    assert "docsearch ingest" in result.stdout


def test_it_tells_its_version(run: Run) -> None:
    assert run("--version").stdout == f"docsearch {version('docsearch')}\n"


@pytest.mark.parametrize(("path", "command"), COMMANDS)
def test_help_teaches(path: tuple[str, ...], command: Any, run: Run) -> None:
    result = run(*path, "--help")
    assert result.exit_code == 0
    assert f"docsearch {' '.join(path)}" in result.stdout, "an example, as it is typed"
    assert re.search(r"Examples?:", result.stdout)
    for parameter in command.params:
        assert parameter.help or parameter.name == "help", f"{parameter.name} is not explained"


@pytest.mark.parametrize(("path", "command"), COMMANDS)
def test_the_reference_has_every_command_and_option(path: tuple[str, ...], command: Any) -> None:
    title = f"docsearch {' '.join(path)}"
    section = re.search(rf"^#+ {re.escape(title)}$(.*?)(?=^#+ |\Z)", REFERENCE, re.DOTALL | re.MULTILINE)
    assert section, f"docs/cli.md has no section {title!r}"
    for parameter in command.params:
        for option in (*parameter.opts, *parameter.secondary_opts):
            if parameter.param_type_name == "option":
                assert f"`{option}" in section[1], f"{title}: {option} is not in docs/cli.md"


def test_the_reference_has_no_command_that_is_not_there() -> None:
    titles = set(re.findall(r"^#+ docsearch ([a-z -]+)$", REFERENCE, re.MULTILINE))
    groups = {path[0] for path, _ in commands() if len(path) > 1}
    assert titles - groups == {" ".join(path) for path, _ in commands()}


def test_nothing_heavy_is_loaded_to_answer() -> None:
    code = f"import sys, service.cli; print(sorted({HEAVY!r} & set(sys.modules)))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == "[]"


def test_a_home_that_is_no_folder_is_one_sentence(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("DOCSEARCH_HOME", str(tmp_path / "file"))
    result = run("keys", "create", "--name", "x")
    assert result.exit_code == 1
    assert result.stderr.startswith(f"docsearch: {tmp_path / 'file'}")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("database_url", "words"),
    [
        ("mysql://localhost/app", "DATABASE_URL: must start with postgresql://"),
        ("postgresql://127.0.0.1:1/app", "The database at 127.0.0.1:1/app does not answer"),
    ],
)
def test_an_expected_failure_is_one_sentence(
    run: Run, monkeypatch: pytest.MonkeyPatch, database_url: str, words: str
) -> None:
    monkeypatch.setenv("DATABASE_URL", database_url)
    result = run("keys", "list")
    assert result.exit_code == 1
    assert words in result.stderr
    assert result.stderr.count("\n") == 1
    assert "Traceback" not in result.stderr


def test_an_unknown_command_is_a_usage_error(run: Run) -> None:
    result = run("serach")
    assert result.exit_code == 2
    assert "No such command 'serach'" in result.stderr


def test_the_module_runs_like_the_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "service.cli", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("docsearch ")
