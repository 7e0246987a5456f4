"""`docsearch db`, on a configured database and on the embedded one."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from db import migrate
from db.dsn import database_name
from db.embedded import running_dsn


@pytest.fixture
def configured(monkeypatch, empty_database_url):
    """An empty database that DATABASE_URL leads to."""
    monkeypatch.setenv("DATABASE_URL", empty_database_url)
    return empty_database_url


@pytest.fixture
def own_home(monkeypatch):
    # Not in pytest's folder: every other pytest session that starts closes that to the database's user.
    with tempfile.TemporaryDirectory() as folder:
        monkeypatch.setenv("DOCSEARCH_HOME", folder)
        yield Path(folder)


def output(result):
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_migrate_applies_what_is_pending_once(run, configured):
    before = output(run("db", "status", "--json"))
    done = output(run("db", "migrate", "--json"))
    again = output(run("db", "migrate", "--json"))
    after = output(run("db", "status", "--json"))
    assert before["current"] is None
    assert done["applied"] == before["pending"]
    assert again["applied"] == []
    assert after == {
        "database": database_name(configured),
        "current": after["head"],
        "head": after["head"],
        "pending": [],
    }


def test_migrate_and_status_speak_to_people_too(run, configured):
    assert "pending   0001" in run("db", "status").stdout
    assert "applied 0001" in run("db", "migrate").stdout
    assert "pending" not in run("db", "status").stdout


def test_seed_adds_samples_once(run, configured):
    run("db", "migrate")
    assert output(run("db", "seed", "--json")) == {"models": 2, "templates": 6, "templates_updated": 0}
    assert output(run("db", "seed", "--json")) == {"models": 0, "templates": 0, "templates_updated": 0}


def test_seed_wants_a_migrated_database(run, configured):
    refused = run("db", "seed")
    assert refused.exit_code == 1
    assert "docsearch db migrate" in refused.stderr


def test_reset_empties_a_database_that_is_named(run, configured):
    run("db", "migrate")
    run("db", "seed")
    done = run("db", "reset", "--database", database_name(configured), "--yes")
    assert done.exit_code == 0, done.output
    assert output(run("db", "seed", "--json")) == {"models": 0, "templates": 0, "templates_updated": 0}


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--yes"], "add --database"),
        (["--database", "other", "--yes"], "not to other"),
        (["--database", "{name}"], "add --yes"),
    ],
)
def test_reset_refuses_what_was_not_meant(run, configured, arguments, reason):
    run("db", "migrate")
    refused = run("db", "reset", *(part.format(name=database_name(configured)) for part in arguments))
    assert refused.exit_code == 1
    assert reason in refused.stderr
    assert output(run("db", "seed", "--json"))["models"] == 2


@pytest.mark.parametrize("name", ["app_production", "PROD", "live-2", "main", "postgres", "app.staging"])
def test_reset_refuses_a_name_that_does_not_say_development(run, monkeypatch, postgres, name):
    monkeypatch.setenv("DATABASE_URL", postgres.create_named(name))
    refused = run("db", "reset", "--database", name, "--yes")
    assert refused.exit_code == 1
    assert "does not say development" in refused.stderr


def test_reset_refuses_while_the_home_is_in_use(run, own_home):
    holding = "import sys; from pathlib import Path; from db.home import HomeLock\n"
    holding += "with HomeLock(Path(sys.argv[1])): print(flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", holding, own_home], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        refused = run("db", "reset", "--yes")
        holder.kill()
    assert refused.exit_code == 1
    assert f"in use by process {holder.pid}" in refused.stderr


def test_the_embedded_database_runs_for_the_length_of_a_command(run, own_home):
    assert output(run("db", "status", "--json"))["current"] is None
    assert list(own_home.iterdir()) == []
    assert output(run("db", "migrate", "--json"))["current"] == migrate.head()
    assert output(run("db", "status", "--json"))["pending"] == []
    assert run("db", "reset", "--yes").exit_code == 0
    assert output(run("db", "seed", "--json"))["models"] == 0
    assert running_dsn(own_home) is None


def test_a_database_that_does_not_answer_is_one_sentence(run, monkeypatch):
    monkeypatch.setenv("DATABASE_URL", "postgresql:///app?host=/nowhere")
    for command in ("migrate", "status", "seed"):
        refused = run("db", command)
        assert refused.exit_code == 1
        assert refused.stdout == ""
        assert refused.stderr.count("\n") == 1
        assert "/nowhere/app does not answer" in refused.stderr


def test_new_writes_a_revision_that_runs(tmp_path):
    """In a copy of the package: the checkout's own revisions are not for tests to add to."""
    script = f"""
import asyncio, shutil, sys
from pathlib import Path
import migrations
copy = Path({str(tmp_path)!r}) / "copy of 100% migrations"
shutil.copytree(migrations.__path__[0], copy)
migrations.__path__ = [str(copy)]
from service.cli import main
sys.argv = ["docsearch", "db", "new", "add document language"]
main()
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    path = Path(done.stdout.strip())
    number = f"{int(migrate.head()) + 1:04d}"
    assert path.name == f"{number}_add_document_language.py"
    source = path.read_text()
    assert f'down_revision = "{migrate.head()}"' in source.replace("'", '"')
    compile(source, path, "exec")


@pytest.mark.parametrize("command", ["migrate", "new", "status", "reset", "seed"])
def test_help_teaches_by_example(run, command):
    shown = run("db", command, "--help")
    assert shown.exit_code == 0
    assert f"docsearch db {command}" in shown.stdout
