"""/v1/templates: workflows that people show to all; publishing, cloning and rating them."""

from http import HTTPStatus
from typing import Annotated

from litestar import Response, Router, delete, get, patch, post, put
from litestar.di import NamedDependency
from litestar.params import JSONBody, PathParameter, QueryParameter

from db import templates
from db.pool import Conn, Pool
from db.templates import Cursor, Sort, TemplateContent
from db.tenancy import as_caller, as_service
from service.audit import audit
from service.auth.caller import Caller
from service.cursors import decode_cursor, encode_cursor
from service.errors import Problem, not_found
from service.openapi import problems
from service.schemas import Page
from service.templates.cloning import clone
from service.templates.publishing import changes_of, new_of
from service.templates.schemas import (
    Cloned,
    NewClone,
    NewRating,
    NewTemplate,
    Template,
    TemplateDetail,
    TemplatePatch,
)

TemplateId = Annotated[str, PathParameter(description="The template's id.", max_length=100)]
Limit = Annotated[int, QueryParameter(ge=1, le=200, description="How many to return.")]
After = Annotated[str | None, QueryParameter(max_length=500, description="next_cursor of the page before.")]
Category = Annotated[str | None, QueryParameter(max_length=100, description="Only of this category.")]
Tag = Annotated[str | None, QueryParameter(max_length=50, description="Only with this tag.")]
Words = Annotated[
    str | None,
    QueryParameter(
        max_length=200, description="Words, each of which is in the name, the description or a tag."
    ),
]
Featured = Annotated[bool | None, QueryParameter(description="Only those that are featured, or are not.")]
Mine = Annotated[bool, QueryParameter(description="Your own instead, published or not.")]
SortBy = Annotated[
    Sort,
    QueryParameter(
        description="popular: featured first, then by downloads; new: newest first; rated: best first."
    ),
]
_CLONE_AS_IS = NewClone()


@get("/", responses=problems(), summary="List templates")
async def list_templates(
    caller: NamedDependency[Caller],
    pool: NamedDependency[Pool],
    limit: Limit = 50,
    after: After = None,
    category: Category = None,
    tag: Tag = None,
    q: Words = None,
    featured: Featured = None,
    mine: Mine = False,
    sort: SortBy = "popular",
) -> Page[Template]:
    """Return the published templates of all, or with mine your own, without their workflows."""
    cursor = decode_cursor(after, Cursor)
    if cursor is not None and cursor.sort != sort:
        raise Problem(HTTPStatus.BAD_REQUEST, "after: not a cursor of this list.")
    async with as_caller(pool, caller.subject) as conn, as_service(conn):
        # As the service, as in _find: by SQL only its author sees a template with a price (migration 0011).
        rows = await templates.list_templates(
            conn,
            author_id=caller.user_id if mine else None,
            category=category,
            tag=tag,
            words=(q or "").split(),
            featured=featured,
            sort=sort,
            limit=limit + 1,
            after=cursor,
        )
    shown, more = rows[:limit], len(rows) > limit
    return Page(
        data=[Template.from_row(row) for row in shown],
        has_more=more,
        next_cursor=encode_cursor(Cursor.after(shown[-1], sort)) if more else None,
    )


@get("/{template_id:str}", responses=problems(404), summary="Get a template")
async def get_template(
    caller: NamedDependency[Caller], pool: NamedDependency[Pool], template_id: TemplateId
) -> TemplateDetail:
    """Return a template with its nodes, connections and settings."""
    async with as_caller(pool, caller.subject) as conn:
        return TemplateDetail.for_reader(await _find(conn, caller, template_id), caller.user_id)


@post("/", responses=problems(404, 422), summary="Publish a template")
async def create_template(
    caller: NamedDependency[Caller], pool: NamedDependency[Pool], data: JSONBody[NewTemplate]
) -> Response[TemplateDetail]:
    """Make a template of a workflow of yours or of your team's, or of nodes; its credentials stay behind."""
    async with as_caller(pool, caller.subject) as conn:
        new, team_id = await new_of(conn, caller, data)
        template_id = await templates.insert_template(conn, caller.user_id, new)
        row = await _find(conn, caller, template_id)
        async with as_service(conn):
            # What a team's workflow does is seen by all from now on: its owners find out who did that.
            await audit(
                conn,
                caller,
                "template.created",
                "template",
                row.id,
                team_id=team_id,
                workflow_id=data.workflow_id,
                is_published=row.is_published,
            )
    return Response(
        TemplateDetail.for_reader(row, caller.user_id), headers={"Location": f"/v1/templates/{row.id}"}
    )


