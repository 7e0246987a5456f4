"""What workflows are not let do, tried from inside of a run: networks, bombs, endless work, others' things."""

import time
from pathlib import Path
from typing import Any

from db import credentials, users
from db.collections import insert_collection
from db.tenancy import as_system
from service.engine.jobs import run_error_workflow
from tests.fakes.recording_server import RecordingServer
from tests.service.engine.conftest import Engine, node, open_engine

START = node("start", "trigger")


async def failures(engine: Engine, kind: str, attempts: list[dict[str, Any]], data: Any = None) -> list[Any]:
    """Run a node for each configuration, side by side, and return what each failed with, None for one that did not."""
    names = [f"n{place}" for place in range(len(attempts))]
    nodes = [
        node(name, kind, attempt, onError="continueErrorOutput", retryOnFail=False)
        for name, attempt in zip(names, attempts, strict=True)
    ]
    drawn = await engine.draw([START, *nodes], [f"start>{name}" for name in names])
    done = await engine.run(drawn, data or {})
    assert done["status"] == "SUCCESS", done["error"]
    given = {names[0]: done["output"]} if len(names) == 1 else done["output"]
    return [given[name].get("error") if isinstance(given[name], dict) else None for name in names]


def codes(errors: list[Any]) -> list[str | None]:
    return [None if error is None else error["code"] for error in errors]


async def test_our_own_network_is_not_asked(database_url: str, tmp_path: Path) -> None:
    async with open_engine(database_url, tmp_path / "home", workflow_allowed_networks="") as engine:
        with RecordingServer() as server:
            port = server.url.rpartition(":")[2]
            urls = [
                server.url,
                f"http://localhost:{port}/",
                f"http://127.1:{port}/",
                f"http://2130706433:{port}/",
                f"http://0x7f000001:{port}/",
                f"http://[::ffff:127.0.0.1]:{port}/",
                f"http://0.0.0.0:{port}/",
                "http://[::1]:5432/",
                "http://169.254.169.254/latest/meta-data/",
                "http://[::ffff:169.254.169.254]/",
                "http://[fd00:ec2::254]/",
                "http://10.0.0.1/",
                "http://192.168.1.1/",
                "http://100.64.0.1/",
                "file:///etc/passwd",
                "gopher://127.0.0.1:6379/_INFO",
            ]
            errors = await failures(engine, "http", [{"url": url} for url in urls])
            assert codes(errors) == ["address_refused"] * len(urls)
            assert server.requests() == []


async def test_a_redirect_does_not_lead_there_either(database_url: str, tmp_path: Path) -> None:
    # One address stands for the world outside, and all others for our own network.
    async with open_engine(
        database_url, tmp_path / "home", workflow_allowed_networks="127.0.0.1/32"
    ) as engine:
        with RecordingServer() as outside:
            places = [
                "http://127.0.0.2/",
                "//127.0.0.2/",
                "http://[::1]:5432/",
                "http://169.254.169.254/latest/meta-data/",
                "http://10.0.0.1/",
                "file:///etc/passwd",
            ]
            for number, place in enumerate(places):
                outside.reply(f"/{number}", status=302, headers={"Location": place})
            asked = [{"url": f"{outside.url}/{number}"} for number in range(len(places))]
            errors = await failures(engine, "http", asked)
            assert codes(errors) == ["address_refused"] * len(places)
            assert len(outside.requests()) == len(places)


async def test_expressions_in_a_run_neither_escape_nor_explode(engine: Engine) -> None:
    expressions = [
        "{{ ().__class__.__base__.__subclasses__() }}",
        "{{ input.__class__ }}",
        "{{ trigger['__init__'] }}",
        "{{ execution.__globals__ }}",
        "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
        "{{ items_of.__globals__ }}",
        "{{ 'a' * 1000000000 }}",
        "{{ 9 ** 9 ** 9 }}",
        "{{ range(1000000000) }}",
        "{% for x in y %}{% endfor %}{{ x }}",
    ]
    began = time.monotonic()
    errors = await failures(engine, "set", [{"fields": {"x": one}} for one in expressions])
    assert codes(errors) == ["expression"] * len(expressions)
    assert time.monotonic() - began < 10


