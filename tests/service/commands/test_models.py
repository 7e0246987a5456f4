"""`docsearch models`: AI models, by the operator."""

from collections.abc import Iterator

import pytest

from tests.fakes.chat_servers import FakeOpenAI, Refuse
from tests.running import ENCRYPTION_KEY
from tests.service.commands.conftest import Run, reply

KEY = "sk-verysecret"


@pytest.fixture(autouse=True)
def _database(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("ENCRYPTION_KEY", ENCRYPTION_KEY)
    monkeypatch.setenv("MODEL_ALLOWED_NETWORKS", "127.0.0.0/8")


@pytest.fixture
def provider() -> Iterator[FakeOpenAI]:
    with FakeOpenAI() as running:
        yield running


def test_a_model_that_was_added_answers_with_its_key(provider: FakeOpenAI, run: Run) -> None:
    added = run(
        "models", "add", "Small one", "--provider", "custom", "--model", "m", "--endpoint", provider.url,
        "--key-stdin", stdin=f"{KEY}\n",
    )  # fmt: skip
    assert added.exit_code == 0, added.output
    model_id = added.stdout.strip()
    tested = run("models", "test", model_id)
    assert tested.exit_code == 0, tested.output
    assert "Answered in" in tested.stdout
    assert provider.requests[0].key == KEY
    listed = run("models", "list", "--json")
    [row] = reply(listed)["data"]
    assert (row["id"], row["provider"], row["has_key"]) == (model_id, "CUSTOM", True)
    assert KEY not in listed.output + run("models", "list").output


def test_a_test_that_fails_says_why(provider: FakeOpenAI, run: Run) -> None:
    made = reply(
        run(
            "models", "add", "x", "--provider", "CUSTOM", "--model", "m", "--endpoint", provider.url, "--json"
        )
    )
    provider.always = Refuse(404)
    failed = run("models", "test", made["id"], "--json")
    assert failed.exit_code == 1
    assert reply(failed)["error"]["code"] == "no_such_model"
    assert "has no model m" in failed.stderr


def test_a_model_is_removed_once(run: Run) -> None:
    made = reply(run("models", "add", "x", "--provider", "GROQ", "--model", "m", "--json"))
    again = run("models", "add", "y", "--provider", "GROQ", "--model", "m")
    assert (again.exit_code, "already" in again.stderr) == (1, True)
    assert "api_key" in run("models", "test", made["id"]).stderr
    assert run("models", "remove", made["id"]).exit_code == 0
    assert run("models", "remove", made["id"]).exit_code == 1
    assert reply(run("models", "list", "--json"))["data"] == []


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--provider", "NOBODY", "--model", "m"], "OPENAI"),
        (["--provider", "CUSTOM", "--model", "m"], "--endpoint"),
        (["--provider", "CUSTOM", "--model", "m", "--endpoint", "http://10.0.0.1"], "--endpoint"),
        (["--provider", "GROQ", "--model", "two words"], "--model"),
    ],
)
def test_what_makes_no_sense_is_refused(run: Run, arguments: list[str], word: str) -> None:
    refused = run("models", "add", "x", *arguments)
    assert (refused.exit_code, word in refused.stderr) == (2, True), refused.output
