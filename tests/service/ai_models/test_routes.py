"""/v1/ai/models over HTTP: who may see and change what, what is kept, and what is never shown."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.secrets import PREFIX, SecretBox
from tests.fakes.chat_servers import FakeAnthropic, FakeGemini, FakeOpenAI, Refuse, Say
from tests.running import ENCRYPTION_KEY, Service, run_service

KEY = "sk-verysecret"
NEW = {"name": "Small one", "provider": "OPENAI", "model_id": "gpt-4o-mini", "api_key": KEY}


@pytest.fixture
def api(database_url: str, tmp_path: Path) -> Iterator[Service]:
    with run_service(
        database_url,
        tmp_path / "home",
        worker=False,
        administrators="Boss@Example.com, nobody@example.com",
        model_allowed_networks="127.0.0.0/8",
    ) as service:
        yield service


@pytest.fixture
def client(api: Service) -> Iterator[httpx.Client]:
    with api.client() as signed_in:
        yield signed_in


def add(client: httpx.Client, **fields: object) -> dict[str, Any]:
    reply = client.post("/v1/ai/models", json={**NEW, **fields})
    assert reply.status_code == 201, reply.text
    made: dict[str, Any] = reply.json()
    assert reply.headers["location"] == f"/v1/ai/models/{made['id']}"
    return made


def sql(api: Service, statement: str, *arguments: object) -> list[Any]:
    async def run() -> list[Any]:
        async with api.runtime.pool.acquire() as conn:
            return list(await conn.fetch(statement, *arguments))

    rows: list[Any] = api.call(run())
    return rows


def test_the_key_is_kept_sealed_and_never_shown(api: Service, client: httpx.Client) -> None:
    made = add(client, max_tokens=500, temperature=0.2, input_price_per_million=0.15)
    assert KEY not in str(made)
    assert (made["has_key"], made["max_tokens"], made["temperature"]) == (True, 500, 0.2)
    assert made["context_tokens"] == 128_000
    for reply in (client.get(f"/v1/ai/models/{made['id']}"), client.get("/v1/ai/models")):
        assert KEY not in reply.text
        assert PREFIX + "gAAAA" not in reply.text
    [stored] = sql(api, 'SELECT "config" FROM "AIModel"')
    config = stored["config"]
    assert SecretBox(ENCRYPTION_KEY).open(config.pop("apiKey")) == KEY
    assert config == {"maxTokens": 500, "temperature": 0.2, "inputPricePerMillion": 0.15}


def test_the_extractive_model_is_always_there(client: httpx.Client) -> None:
    [first] = client.get("/v1/ai/models").json()["data"]
    assert (first["id"], first["provider"], first["is_active"]) == ("extractive", "BUILTIN", True)
    assert client.get("/v1/ai/models/extractive").json() == first
    assert client.patch("/v1/ai/models/extractive", json={"name": "x"}).status_code == 409
    assert client.delete("/v1/ai/models/extractive").status_code == 409
    assert client.post("/v1/ai/models/extractive/test").status_code == 409


def test_others_see_models_without_where_they_are(api: Service, client: httpx.Client) -> None:
    made = add(client, endpoint="https://llm.example.com/v1", temperature=0.2)
    other = api.new_user("other@example.com", scopes=("conversations:read",))
    with api.client(other) as stranger:
        seen = stranger.get(f"/v1/ai/models/{made['id']}").json()
        assert seen == stranger.get("/v1/ai/models").json()["data"][1]
    assert made["endpoint"] == "https://llm.example.com/v1"
    hidden = {"endpoint", "total_requests", "total_tokens", "total_cost"}
    assert {name for name in made if made[name] != seen[name]} == hidden
    assert all(seen[name] is None for name in hidden)


def test_administrators_are_those_of_the_setting_with_a_verified_address(api: Service) -> None:
    keys = {email: api.new_user(email) for email in ("boss@example.com", "other@example.com")}
    with api.client(keys["boss@example.com"]) as boss:
        made = add(boss)
        assert boss.delete(f"/v1/ai/models/{made['id']}").status_code == 204
    with api.client(keys["other@example.com"]) as other:
        refused = other.post("/v1/ai/models", json=NEW)
        assert refused.status_code == 403
        assert "ADMINISTRATORS" in refused.json()["detail"]
    sql(api, """UPDATE "User" SET "emailVerified" = false WHERE "email" = 'boss@example.com'""")
    with api.client(keys["boss@example.com"]) as boss:
        assert boss.post("/v1/ai/models", json=NEW).status_code == 403


def test_an_administrators_key_needs_the_scope(api: Service) -> None:
    with api.client(api.new_user("boss@example.com", scopes=("conversations:write", "keys"))) as boss:
        assert boss.post("/v1/ai/models", json=NEW).json()["required_scope"] == "admin"


def test_a_change_without_a_key_keeps_it(api: Service, client: httpx.Client) -> None:
    made = add(client, temperature=0.2, top_p=0.5)
    [before] = sql(api, 'SELECT "config" ->> \'apiKey\' AS key FROM "AIModel"')
    changed = client.patch(
        f"/v1/ai/models/{made['id']}", json={"name": "  New\nname ", "temperature": 0.9, "top_p": None}
    ).json()
    assert (changed["name"], changed["temperature"], changed["top_p"]) == ("New name", 0.9, None)
    [after] = sql(api, 'SELECT "config" ->> \'apiKey\' AS key FROM "AIModel"')
    assert before["key"] == after["key"]
    without = client.patch(f"/v1/ai/models/{made['id']}", json={"api_key": None}).json()
    assert not without["has_key"]


def test_a_key_does_not_move_to_another_endpoint_by_itself(client: httpx.Client) -> None:
    path = f"/v1/ai/models/{add(client)['id']}"
    elsewhere = {"endpoint": "https://elsewhere.example.com/v1"}
    refused = client.patch(path, json=elsewhere)
    assert refused.status_code == 422
    assert "api_key" in refused.json()["detail"]
    assert client.get(path).json()["endpoint"] is None
    assert client.patch(path, json={**elsewhere, "api_key": "sk-other"}).status_code == 200
    assert client.patch(path, json={**elsewhere, "name": "x"}).status_code == 200


@pytest.mark.parametrize(
    ("fields", "status", "word"),
    [
        ({"temperature": 2.5}, 400, "temperature"),
        ({"provider": "BUILTIN"}, 400, "provider"),
        ({"model_id": "two words"}, 400, "model_id"),
        ({"api_key": "line\nbreak"}, 400, "api_key"),
        ({"unknown": 1}, 400, "unknown"),
        ({"name": "\x07\n"}, 422, "name"),
        ({"provider": "CUSTOM"}, 422, "endpoint"),
        ({"endpoint": "ftp://example.com"}, 422, "endpoint"),
        ({"endpoint": "https://10.0.0.1/v1"}, 422, "endpoint"),
        ({"endpoint": "http://93.184.216.34/v1"}, 422, "endpoint"),
        ({"endpoint": "https://user:word@example.com"}, 422, "endpoint"),
    ],
)
def test_what_cannot_be_is_refused_with_a_reason(
    client: httpx.Client, fields: dict[str, Any], status: int, word: str
) -> None:
    reply = client.post("/v1/ai/models", json={**NEW, **fields})
    assert (reply.status_code, word in reply.json()["detail"]) == (status, True), reply.text
    assert KEY not in reply.text


def test_a_provider_has_a_model_once(client: httpx.Client) -> None:
    add(client)
    other = add(client, model_id="gpt-4o")
    again = client.post("/v1/ai/models", json=NEW)
    assert again.status_code == 409
    assert "gpt-4o-mini" in again.json()["detail"]
    moved = client.patch(f"/v1/ai/models/{other['id']}", json={"model_id": "gpt-4o-mini"})
    assert moved.status_code == 409
    assert client.post(
        "/v1/ai/models", json={**NEW, "provider": "CUSTOM", "endpoint": "http://127.0.0.1:1"}
    ).is_success


def test_a_model_of_conversations_is_taken_out_of_use_instead(api: Service, client: httpx.Client) -> None:
    path = f"/v1/ai/models/{add(client)['id']}"
    sql(api, 'INSERT INTO "AIConversation" ("userId", "modelId") SELECT \'u\', "id" FROM "AIModel"')
    refused = client.delete(path)
    assert refused.status_code == 409
    assert "is_active" in refused.json()["detail"]
    assert client.patch(path, json={"is_active": False}).json()["is_active"] is False
    sql(api, 'DELETE FROM "AIConversation"')
    assert client.delete(path).status_code == 204
    assert client.delete(path).status_code == client.get(path).status_code == 404


def test_what_administrators_do_is_written_down_without_the_key(api: Service, client: httpx.Client) -> None:
    path = f"/v1/ai/models/{add(client)['id']}"
    client.patch(path, json={"api_key": "sk-another", "is_active": False})
    client.delete(path)
    rows = sql(api, "SELECT action, details FROM audit_log WHERE resource_type = 'ai_model' ORDER BY id")
    assert [row["action"] for row in rows] == ["ai_model.created", "ai_model.updated", "ai_model.deleted"]
    assert rows[1]["details"] == {"changed": ["api_key", "is_active"]}
    assert "sk-" not in str([row["details"] for row in rows])


@pytest.mark.parametrize(
    ("provider", "fake"),
    [
        ("OPENAI", FakeOpenAI),
        ("GROQ", FakeOpenAI),
        ("CUSTOM", FakeOpenAI),
        ("GEMINI", FakeGemini),
        ("ANTHROPIC", FakeAnthropic),
    ],
)
def test_a_test_says_how_fast_a_model_answers(client: httpx.Client, provider: str, fake: Any) -> None:
    with fake() as server:
        made = add(client, provider=provider, endpoint=server.url, output_price_per_million=1_000_000)
        server.script(Say("ready"), Refuse(401))
        path = f"/v1/ai/models/{made['id']}"
        good = client.post(f"{path}/test").json()
        bad = client.post(f"{path}/test").json()
        assert server.requests[0].key == KEY
    assert (good["ok"], good["tokens"], good["error"]) == (True, 18, None)
    assert 0 <= good["first_token_ms"] <= good["latency_ms"]
    assert (bad["ok"], bad["first_token_ms"], bad["error"]["code"]) == (False, None, "key_refused")
    assert "gpt-4o-mini" in bad["error"]["detail"]
    shown = client.get(path).json()
    assert (shown["total_requests"], shown["total_tokens"], shown["total_cost"]) == (1, 18, 7.0)


def test_a_model_of_the_web_application_works_with_its_plain_key(api: Service, client: httpx.Client) -> None:
    with FakeOpenAI() as server:
        sql(
            api,
            """
            INSERT INTO "AIModel" ("id", "name", "provider", "modelId", "config")
            VALUES ('theirs', 'Theirs', 'GROQ', 'llama', jsonb_build_object('apiKey', 'gsk-plain', 'endpoint', $1::text,
                                                                           'maxTokens', 8192, 'other', 'x'))
            """,
            server.url,
        )
        assert client.post("/v1/ai/models/theirs/test").json()["ok"]
        assert server.requests[0].key == "gsk-plain"
    assert client.get("/v1/ai/models/theirs").json()["max_tokens"] == 8192


def test_what_cannot_be_asked_says_why(api: Service, client: httpx.Client) -> None:
    made = add(client, api_key=None)
    tested = client.post(f"/v1/ai/models/{made['id']}/test").json()
    assert (tested["ok"], tested["error"]["code"]) == (False, "key_refused")
    sql(api, """UPDATE "AIModel" SET "config" = '{"temperature": "hot", "apiKey": 3}'""")
    assert client.get("/v1/ai/models").status_code == 200
    broken = client.post(f"/v1/ai/models/{made['id']}/test").json()
    assert "temperature" in broken["error"]["detail"] or "apiKey" in broken["error"]["detail"]
