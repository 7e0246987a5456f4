"""/v1/teams: make, list, change and delete teams, and read what was done in them."""

from http import HTTPStatus
from typing import Annotated

import msgspec
from litestar import Router, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import JSONBody, PathParameter, QueryParameter

from db import audit as audit_rows
from db import plans, teams
from db.outbox import emit
from db.pool import Pool
from db.teams import Cursor
from db.tenancy import as_caller, as_service
from service.audit import audit
from service.auth.caller import Caller
from service.cursors import decode_cursor, encode_cursor
from service.errors import Problem, not_found
from service.openapi import problems
from service.schemas import Page
from service.settings import Settings
from service.teams.invitations import invitation_routes
from service.teams.limits import require_room_for_team, require_within_plan
from service.teams.members import member_routes
from service.teams.schemas import MAX_NAME_LENGTH, AuditEntry, NewTeam, Team, TeamPatch
from service.teams.slugs import first_free, make_slug
from service.text import one_line

TeamId = Annotated[str, PathParameter(description="The team's id.", max_length=100)]
Limit = Annotated[int, QueryParameter(ge=1, le=200, description="How many to return.")]
After = Annotated[str | None, QueryParameter(max_length=500, description="next_cursor of the page before.")]


@post("/", responses=problems(402, 409, 422), summary="Make a team")
async def create_team(
    caller: NamedDependency[Caller],
    pool: NamedDependency[Pool],
    deployment: NamedDependency[Settings],
    data: JSONBody[NewTeam],
) -> Team:
    """Make a team with the caller as its owner."""
    name = one_line(data.name, "name", max_length=MAX_NAME_LENGTH)
    async with as_caller(pool, caller.subject) as conn:
        require_room_for_team(await teams.count_owned(conn, caller.user_id))
        require_within_plan(await plans.find_user_plan(conn, caller.user_id))
        slug = data.slug
        if slug is None:
            wanted = make_slug(name)
            async with as_service(conn):  # other people's slugs are theirs to see, and ours to avoid
                slug = first_free(wanted, await teams.slugs_like(conn, wanted))
        team_id = await teams.found_team(conn, name=name, slug=slug)
        async with as_service(conn):
            await teams.set_tier(conn, team_id, deployment.new_tier)
            await audit(conn, caller, "team.created", "team", team_id, team_id=team_id, name=name, slug=slug)
        row = await teams.find_team(conn, caller.user_id, team_id)
    if row is None:
        raise LookupError("a new team cannot be seen by its owner")
    return Team.from_row(row)


@get("/", responses=problems(), summary="List teams")
async def list_teams(
    caller: NamedDependency[Caller], pool: NamedDependency[Pool], limit: Limit = 50, after: After = None
) -> Page[Team]:
    """Return the caller's teams, newest first."""
    cursor = decode_cursor(after, Cursor)
    async with as_caller(pool, caller.subject) as conn:
        rows = await teams.list_teams(conn, caller.user_id, limit=limit + 1, after=cursor)
    shown, more = rows[:limit], len(rows) > limit
    return Page(
        data=[Team.from_row(row) for row in shown],
        has_more=more,
        next_cursor=encode_cursor(Cursor(shown[-1].created_at, shown[-1].id)) if more else None,
    )


@get("/{team_id:str}", responses=problems(404), summary="Get a team")
async def get_team(caller: NamedDependency[Caller], pool: NamedDependency[Pool], team_id: TeamId) -> Team:
    """Return a team of the caller's."""
    caller.require("team:read", team_id)
    return await _find(pool, caller, team_id)


@patch("/{team_id:str}", responses=problems(404, 409, 422), summary="Change a team")
async def update_team(
    caller: NamedDependency[Caller], pool: NamedDependency[Pool], team_id: TeamId, data: JSONBody[TeamPatch]
) -> Team:
    """Change name or slug."""
    caller.require("team:update", team_id)
    name = None if data.name is msgspec.UNSET else one_line(data.name, "name", max_length=MAX_NAME_LENGTH)
    slug = None if data.slug is msgspec.UNSET else data.slug
    async with as_caller(pool, caller.subject) as conn:
        if not await teams.update_team(conn, team_id, name=name, slug=slug):
            raise not_found("team")
        async with as_service(conn):
            await audit(conn, caller, "team.updated", "team", team_id, team_id=team_id, name=name, slug=slug)
            changed = {key: value for key, value in (("name", name), ("slug", slug)) if value is not None}
            await emit(conn, team_id, "team.updated", {"team_id": team_id, **changed})
    return await _find(pool, caller, team_id)


@delete("/{team_id:str}", responses=problems(404), summary="Delete a team")
async def delete_team(caller: NamedDependency[Caller], pool: NamedDependency[Pool], team_id: TeamId) -> None:
    """Delete the team. Its documents, workflows and conversations return to the people whose they are."""
    caller.require("team:delete", team_id)
    async with as_caller(pool, caller.subject) as conn:
        async with as_service(conn):
            await emit(conn, team_id, "team.deleted", {"team_id": team_id})
        if not await teams.delete_team(conn, team_id):
            raise not_found("team")
        async with as_service(conn):
            await audit(conn, caller, "team.deleted", "team", team_id, team_id=team_id)


@get("/{team_id:str}/audit", responses=problems(404), summary="Read a team's audit log")
async def list_audit(
    caller: NamedDependency[Caller],
    pool: NamedDependency[Pool],
    team_id: TeamId,
    limit: Limit = 50,
    after: After = None,
) -> Page[AuditEntry]:
    """Return who did what in the team, newest first; for its owners."""
    caller.require("audit:read", team_id)
    before_id = decode_cursor(after, int)
    if before_id is not None and not 0 <= before_id < 2**63:
        raise Problem(HTTPStatus.BAD_REQUEST, "after: not a cursor of this list.")
    async with as_caller(pool, caller.subject) as conn:
        rows = await audit_rows.list_team_audit(conn, team_id, limit=limit + 1, before_id=before_id)
    shown, more = rows[:limit], len(rows) > limit
    return Page(
        data=[AuditEntry.from_row(row) for row in shown],
        has_more=more,
        next_cursor=encode_cursor(shown[-1].id) if more else None,
    )


async def _find(pool: Pool, caller: Caller, team_id: str) -> Team:
    async with as_caller(pool, caller.subject) as conn:
        row = await teams.find_team(conn, caller.user_id, team_id)
    if row is None:
        raise not_found("team")
    return Team.from_row(row)


teams_routers = [
    Router(
        "/v1/teams",
        tags=["teams"],
        route_handlers=[
            create_team,
            list_teams,
            get_team,
            update_team,
            delete_team,
            list_audit,
            *member_routes,
        ],
    ),
    *invitation_routes,
]
