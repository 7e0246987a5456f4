"""Workflows drawn at random, whose workers are lost at random: they come to what they come to undisturbed."""

import asyncio
import random
from typing import Any

import pytest

from tests.fakes.recording_server import RecordingServer
from tests.service.engine.conftest import Engine, node

START = node("start", "trigger")
KINDS = ("set", "set", "if", "switch", "http", "merge", "wait", "loop", "workflow", "notify")
MOST_TURNS = 400

Drawing = tuple[list[dict[str, Any]], list[str]]


def post(url: str, node_id: str, body: str = "{{ input }}") -> dict[str, Any]:
    data = {"url": f"{url}/{node_id}", "method": "POST", "body": body, "outputMode": "body"}
    return node(node_id, "http", data)


def draw_at_random(rng: random.Random, url: str, child: str) -> Drawing:
    nodes, edges, handles = [START], [], {"start": ["output"]}
    for number in range(rng.randint(4, 10)):
        node_id, kind = f"n{number}", rng.choice(KINDS)
        sources = rng.sample(sorted(handles), min(len(handles), rng.choice([1, 1, 2])))
        drawn, inside, outputs = _node(rng, kind, node_id, url, child)
        for place, source in enumerate(sources, start=1):
            handle = rng.choice(handles[source])
            leaves = source if handle == "output" else f"{source}.{handle}"
            edges.append(f"{leaves}>{node_id}" + (f".input-{place}" if kind == "merge" else ""))
        nodes += drawn
        edges += inside
        handles[node_id] = outputs
    return nodes, edges


def _node(
    rng: random.Random, kind: str, node_id: str, url: str, child: str
) -> tuple[Any, list[str], list[str]]:
    """Return the node, with the body of a loop, the connections inside, and the handles that lead on."""
    size = "(input | json | length)"
    match kind:
        case "set":
            fields = {node_id: f"{{{{ {size} % 7 }}}}", "from": "{{ nodes['start'].n }}"}
            return [node(node_id, "set", {"fields": fields})], [], ["output"]
        case "if":
            return [node(node_id, "if", {"condition": f"{{{{ {size} % 2 == 0 }}}}"})], [], ["true", "false"]
        case "switch":
            data = {"value": f"{{{{ {size} % 3 }}}}", "cases": {"0": "a", "1": "b"}}
            return [node(node_id, "switch", data)], [], ["a", "b", "default"]
        case "http":
            return [post(url, node_id)], [], ["output"]
        case "wait":
            return [node(node_id, "wait", {"amount": 0.02})], [], ["output"]
        case "workflow":
            return [node(node_id, "workflow", {"workflowId": child})], [], ["output"]
        case "notify":
            return [node(node_id, "notify", {"title": f"{node_id} {{{{ {size} }}}}"})], [], ["output"]
        case "merge":
            return [node(node_id, "merge")], [], ["output"]
        case _:
            first, second = f"{node_id}x", f"{node_id}y"
            loop = node(node_id, "loop", {"items": "{{ range(3) }}", "concurrency": rng.choice([1, 2])})
            effect = rng.choice([post(url, first, "{{ item }}"), node(first, "wait", {"amount": 0.01})])
            shaped = node(second, "set", {"fields": {"at": "{{ loop.index }}"}, "mode": "replace"})
            inside = [f"{node_id}.item>{first}", f"{first}>{second}", f"{second}>{node_id}.next"]
            return [loop, effect, shaped], inside, ["done"]


async def run_to_its_end(engine: Engine, drawn: str, cut: random.Random | None = None) -> dict[str, Any]:
    execution_id = await engine.start(drawn, [{"n": n} for n in range(3)])
    for _ in range(MOST_TURNS):
        execution = await engine.execution(execution_id)
        if execution["status"] != "RUNNING":
            return execution
        for run in await engine.fetch("SELECT execution_id AS id FROM workflow_run WHERE state <> 'ended'"):
            task = asyncio.create_task(engine.workflows.runner.run(run["id"]))
            if cut is not None and cut.random() < 0.7:
                await asyncio.sleep(cut.random() * 0.06)
                await lose(engine, run["id"])
            await asyncio.wait([task])
    raise AssertionError("It never ends.")


async def lose(engine: Engine, execution_id: str) -> None:
    """Have a run's worker go as a process that is killed: nothing is given back, and nothing more is written."""
    live = engine.workflows.runner._live.get(execution_id)
    if live is not None:
        await engine.fetch(
            """
            UPDATE workflow_run
            SET epoch = epoch + 1, fruitless = 0, leased_until = now() - interval '1 second'
            WHERE execution_id = $1 AND state = 'active'
            """,
            execution_id,
        )
        live.driving.cancel()


@pytest.mark.parametrize("seed", range(20))
async def test_it_comes_to_the_same(engine: Engine, seed: int) -> None:
    rng = random.Random(seed)
    with RecordingServer() as server:
        child = await engine.draw([START, post(server.url, "child")], ["start>child"])
        drawn = await engine.draw(*draw_at_random(rng, server.url, child))
        plain = await run_to_its_end(engine, drawn)
        told = await engine.fetch('SELECT "title" FROM "Notification"')
        effects = len(server.effects)
        cut = await run_to_its_end(engine, drawn, rng)
        assert (cut["status"], cut["output"]) == (plain["status"], plain["output"])
        assert len(server.effects) == 2 * effects
        assert len(await engine.fetch('SELECT "title" FROM "Notification"')) == 2 * len(told)
