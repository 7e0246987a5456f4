"""The run as a caller: it acts for its person, in one space, and in no other that the person may see."""

from collections.abc import Sequence

from db.collections import find_spaces
from db.pool import Pool
from service.auth.access import Role
from service.auth.caller import ALL_SCOPES, Caller
from service.engine.errors import NodeError
from service.engine.nodes.base import RunContext


def caller_of(run: RunContext) -> Caller:
    """Return who pays and is named in the log: the person, with the team's documents where it is a team's workflow."""
    return Caller(
        user_id=run.user_id,
        subject=run.subject,
        key_id=None,
        expires_at=None,
        scopes=ALL_SCOPES,
        roles={} if run.team_id is None else {run.team_id: Role.MEMBER},
    )


async def search_spaces(pool: Pool, run: RunContext, collection_ids: Sequence[str] | None) -> tuple[str, ...]:
    """Return the run's one space. Raises NodeError for collections that are not of it."""
    if collection_ids is not None:
        async with pool.acquire() as conn:
            found = await find_spaces(conn, [run.space_id], collection_ids)
        if {collection.id for collection in found if not collection.is_expired} != set(collection_ids):
            raise NodeError(
                "A collection is not there, or has expired.", code="not_found", field="data.collectionIds"
            )
    return (run.space_id,)
