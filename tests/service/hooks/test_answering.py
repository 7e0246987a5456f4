"""What a webhook is answered with, when the run ends in the moment that somebody looks."""

import asyncio
from pathlib import Path

from db.events import Events
from db.pool import Conn
from service.hooks.answering import Answerers
from tests.locks import until_waiting
from tests.service.engine.conftest import node, open_engine


async def test_a_run_that_ends_between_two_looks_has_answered(
    database_url: str, conn: Conn, tmp_path: Path
) -> None:
    async with open_engine(database_url, tmp_path / "home") as engine, Events().listen(engine.pool) as events:
        drawn = await engine.draw([node("hook", "trigger", {"kind": "webhook"})], [])
        execution_id = await engine.start(drawn, triggered_by="webhook")
        async with conn.transaction():
            # Who looks gets as far as the execution, and no further until it has ended.
            await conn.execute('LOCK TABLE "WorkflowExecution" IN ACCESS EXCLUSIVE MODE')
            looking = asyncio.create_task(Answerers(engine.pool, events).by_response(execution_id))
            await until_waiting(conn, unless=looking)
            await conn.execute("""UPDATE workflow_run SET response = '{"status": 201, "body": "made"}'""")
            await conn.execute("""UPDATE "WorkflowExecution" SET "status" = 'SUCCESS' """)
        answer = await looking
        assert (answer.status_code, answer.content) == (201, b"made")
