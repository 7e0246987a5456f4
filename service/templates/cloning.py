"""From a template to a workflow."""

from http import HTTPStatus

from db.pool import Conn
from db.templates import TemplateContent, count_download
from db.tenancy import as_service
from db.workflow_versions import ensure_version
from db.workflows import insert_workflow
from service.audit import audit
from service.auth.caller import Caller
from service.engine.trigger_rows import sync_triggers
from service.errors import Problem
from service.templates.content import shared_content
from service.templates.schemas import NewClone
from service.text import one_line


async def clone(conn: Conn, caller: Caller, template: TemplateContent, wanted: NewClone) -> str:
    """Return the id of a draft like the template, made and counted in the caller's transaction. Raises Problem 402."""
    if template.price > 0 and template.author_id != caller.user_id:
        raise Problem(
            HTTPStatus.PAYMENT_REQUIRED,
            f"This template costs {template.price:,.2f}, and nothing can be paid here: only its author clones it.",
            price=template.price,
        )
    # Once more: the web application may have written the template.
    content = shared_content(template.nodes, template.connections, template.settings)
    workflow_id = await insert_workflow(
        conn,
        user_id=caller.user_id,
        team_id=wanted.team_id,
        name=template.name if wanted.name is None else one_line(wanted.name, "name"),
        nodes=content.nodes,
        connections=content.connections,
        settings=dict(content.settings),
        description=template.description,
        category=template.category,
        tags=template.tags,
        is_public=False,
    )
    async with as_service(conn):
        await ensure_version(conn, workflow_id, f"Cloned from the template {template.name}")
        await sync_triggers(conn, workflow_id, content.definition, active=False)
        await audit(
            conn,
            caller,
            "workflow.created",
            "workflow",
            workflow_id,
            team_id=wanted.team_id,
            template_id=template.id,
        )
        # Last, since it holds the template's row, and others clone it too.
        await count_download(conn, template.id)
    return workflow_id
