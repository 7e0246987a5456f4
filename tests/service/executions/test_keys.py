"""A run that an API key has started is charged to that key as well, and so is what it calls."""

from pathlib import Path

import httpx
import pytest

from tests.fakes.chat_servers import Say
from tests.service.chatting import talking
from tests.service.drawing import node, run

START = node("start", "trigger", {"kind": "manual"})
SCOPES = ["workflows:read", "workflows:write", "workflows:run"]


def make(client: httpx.Client, last: dict[str, object]) -> str:
    body = {"name": "w", "nodes": [START, last], "connections": [{"source": "start", "target": last["id"]}]}
    return str(client.post("/v1/workflows", json=body).json()["id"])


@pytest.mark.parametrize("called", [False, True])
def test_the_budget_of_a_key_holds_in_what_it_runs(database_url: str, tmp_path: Path, called: bool) -> None:
    with talking(database_url, tmp_path / "home") as talk, talk.client() as owner:
        made = owner.post("/v1/api-keys", json={"name": "program", "scopes": SCOPES}).json()
        budget = f"/v1/budgets/key/{made['api_key']['id']}"
        with talk.service.client(made["key"]) as program:
            workflow_id = make(program, node("a", "ai", {"model": "fake-1", "prompt": "hi"}))
            if called:
                workflow_id = make(program, node("call", "workflow", {"workflowId": workflow_id}))
            assert owner.put(budget, json={"monthly_limit": 100}).status_code == 200
            talk.provider.script(Say("In May.", prompt_tokens=50, completion_tokens=10))
            done = run(program, workflow_id)
            assert done["status"] == "SUCCESS", done
            spent = {row["kind"]: row["spent"] for row in owner.get("/v1/budgets").json()["data"]}
            assert spent["key"] > 0
            assert owner.put(budget, json={"monthly_limit": 0}).status_code == 200
            refused = run(program, workflow_id)
            assert refused["status"] == "FAILED"
            assert "budget" in refused["error"]["message"]
            # It is the key's: whoever takes the run up without it pays without it.
            talk.provider.script(Say("In May.", prompt_tokens=50, completion_tokens=10))
            again = owner.post(f"/v1/executions/{refused['id']}/retry?wait=30").json()
            assert again["status"] == "SUCCESS", again