async def test_a_giant_item_fails_the_node_that_gives_it(engine: Engine) -> None:
    half = "x" * 600_000
    (error,) = await failures(engine, "set", [{"fields": {"again": "{{ input.text }}"}}], {"text": half})
    assert (error["code"], error["node"]) == ("bad_value", "n0")
    assert "1,048,576" in error["message"]


async def test_a_giant_reply_is_not_read(engine: Engine) -> None:
    with RecordingServer() as server:
        server.reply("/big", body=b"1" * (1024 * 1024 + 1))
        (error,) = await failures(engine, "http", [{"url": f"{server.url}/big"}])
    assert error["code"] == "response_too_large"


async def test_a_giant_output_is_named_and_not_kept(engine: Engine) -> None:
    drawn = await engine.draw([START, node("a", "set"), node("b", "set")], ["start>a", "start>b"])
    done = await engine.run(drawn, {"text": "x" * 600_000})
    assert done["status"] == "SUCCESS"
    assert done["output"]["too_large"]


async def test_a_thousand_items_are_the_most(engine: Engine) -> None:
    drawn = await engine.draw([START, node("a", "set")], ["start>a"])
    assert len((await engine.run(drawn, [{"n": n} for n in range(1_000)]))["output"]) == 1_000
    done = await engine.run(drawn, [{"n": n} for n in range(1_001)])
    assert (done["status"], done["error"]["code"]) == ("FAILED", "too_many_items")


async def test_a_thousand_passes_are_the_most(engine: Engine) -> None:
    loop = node("each", "loop", {"items": "{{ input.n }}", "maxIterations": 1_000})
    drawn = await engine.draw(
        [START, loop, node("a", "stop", {"error": True})], ["start>each", "each.item>a", "a>each.next"]
    )
    done = await engine.run(drawn, {"n": list(range(1_001))})
    assert (done["status"], done["error"]["code"]) == ("FAILED", "too_many_passes")
    assert [entry for entry in done["logs"] if entry.get("node") == "a"] == []


async def test_workflows_that_start_themselves_die_out(engine: Engine) -> None:
    drawn = await engine.draw([START], [])
    calls = [node(name, "workflow", {"workflowId": drawn, "wait": False}) for name in ("a", "b")]
    await engine.fetch(
        'UPDATE "Workflow" SET "nodes" = $1, "connections" = $2',
        [START, *calls],
        [{"source": "start", "target": name} for name in ("a", "b")],
    )
    await engine.run(drawn)
    await engine.drive_all()
    # Two for each, down to the fifth that was called.
    assert len(await engine.fetch('SELECT 1 FROM "WorkflowExecution"')) == 2**6 - 1


async def _add_credential(engine: Engine, user_id: str, team_id: str | None, name: str) -> None:
    async with as_system(engine.pool) as conn:
        await credentials.insert_credential(
            conn,
            user_id=user_id,
            team_id=team_id,
            name=name,
            kind="bearer",
            hosts=[],
            sealed=engine.workflows.services.secret_box.seal('{"token": "s3cret-of-somebody"}'),
        )


