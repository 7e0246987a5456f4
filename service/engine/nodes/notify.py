"""A notification to people of the workflow's owner or team."""

from typing import Annotated, Literal

from msgspec import Meta

from db.notifications import notify
from db.people import find_members
from db.pool import Conn
from service.engine.errors import NodeError
from service.engine.nodes.base import Call, Config, Emit, NodeType


class NotifyConfig(Config, frozen=True, kw_only=True):
    title: Annotated[str, Meta(min_length=1, max_length=200, description="A line.")]
    message: Annotated[str, Meta(min_length=1, max_length=4_000, description="What it says.")]
    to: Annotated[
        Literal["owner", "team"] | list[str],
        Meta(
            description="The workflow's person; all members of its team; or e-mail addresses of some of them."
        ),
    ] = "owner"


class Notify(NodeType[NotifyConfig]):
    name = "notify"
    label = "Notify"
    description = "Puts a notification into the inbox of the workflow's person, or of members of its team."
    config = NotifyConfig
    has_effects = True

    async def run(self, call: Call[NotifyConfig]) -> Emit:
        config, run = call.config, call.run
        wanted = None if isinstance(config.to, str) else [address.lower() for address in config.to]
        if config.to == "owner" or (run.team_id is None and wanted is None):
            people = [run.user_id]
        else:
            async with call.services.pool.acquire() as conn:
                people = await find_members(conn, run.space_id, wanted)
        if not people:
            raise NodeError(
                "Nobody of the workflow's team has such an address.", code="not_found", field="data.to"
            )
        data = {"workflow_id": run.workflow_id, "execution_id": run.execution_id, "team_id": run.team_id}

        async def write(conn: Conn) -> None:
            await notify(conn, people, "SYSTEM", config.title, config.message, data)

        return Emit([("output", call.item)], commit=write)
