"""The example of the platform's schema document, posted as it is written there: a webhook, then Gemini."""

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.fakes.chat_servers import FakeGemini, Say
from tests.running import Service, run_service

# Word for word, "https://..." included.
EXAMPLE = """
{
  "nodes": [
    {
      "id": "node-1",
      "type": "trigger",
      "name": "Webhook Trigger",
      "position": { "x": 100, "y": 100 },
      "data": {
        "webhookUrl": "https://...",
        "method": "POST"
      }
    },
    {
      "id": "node-2",
      "type": "ai",
      "name": "Gemini AI",
      "position": { "x": 300, "y": 100 },
      "data": {
        "model": "gemini-1.5-flash",
        "prompt": "{{input.text}}",
        "temperature": 0.7
      }
    }
  ],
  "connections": [
    {
      "source": "node-1",
      "target": "node-2",
      "sourceHandle": "output",
      "targetHandle": "input"
    }
  ]
}
"""


@pytest.fixture
def gemini() -> Iterator[FakeGemini]:
    with FakeGemini() as fake:
        yield fake


@pytest.fixture
def server(database_url: str, tmp_path: Path) -> Iterator[Service]:
    with run_service(database_url, tmp_path / "home", model_allowed_networks="127.0.0.0/8") as service:
        yield service


@pytest.fixture
def client(server: Service, gemini: FakeGemini) -> Iterator[httpx.Client]:
    with server.client() as opened:
        model = {
            "name": "Gemini 1.5 Flash",
            "provider": "GEMINI",
            "model_id": "gemini-1.5-flash",
            "endpoint": gemini.url,
            "api_key": "key-of-gemini",
        }
        made = opened.post("/v1/ai/models", json=model)
        assert made.status_code == 201, made.text
        yield opened


def test_the_documented_workflow_runs_and_returns_the_text(client: httpx.Client, gemini: FakeGemini) -> None:
    made = client.post("/v1/workflows", json={"name": "Documented", **json.loads(EXAMPLE)})
    assert made.status_code == 201, made.text
    workflow = made.json()
    assert {"nodes": workflow["nodes"], "connections": workflow["connections"]} == json.loads(EXAMPLE)
    assert workflow["issues"] == []
    (trigger,) = client.get(f"/v1/workflows/{workflow['id']}").json()["triggers"]
    active = client.post(f"/v1/workflows/{workflow['id']}/activate")
    assert active.json()["status"] == "ACTIVE", active.text

    gemini.script(Say("A haiku about rain."))
    path = "/v1/" + trigger["url"].partition("/v1/")[2]
    with httpx.Client(base_url=client.base_url, timeout=60) as sender:
        reply = sender.post(path, json={"text": "Write about rain"})
    assert reply.status_code == 202, reply.text
    events = client.get(f"/v1/executions/{reply.json()['execution_id']}/events", timeout=60).text
    ended = json.loads(next(line[5:] for line in reversed(events.split("\n")) if line.startswith("data:")))
    assert ended["status"] == "SUCCESS", ended
    assert ended["output"]["text"] == "A haiku about rain."
    assert ended["triggered_by"] == "webhook"
    (asked,) = gemini.requests
    assert asked.body["contents"][-1]["parts"][0]["text"] == "Write about rain"
    assert asked.body["generationConfig"]["temperature"] == 0.7
