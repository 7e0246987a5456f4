"""What a knowledge_id of Dify's stands for: the part of what the caller may see that is searched."""

from dataclasses import dataclass

from db.pool import Pool
from service.auth.caller import Caller
from service.errors import not_found
from service.searching import open_collections

ALL = "all"
STORE_PREFIX = "vs_"


@dataclass(frozen=True, slots=True)
class Knowledge:
    """team_id is whose usage a search is, where it is one team's."""

    spaces: tuple[str, ...]
    team_id: str | None = None
    collection_ids: tuple[str, ...] | None = None


async def find_knowledge(pool: Pool, caller: Caller, knowledge_id: str) -> Knowledge:
    """Return what is searched: all that the caller may see, one team's, or one vector store.

    Raises Problem 404 for what is not there and for what is somebody else's, 422 for a store that has expired.
    """
    if knowledge_id == ALL:
        return Knowledge(caller.spaces)
    if knowledge_id.startswith(STORE_PREFIX):
        (store,) = await open_collections(pool, caller, [knowledge_id])
        return Knowledge((store.space_id,), store.team_id, (store.id,))
    if knowledge_id not in caller.roles:
        raise not_found("knowledge")
    caller.require("search", knowledge_id)
    return Knowledge((knowledge_id,), knowledge_id)
