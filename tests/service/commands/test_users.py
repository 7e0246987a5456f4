"""`docsearch users`: people where there is no identity provider."""

import pytest

from service.auth.keys import is_key_shaped
from tests.running import SECRET, Service
from tests.service.commands.conftest import Run, reply


@pytest.fixture
def database(database_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("SECRET_KEY", SECRET)
    return database_url


def test_a_new_person_signs_in_with_the_printed_key(
    server: Service, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", server.database_url)
    monkeypatch.setenv("SECRET_KEY", SECRET)
    key = run("users", "add", "Ann@Example.com").stdout.strip()
    with server.client(key) as client:
        me = client.get("/v1/users/me").json()
        assert (me["email"], me["email_verified"]) == ("ann@example.com", True)
        client.post("/v1/documents", json={"title": "Mine", "content": "The boiler is in hall B."})
        removed = reply(run("users", "remove", "ann@example.com", "--yes", "--json"))
        assert removed["deleted"]["documents"] == 1
        assert client.get("/v1/users/me").status_code == 401


def test_the_key_is_printed_alone(database: str, run: Run) -> None:
    result = run("users", "add", "ann@example.com")
    assert result.exit_code == 0, result.output
    assert is_key_shaped(result.stdout.strip())
    assert "not shown again" in result.stderr


def test_an_address_has_one_account(database: str, run: Run) -> None:
    assert run("users", "add", "ann@example.com").exit_code == 0
    again = run("users", "add", "ann@example.com")
    assert again.exit_code == 1
    assert "keys create --user" in again.stderr
    assert run("users", "add", "ann").exit_code == 2


def test_everybody_is_listed(database: str, run: Run) -> None:
    made = reply(run("users", "add", "ann@example.com", "--json"))
    [listed] = reply(run("users", "list", "--json"))["data"]
    assert (listed["id"], listed["email"]) == (made["id"], "ann@example.com")
    assert "key" not in listed
    assert "ann@example.com" in run("users", "list").stdout


def test_removing_asks_first(database: str, run: Run) -> None:
    made = reply(run("users", "add", "ann@example.com", "--json"))
    assert run("users", "remove", "ann@example.com", stdin="n\n").exit_code == 1
    assert len(reply(run("users", "list", "--json"))["data"]) == 1
    removed = run("users", "remove", made["id"], stdin="y\n")
    assert removed.exit_code == 0, removed.output
    assert "1 api keys" in removed.stdout
    assert reply(run("users", "list", "--json"))["data"] == []
    nobody = run("users", "remove", "ann@example.com", "--yes")
    assert nobody.exit_code == 1
    assert "nobody" in nobody.stderr
