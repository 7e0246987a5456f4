"""Runs over HTTP: started, looked at, followed, canceled, answered and taken up."""

import time

import httpx

from tests.fakes.recording_server import RecordingServer
from tests.running import Service
from tests.service.chatting import iter_events
from tests.service.drawing import draw, node, run

START = node("start", "trigger")


def test_a_run_gives_its_output_and_its_log(server: Service, client: httpx.Client) -> None:
    drawn = draw(server, [START, node("up", "set", {"fields": {"x": "{{ input.n + 1 }}"}})], ["start>up"])
    done = run(client, drawn, {"n": 1})
    assert (done["status"], done["output"], done["triggered_by"]) == ("SUCCESS", {"n": 1, "x": 2}, "api")
    assert done["input"] == {"n": 1}
    page = client.get(f"/v1/executions/{done['id']}/logs?limit=3").json()
    assert [one["entry"]["event"] for one in page["data"]] == ["run.started", "node.started", "node.finished"]
    rest = client.get(f"/v1/executions/{done['id']}/logs", params={"after": page["next_cursor"]}).json()
    assert rest["data"][-1]["entry"]["event"] == "run.succeeded"
    only = client.get(f"/v1/executions/{done['id']}/logs?node=up&event=node.finished").json()
    assert [one["entry"]["node"] for one in only["data"]] == ["up"]


def test_executions_are_listed_filtered_and_paged(server: Service, client: httpx.Client) -> None:
    good = draw(server, [START], [])
    bad = draw(server, [START, node("no", "stop", {"error": True})], ["start>no"])
    ids = [run(client, good)["id"] for _ in range(3)]
    failed = run(client, bad)["id"]
    listed = client.get("/v1/executions?limit=2").json()
    assert [one["id"] for one in listed["data"]] == [failed, ids[2]]
    rest = client.get("/v1/executions", params={"after": listed["next_cursor"]}).json()
    assert [one["id"] for one in rest["data"]] == [ids[1], ids[0]]
    assert [one["id"] for one in client.get("/v1/executions?status=FAILED").json()["data"]] == [failed]
    assert len(client.get(f"/v1/executions?workflow_id={good}&triggered_by=api").json()["data"]) == 3
    assert client.get("/v1/executions?since=2099-01-01T00:00:00Z").json()["data"] == []
    assert client.delete(f"/v1/executions/{failed}").status_code == 204
    assert client.get(f"/v1/executions/{failed}").status_code == 404


def test_a_running_execution_is_followed_to_its_end(server: Service, client: httpx.Client) -> None:
    with RecordingServer() as others:
        others.hold("/slow")
        drawn = draw(server, [START, node("slow", "http", {"url": f"{others.url}/slow"})], ["start>slow"])
        started = client.post(f"/v1/workflows/{drawn}/run", json={})
        assert started.status_code == 202
        path = started.headers["location"]
        seen = []
        with client.stream("GET", f"{path}/events") as stream:
            for event, data, _ in iter_events(stream):
                seen.append((event, data))
                if event == "log" and data["entry"].get("node") == "slow":
                    others.release("/slow")
                if event == "ended":
                    break
        assert seen[-1][1]["status"] == "SUCCESS"
        assert [data["position"] for event, data in seen[:-1]] == list(range(len(seen) - 1))


def test_cancel_takes_effect_within_a_second(server: Service, client: httpx.Client) -> None:
    with RecordingServer() as others:
        others.hold("/slow")
        drawn = draw(
            server,
            [
                START,
                node("slow", "http", {"url": f"{others.url}/slow"}),
                node("after", "http", {"url": f"{others.url}/after"}),
            ],
            ["start>slow", "slow>after"],
        )
        path = client.post(f"/v1/workflows/{drawn}/run", json={}).headers["location"]
        server.call(others.arrived("/slow"))
        canceled = client.post(f"{path}/cancel")
        assert canceled.json()["status"] == "CANCELED"
        began = time.monotonic()
        while client.get(f"{path}/logs").json()["data"][-1]["entry"]["event"] != "run.canceled":
            assert time.monotonic() - began < 1
        others.release("/slow")
        assert client.post(f"{path}/cancel").status_code == 409
        assert others.requests("/after") == []


