"""From what an author sends to what becomes of a template."""

from http import HTTPStatus
from typing import Any

from msgspec import UNSET, UnsetType

from db.pool import Conn
from db.templates import NewTemplateRow, SourceWorkflow, TemplateChanges, find_source
from ingest.parse.clean import clean_text
from service.auth.caller import Caller
from service.errors import Problem, not_found
from service.templates.content import Content, shared_content
from service.templates.schemas import NewTemplate, TemplatePatch
from service.text import one_line, storable

DEFAULT_CATEGORY = "General"


async def new_of(conn: Conn, caller: Caller, data: NewTemplate) -> tuple[NewTemplateRow, str | None]:
    """Return what is to be inserted, and the team of the workflow that it comes from."""
    has_nodes = data.nodes is not None or data.connections is not None or data.settings is not None
    if (data.workflow_id is None) == (data.nodes is None) or (data.workflow_id is not None and has_nodes):
        raise _unusable("give either workflow_id, or nodes with their connections and settings.")
    source = None if data.workflow_id is None else await _source(conn, caller, data.workflow_id)
    content = (
        shared_content(data.nodes, data.connections, data.settings) if source is None else _content_of(source)
    )
    name = data.name or (None if source is None else source.name)
    if name is None:
        raise _unusable("name: is missing.")
    description = data.description if data.description is not None else (source and source.description) or ""
    category = data.category or (source and source.category) or DEFAULT_CATEGORY
    tags = data.tags if data.tags is not None else ([] if source is None else source.tags)
    row = NewTemplateRow(
        name=one_line(name, "name"),
        description=clean_text(description),
        category=one_line(category, "category"),
        tags=_clean_tags(tags),
        price=data.price,
        is_published=data.is_published,
        nodes=content.nodes,
        connections=content.connections,
        settings=content.settings,
    )
    return row, None if source is None else source.team_id


async def changes_of(conn: Conn, caller: Caller, data: TemplatePatch) -> tuple[TemplateChanges, str | None]:
    """Return what is to be changed, and the team of the workflow that it comes from."""
    content, team_id = await _new_content(conn, caller, data)
    name, description, category = _set(data.name), _set(data.description), _set(data.category)
    tags = _set(data.tags)
    return TemplateChanges(
        name=None if name is None else one_line(name, "name"),
        description=None if description is None else clean_text(description),
        category=None if category is None else one_line(category, "category"),
        tags=None if tags is None else _clean_tags(tags),
        price=_set(data.price),
        is_published=_set(data.is_published),
        nodes=None if content is None else content.nodes,
        connections=None if content is None else content.connections,
        settings=None if content is None else content.settings,
    ), team_id


async def _new_content(conn: Conn, caller: Caller, data: TemplatePatch) -> tuple[Content | None, str | None]:
    nodes, connections, settings = _set(data.nodes), _set(data.connections), _set(data.settings)
    has_parts = nodes is not None or connections is not None or settings is not None
    if data.workflow_id is not UNSET:
        if has_parts:
            raise _unusable("give either workflow_id, or nodes with their connections and settings.")
        source = await _source(conn, caller, data.workflow_id)
        return _content_of(source), source.team_id
    if not has_parts:
        return None, None
    if nodes is None or connections is None:
        raise _unusable("nodes and connections go together: give both.")
    return shared_content(nodes, connections, settings), None


async def _source(conn: Conn, caller: Caller, workflow_id: str) -> SourceWorkflow:
    """Return a workflow of the caller's, or of a team in which they may change workflows. Raises Problem 404, 403."""
    source = await find_source(conn, caller.user_id, list(caller.roles), storable(workflow_id))
    if source is None:
        raise not_found("workflow")
    if source.team_id is not None:
        caller.require("workflows:write", source.team_id)
    return source


def _content_of(source: SourceWorkflow) -> Content:
    content = shared_content(source.nodes, source.connections, source.settings)
    if not content.nodes:
        raise _unusable("The workflow has no nodes yet.")
    return content


def _clean_tags(tags: list[str]) -> list[str]:
    return list(dict.fromkeys(one_line(tag, "tags") for tag in tags))


def _set(value: Any | UnsetType) -> Any:
    return None if value is UNSET else value


def _unusable(detail: str) -> Problem:
    return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, detail)