@patch("/{template_id:str}", responses=problems(404, 422), summary="Change a template")
async def update_template(
    caller: NamedDependency[Caller],
    pool: NamedDependency[Pool],
    template_id: TemplateId,
    data: JSONBody[TemplatePatch],
) -> TemplateDetail:
    """Change what is given, as its author; is_published takes it from the list, and puts it there again."""
    async with as_caller(pool, caller.subject) as conn:
        await _find_own(conn, caller, template_id)
        changes, team_id = await changes_of(conn, caller, data)
        await templates.update_template(conn, caller.user_id, template_id, changes)
        row = await _find(conn, caller, template_id)
        async with as_service(conn):
            await audit(
                conn,
                caller,
                "template.updated",
                "template",
                row.id,
                team_id=team_id,
                is_published=row.is_published,
            )
    return TemplateDetail.for_reader(row, caller.user_id)


@delete("/{template_id:str}", responses=problems(404), summary="Delete a template")
async def delete_template(
    caller: NamedDependency[Caller], pool: NamedDependency[Pool], template_id: TemplateId
) -> None:
    """Remove a template, as its author, with its ratings; workflows that were cloned from it stay."""
    async with as_caller(pool, caller.subject) as conn:
        await _find_own(conn, caller, template_id)
        await templates.delete_template(conn, caller.user_id, template_id)
        async with as_service(conn):
            await audit(conn, caller, "template.deleted", "template", template_id)


@post("/{template_id:str}/clone", responses=problems(402, 404, 422), summary="Clone a template")
async def clone_template(
    caller: NamedDependency[Caller],
    pool: NamedDependency[Pool],
    template_id: TemplateId,
    data: JSONBody[NewClone] = _CLONE_AS_IS,
) -> Response[Cloned]:
    """Make a workflow like the template, a draft of yours or of a team's, and count a download.

    A template with a price is its author's alone to clone: nothing can be paid here.
    """
    if data.team_id is not None:
        caller.require("workflows:write", data.team_id)
    async with as_caller(pool, caller.subject) as conn:
        row = await _find(conn, caller, template_id)
        workflow_id = await clone(conn, caller, row, data)
    return Response(Cloned(workflow_id=workflow_id), headers={"Location": f"/v1/workflows/{workflow_id}"})


@put("/{template_id:str}/rating", responses=problems(404), summary="Rate a template")
async def rate_template(
    caller: NamedDependency[Caller],
    pool: NamedDependency[Pool],
    template_id: TemplateId,
    data: JSONBody[NewRating],
) -> Template:
    """Give it stars, in the place of those that you have given before; not to a template of your own."""
    async with as_caller(pool, caller.subject) as conn:
        row = await _find(conn, caller, template_id)
        if row.author_id == caller.user_id:
            raise Problem(HTTPStatus.FORBIDDEN, "This template is your own: others rate it.")
        async with as_service(conn):
            await templates.rate_template(conn, caller.user_id, template_id, data.stars)
        return Template.from_row(await _find(conn, caller, template_id))


@delete("/{template_id:str}/rating", responses=problems(404), summary="Take a rating back")
async def delete_rating(
    caller: NamedDependency[Caller], pool: NamedDependency[Pool], template_id: TemplateId
) -> None:
    """Remove the stars that you have given, also to a template that is published no more."""
    async with as_caller(pool, caller.subject) as conn:
        if not await templates.delete_rating(conn, caller.user_id, template_id):
            raise not_found("rating")


async def _find(conn: Conn, caller: Caller, template_id: str) -> TemplateContent:
    async with as_service(conn):
        row = await templates.find_template(conn, caller.user_id, template_id)
    if row is None:
        raise not_found("template")
    return row


async def _find_own(conn: Conn, caller: Caller, template_id: str) -> TemplateContent:
    row = await _find(conn, caller, template_id)
    if row.author_id != caller.user_id:
        raise Problem(HTTPStatus.FORBIDDEN, "This template is somebody else's: only its author changes it.")
    return row


templates_router = Router(
    "/v1/templates",
    tags=["templates"],
    route_handlers=[
        list_templates,
        get_template,
        create_template,
        update_template,
        delete_template,
        clone_template,
        rate_template,
        delete_rating,
    ],
)
