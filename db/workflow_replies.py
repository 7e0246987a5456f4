"""Answers that come by a run's own address: for the first wait of the run that asks for one, and for no later one."""

from db.pool import Conn


async def find_first_wait(conn: Conn, execution_id: str) -> str | None:
    """Return the node that was the first to wait for a reply, and hold its step; None once it waits no more.

    conn is the service's, in a transaction. Which step that is, a trigger has noted (migration 0011).
    """
    # The run before its step, as its worker holds them: the two must not wait for each other.
    await conn.execute("SELECT FROM workflow_run WHERE execution_id = $1 FOR NO KEY UPDATE", execution_id)
    node_id: str | None = await conn.fetchval(
        """
        SELECT s.node_id FROM workflow_run r
        JOIN workflow_step s ON s.execution_id = r.execution_id AND s.node_id = r.reply_node
             AND s.iteration = r.reply_iteration
        WHERE r.execution_id = $1 AND r.state <> 'ended' AND s.status = 'waiting'
        FOR UPDATE OF s
        """,
        execution_id,
    )
    return node_id