async def test_what_is_somebody_elses_is_as_if_it_were_not_there(engine: Engine) -> None:
    async with as_system(engine.pool) as conn:
        stranger = await users.create_user(conn, email="stranger@example.com")
        team_id: str = await conn.fetchval(
            """INSERT INTO "Team" ("name", "slug") VALUES ('Legal', 'legal') RETURNING "id" """
        )
        places = [(stranger.id, None), (stranger.id, team_id)]
        theirs: dict[str, list[str]] = {"workflow": [], "document": [], "collection": []}
        for user_id, team in places:
            theirs["workflow"].append(
                await conn.fetchval(
                    """INSERT INTO "Workflow" ("name", "nodes", "connections", "userId", "teamId", "status", "isActive")
                       VALUES ('Theirs', $1, '[]', $2, $3, 'ACTIVE', true) RETURNING "id" """,
                    [START],
                    user_id,
                    team,
                )
            )
            theirs["document"].append(
                await conn.fetchval(
                    """INSERT INTO "Document" ("userId", "teamId", "title", "content") VALUES ($1, $2, 'Plan', 'x')
                       RETURNING "id" """,
                    user_id,
                    team,
                )
            )
            theirs["collection"].append(
                await insert_collection(
                    conn,
                    user_id=user_id,
                    team_id=team,
                    name=None,
                    description=None,
                    metadata=None,
                    expires_after_days=None,
                )
            )
    await _add_credential(engine, stranger.id, None, "own")
    await _add_credential(engine, stranger.id, team_id, "teams")

    called = await failures(
        engine, "workflow", [{"workflowId": one} for one in [*theirs["workflow"], "none"]]
    )
    assert codes(called) == ["not_found"] * 3
    for operation in ("get", "update", "delete"):
        touched = await failures(
            engine,
            "document",
            [
                {"operation": operation, "documentId": one, "title": "Mine"}
                for one in [*theirs["document"], "none"]
            ],
        )
        assert codes(touched) == ["not_found"] * 3
    searched = await failures(
        engine,
        "search",
        [{"query": "plan", "collectionIds": [one]} for one in [*theirs["collection"], "none"]],
    )
    assert codes(searched) == ["not_found"] * 3
    with RecordingServer() as server:
        sent = await failures(
            engine, "http", [{"url": server.url, "credential": one} for one in ("own", "teams", "none")]
        )
        assert codes(sent) == ["credential_not_found"] * 3
        assert server.requests() == []
    titles = await engine.fetch('SELECT "title" FROM "Document"')
    assert [row["title"] for row in titles] == ["Plan", "Plan"]
    assert await engine.fetch('SELECT 1 FROM "WorkflowExecution" WHERE "triggeredBy" = $1', "workflow") == []


async def test_a_search_among_somebody_elses_documents_finds_nothing(engine: Engine) -> None:
    async with as_system(engine.pool) as conn:
        stranger = await users.create_user(conn, email="stranger@example.com")
        document_id = await conn.fetchval(
            """INSERT INTO "Document" ("userId", "title", "content") VALUES ($1, 'Plan', 'x') RETURNING "id" """,
            stranger.id,
        )
    find = node("find", "search", {"query": "plan", "mode": "lexical", "documentIds": [document_id]})
    done = await engine.run(await engine.draw([START, find], ["start>find"]), {})
    assert (done["status"], done["output"]["hits"]) == ("SUCCESS", [])


async def test_a_workflow_for_errors_is_not_somebody_elses(engine: Engine) -> None:
    catcher = await engine.draw([START], [])
    async with as_system(engine.pool) as conn:
        stranger = await users.create_user(conn, email="stranger@example.com")
        await conn.execute('UPDATE "Workflow" SET "userId" = $1', stranger.id)
    broken = await engine.draw(
        [START, node("no", "stop", {"error": True})], ["start>no"], settings={"errorWorkflow": catcher}
    )
    failed = await engine.run(broken, {"secret": "of mine"}, triggered_by="webhook")

    class Job:
        payload = failed["id"].encode()

    await run_error_workflow(engine.workflows, Job())  # type: ignore[arg-type]
    assert await engine.fetch('SELECT 1 FROM "WorkflowExecution" WHERE "triggeredBy" = $1', "error") == []


async def test_a_workflow_for_errors_that_is_archived_does_not_run(engine: Engine) -> None:
    catcher = await engine.draw([START], [])
    await engine.fetch('UPDATE "Workflow" SET "status" = \'ARCHIVED\' WHERE "id" = $1', catcher)
    broken = await engine.draw(
        [START, node("no", "stop", {"error": True})], ["start>no"], settings={"errorWorkflow": catcher}
    )
    failed = await engine.run(broken, {}, triggered_by="webhook")

    class Job:
        payload = failed["id"].encode()

    await run_error_workflow(engine.workflows, Job())  # type: ignore[arg-type]
    assert await engine.fetch('SELECT 1 FROM "WorkflowExecution" WHERE "triggeredBy" = $1', "error") == []