def test_a_failed_run_is_taken_up_where_it_failed(server: Service, client: httpx.Client) -> None:
    with RecordingServer() as others:
        others.fail("/flaky", times=1, status=400)
        post = {"method": "POST", "body": {"n": 1}}
        drawn = draw(
            server,
            [
                START,
                node("first", "http", {"url": f"{others.url}/first", **post}),
                node("flaky", "http", {"url": f"{others.url}/flaky", **post}),
            ],
            ["start>first", "first>flaky"],
        )
        failed = run(client, drawn, {})
        assert failed["status"] == "FAILED"
        assert failed["error"]["node"] == "flaky"
        reply = client.post(f"/v1/executions/{failed['id']}/retry?wait=30")
        again = reply.json()
        assert (again["status"], again["retry_of"], again["retry_count"]) == ("SUCCESS", failed["id"], 1)
        assert len(others.requests("/first")) == 1
        keys = {one.headers["idempotency-key"] for one in others.requests("/flaky")}
        assert len(keys) == 1
        assert client.post(f"/v1/executions/{again['id']}/retry").status_code == 409


def test_a_waiting_run_is_answered(server: Service, client: httpx.Client) -> None:
    drawn = draw(
        server,
        [
            START,
            node("ask", "wait", {"for": "reply"}),
            node("end", "set", {"fields": {"got": "{{ input.reply }}"}}),
        ],
        ["start>ask", "ask>end"],
    )
    path = client.post(f"/v1/workflows/{drawn}/run?wait=1", json={"input": {"a": 1}}).headers["location"]
    waiting = client.get(path).json()
    assert waiting["status"] == "RUNNING"
    assert [(one["node_id"], one["kind"]) for one in waiting["waiting"]] == [("ask", "reply")]
    assert client.post(f"{path}/resume", json={"reply": 42, "node_id": "end"}).status_code == 409
    assert client.post(f"{path}/resume", json={"reply": 42}).status_code == 202
    with client.stream("GET", f"{path}/events") as stream:
        *_, (_, ended, _) = iter_events(stream)
    assert ended["output"]["got"] == 42


def test_one_node_is_tried_with_its_input(server: Service, client: httpx.Client) -> None:
    drawn = draw(
        server,
        [START, node("a", "set", {"fields": {"x": "{{ input.n * 2 }}"}}), node("b", "stop", {"error": True})],
        ["start>a", "a>b"],
        active=False,
    )
    reply = client.post(f"/v1/workflows/{drawn}/nodes/a/run?wait=20", json={"input": {"n": 4}})
    assert reply.json()["output"] == {"n": 4, "x": 8}
    assert client.post(f"/v1/workflows/{drawn}/nodes/nope/run", json={}).status_code == 422
    assert client.get("/v1/notifications").json()["data"] == []


def test_a_run_needs_no_body(server: Service, client: httpx.Client) -> None:
    drawn = draw(server, [START], [])
    for path in ("run", f"nodes/{START['id']}/run"):
        assert client.post(f"/v1/workflows/{drawn}/{path}?wait=20").json()["status"] == "SUCCESS"


def test_a_repeat_under_the_same_key_starts_nothing(server: Service, client: httpx.Client) -> None:
    drawn = draw(server, [START], [])
    headers = {"Idempotency-Key": "once"}
    first, second = (
        client.post(f"/v1/workflows/{drawn}/run?wait=20", json={}, headers=headers).json() for _ in range(2)
    )
    assert first["id"] == second["id"]
    assert len(client.get("/v1/executions").json()["data"]) == 1


def test_what_is_wrong_with_a_request_is_said(server: Service, client: httpx.Client) -> None:
    drawn = draw(server, [START], [])
    assert client.post("/v1/workflows/nope/run", json={}).status_code == 404
    assert client.post(f"/v1/workflows/{drawn}/run", json={"inputs": 1}).status_code == 400
    assert client.post(f"/v1/workflows/{drawn}/run", json={"start_node": "x"}).status_code == 422
    chain = draw(server, [START, node("a", "set")], ["start>a"])
    assert client.post(f"/v1/workflows/{chain}/run", json={"start_node": "a"}).status_code == 422
    assert client.get("/v1/executions/nope").status_code == 404
    assert client.get("/v1/executions?since=2026-01-01T00:00:00").status_code == 400
    huge = client.post(f"/v1/workflows/{drawn}/run", json={"input": "x" * 1_048_576})
    assert huge.status_code in {413, 422}
    assert client.get("/v1/executions").json()["data"] == []


def test_what_is_archived_is_not_taken_up_again(client: httpx.Client) -> None:
    nodes = [node("start", "trigger", {"kind": "manual"}), node("no", "stop", {"error": True})]
    body = {"name": "w", "nodes": nodes, "connections": [{"source": "start", "target": "no"}]}
    made = client.post("/v1/workflows", json=body).json()["id"]
    failed = run(client, made)
    assert client.patch(f"/v1/workflows/{made}", json={"status": "ARCHIVED"}).status_code == 200
    refused = client.post(f"/v1/executions/{failed['id']}/retry")
    assert refused.status_code == client.post(f"/v1/workflows/{made}/run", json={}).status_code == 409
    assert "archived" in refused.json()["detail"]
