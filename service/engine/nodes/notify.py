"""notify: a notification to people of the run's space; written with the node's end, so that it comes once."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import msgspec

from db.notifications import notify
from db.pool import Conn
from db.workflow_people import find_owner, list_people
from ingest.parse.clean import clean_line, clean_text
from service.engine.definition import OUTPUT
from service.engine.errors import NodeError
from service.engine.nodes.base import Call, Config, Emit, NodeType
from service.engine.nodes.text import AS_TEXT, Text, as_text

MAX_TITLE_CHARS = 200
MAX_MESSAGE_CHARS = 2_000
MAX_ADDRESSES = 100


class NotifyConfig(Config, frozen=True, kw_only=True):
    title: Annotated[
        Text, msgspec.Meta(description="In one line, of 200 characters at most.", extra_json_schema=AS_TEXT)
    ]
    message: Annotated[
        Text, msgspec.Meta(description="Of 2,000 characters at most.", extra_json_schema=AS_TEXT)
    ] = ""
    to: Annotated[
        Literal["owner", "team"] | Annotated[list[str], msgspec.Meta(min_length=1, max_length=MAX_ADDRESSES)],
        msgspec.Meta(
            description="owner, of the workflow; team, all of it; or a list of e-mail addresses of its members."
        ),
    ] = "owner"


class Notify(NodeType[NotifyConfig]):
    name = "notify"
    label = "Notify"
    description = "Notifies the workflow's owner, or people of its team."
    config = NotifyConfig
    has_effects = True

    def problems(self, data: Mapping[str, Any]) -> list[tuple[str, str]]:
        return [] if data.get("title") else [("title", "is missing: what the notification says first")]

    async def run(self, call: Call[NotifyConfig]) -> Emit:
        title = _shortened(clean_line(as_text(call.config.title)), MAX_TITLE_CHARS)
        message = _shortened(clean_text(as_text(call.config.message)), MAX_MESSAGE_CHARS)
        if not title:
            raise NodeError("title says nothing.", code="bad_config", field="data.title")
        async with call.services.pool.acquire() as conn:
            people = await _recipients(conn, call)
        about = {"workflow_id": call.run.workflow_id, "execution_id": call.run.execution_id}

        async def write(conn: Conn) -> None:
            await notify(conn, people, "SYSTEM", title, message, about)

        return Emit([(OUTPUT, call.item)], commit=write)


async def _recipients(conn: Conn, call: Call[NotifyConfig]) -> Sequence[str]:
    run, to = call.run, call.config.to
    if to == "owner":
        owner = await find_owner(conn, run.workflow_id)
        return [] if owner is None else [owner]
    if to == "team":
        return list(await list_people(conn, run.team_id, run.space_id))
    # An address that no person can have is nobody's.
    addresses = [clean_line(address).lower() for address in to]
    found = await list_people(conn, run.team_id, run.space_id, addresses)
    missing = sorted(set(addresses) - set(found.values()))
    if missing:
        raise NodeError(
            f"{', '.join(missing)}: nobody here has this address; only people of the workflow's team can be told.",
            code="not_found",
            field="data.to",
        )
    return list(found)


def _shortened(text: str, at_most: int) -> str:
    return text if len(text) <= at_most else text[: at_most - 1] + "…"
