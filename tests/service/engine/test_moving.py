"""A workflow that is moved to another space while it runs: what it was started with is not there any more."""

from typing import Any

import pytest

from db import users
from db.execution_history import cancel_execution
from db.tenancy import as_caller, as_system
from db.workflow_steps import resume_reply
from tests.service.engine.conftest import Engine, connect, node

NODES = [
    node("start", "trigger", {"kind": "manual"}),
    node("ask", "wait", {"for": "reply"}),
    node("get", "document", {"operation": "get", "externalId": "case", "includeText": True}),
]
EDGES = ["start>ask", "ask>get"]


@pytest.fixture
async def eve(engine: Engine) -> tuple[str, str]:
    """Return the id and the subject of a member of the team 'team', which is Ann's."""
    async with as_system(engine.pool) as conn:
        made = await users.create_user(conn, email="eve@example.com", tier="ENTERPRISE")
        await conn.execute('INSERT INTO "Team" ("id", "name", "slug") VALUES (\'team\', \'Team\', \'team\')')
        for user_id, role in ((engine.user_id, "OWNER"), (made.id, "MEMBER")):
            await conn.execute(
                'INSERT INTO "TeamMember" ("teamId", "userId", "role") VALUES (\'team\', $1, $2::"TeamRole")',
                user_id,
                role,
            )
        subject = await conn.fetchval('SELECT "clerkId" FROM "User" WHERE "id" = $1', made.id)
    return made.id, subject


async def waiting_run(engine: Engine, eve: tuple[str, str]) -> tuple[str, str]:
    """Return a workflow of hers in the team, and its run, which waits."""
    async with as_caller(engine.pool, eve[1]) as conn:
        workflow_id: str = await conn.fetchval(
            """
            INSERT INTO "Workflow" ("name", "nodes", "connections", "userId", "teamId")
            VALUES ('w', $1, $2, $3, 'team') RETURNING "id"
            """,
            NODES,
            [connect(edge) for edge in EDGES],
            eve[0],
        )
    execution_id = await engine.start(workflow_id, {}, user_id=eve[0])
    await engine.workflows.runner.run(execution_id)
    return workflow_id, execution_id


async def take_out_and_leave(engine: Engine, eve: tuple[str, str], workflow_id: str) -> None:
    """As the web application's SQL may, in which nothing of ours has a say but the database; then comes a document."""
    async with as_caller(engine.pool, eve[1]) as conn:
        await conn.execute('UPDATE "Workflow" SET "teamId" = NULL WHERE "id" = $1', workflow_id)
    async with as_system(engine.pool) as conn:
        await conn.execute('DELETE FROM "TeamMember" WHERE "userId" = $1', eve[0])
        await conn.execute(
            """
            INSERT INTO "Document" ("id", "title", "content", "userId", "teamId", "metadata", "sourceType")
            VALUES ('d', 'Case', 'the team keeps this', $1, 'team', '{"external_id": "case"}', 'text')
            """,
            engine.user_id,
        )


async def answered(engine: Engine, execution_id: str) -> dict[str, Any]:
    async with as_system(engine.pool) as conn:
        await resume_reply(conn, execution_id, None, {})
    await engine.workflows.runner.run(execution_id)
    return await engine.execution(execution_id)


async def test_a_run_ends_where_its_workflow_leaves_the_team(engine: Engine, eve: tuple[str, str]) -> None:
    workflow_id, execution_id = await waiting_run(engine, eve)
    await take_out_and_leave(engine, eve, workflow_id)
    execution = await answered(engine, execution_id)
    assert (execution["status"], execution["state"]) == ("CANCELED", "ended")
    assert execution["error"]["code"] == "moved"
    assert execution["output"] is None


async def test_a_run_that_the_move_passed_over_is_not_driven_on(engine: Engine, eve: tuple[str, str]) -> None:
    workflow_id, execution_id = await waiting_run(engine, eve)

    async with as_system(engine.pool) as conn:
        # Somebody is canceling it in this moment, for whom the move does not wait, and who comes to nothing.
        canceling = conn.transaction()
        await canceling.start()
        assert await cancel_execution(conn, execution_id)
        await take_out_and_leave(engine, eve, workflow_id)
        await canceling.rollback()
    execution = await answered(engine, execution_id)
    assert (execution["status"], execution["state"]) == ("FAILED", "ended")
    assert execution["error"]["code"] == "moved"
    assert execution["output"] is None


async def test_handing_a_workflow_over_within_its_team_leaves_its_runs_alone(
    engine: Engine, eve: tuple[str, str]
) -> None:
    _, execution_id = await waiting_run(engine, eve)
    async with as_system(engine.pool) as conn:
        await conn.execute('DELETE FROM "TeamMember" WHERE "userId" = $1', eve[0])
    assert (await engine.execution(execution_id))["status"] == "RUNNING"
    owners = await engine.fetch(
        """
        SELECT w."userId" AS w, e."userId" AS e FROM "Workflow" w
        JOIN "WorkflowExecution" e ON e."workflowId" = w."id"
        """
    )
    assert owners == [{"w": engine.user_id, "e": engine.user_id}]
