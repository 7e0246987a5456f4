"""`docsearch keys` works on the database itself, and what it prints works on the server."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from db.pool import open_pool
from db.users import create_user
from service.auth.keys import is_key_shaped
from tests.running import SECRET, Service
from tests.service.commands.conftest import Run, reply


@pytest.fixture
def database(database_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("SECRET_KEY", SECRET)
    return database_url


def test_a_new_key_opens_the_server_until_it_is_revoked(
    server: Service, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", server.database_url)
    monkeypatch.setenv("SECRET_KEY", SECRET)
    made = reply(run("keys", "create", "--name", "laptop", "--scope", "documents:read", "--json"))
    with server.client(made["key"]) as client:
        assert client.get("/v1/documents").status_code == 200
        assert client.post("/v1/search", json={"query": "q"}).status_code == 403
        assert run("keys", "revoke", made["id"]).exit_code == 0
        assert client.get("/v1/documents").status_code == 401


def test_the_key_is_printed_alone_and_once(database: str, run: Run) -> None:
    result = run("keys", "create", "--name", "ci")
    key = result.stdout.strip()
    assert result.exit_code == 0
    assert is_key_shaped(key)
    assert "not shown again" in result.stderr
    listed = run("keys", "list").stdout
    assert "ci" in listed
    assert key[:12] not in listed


def test_json_tells_all_but_the_hash(database: str, run: Run) -> None:
    made = reply(run("keys", "create", "--name", "x", "--expires-days", "30", "--json"))
    assert made["key"].startswith(made["prefix"])
    assert made["scopes"] == ["documents:read", "documents:write", "search"]
    expires_in = datetime.fromisoformat(made["expires_at"]) - datetime.now(UTC)
    assert timedelta(days=29) < expires_in <= timedelta(days=30)
    [listed] = reply(run("keys", "list", "--json"))["data"]
    assert listed == {name: value for name, value in made.items() if name != "key"}


def test_a_revoked_key_stays_in_the_list_and_cannot_be_revoked_again(database: str, run: Run) -> None:
    made = reply(run("keys", "create", "--name", "x", "--json"))
    assert run("keys", "revoke", made["id"]).stdout == f"Revoked {made['id']}.\n"
    assert reply(run("keys", "list", "--json"))["data"][0]["status"] == "revoked"
    again = run("keys", "revoke", made["id"])
    assert again.exit_code == 1
    assert again.stderr == (
        f"docsearch: There is no active key '{made['id']}'; `docsearch keys list` shows those there are.\n"
    )


async def _add_user(database_url: str, email: str) -> None:
    async with open_pool(database_url, size=1) as pool, pool.acquire() as conn:
        await create_user(conn, email=email)


async def test_keys_of_another_user_are_apart(database: str, run: Run) -> None:
    import asyncio

    await _add_user(database, "ann@example.com")

    def work() -> None:
        made = reply(run("keys", "create", "--name", "hers", "--user", "ann@example.com", "--json"))
        assert reply(run("keys", "list", "--json"))["data"] == []
        assert run("keys", "revoke", made["id"]).exit_code == 1
        listed = reply(run("keys", "list", "--user", "ann@example.com", "--json"))["data"]
        assert [(key["name"], key["status"]) for key in listed] == [("hers", "active")]

    # The command runs an event loop of its own.
    await asyncio.to_thread(work)


@pytest.mark.parametrize(
    ("arguments", "exit_code", "words"),
    [
        (["keys", "create"], 2, "--name"),
        (["keys", "create", "--name", " "], 2, "the name is empty"),
        (
            ["keys", "create", "--name", "x", "--scope", "everything"],
            2,
            "everything: there are account:read,",
        ),
        (["keys", "create", "--name", "x", "--expires-days", "0"], 2, "--expires-days"),
        (["keys", "list", "--user", "nobody@example.com"], 1, "no user with the email address"),
    ],
)
def test_mistakes_are_explained(
    database: str, run: Run, arguments: list[str], exit_code: int, words: str
) -> None:
    result = run(*arguments)
    assert result.exit_code == exit_code
    assert words in result.stderr


def test_a_secret_that_only_this_machine_has_is_pointed_out(
    database: str, run: Run, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SECRET_KEY")
    result = run("keys", "create", "--name", "x")
    assert result.exit_code == 0
    assert f"SECRET_KEY is not set: the key is hashed with {home / 'secret.key'}" in result.stderr


def test_a_database_that_was_never_migrated_says_what_to_do(
    empty_database_url: str, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", empty_database_url)
    result = run("keys", "list")
    assert result.exit_code == 1
    assert "run `docsearch db migrate`" in result.stderr


def test_without_a_server_the_embedded_database_is_started_and_stopped(run: Run, home: Path) -> None:
    made = reply(run("keys", "create", "--name", "x", "--json"))
    assert not (home / "pg" / "postmaster.pid").exists()
    assert [key["id"] for key in reply(run("keys", "list", "--json"))["data"]] == [made["id"]]
    assert oct((home / "secret.key").stat().st_mode & 0o777) == "0o600"
