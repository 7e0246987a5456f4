"""Workflows as files: ours, and those that n8n exported."""

from http import HTTPStatus
from typing import Annotated, Any, Literal

import msgspec

from service.errors import Problem
from service.workflows.n8n import convert_workflow, is_n8n
from service.workflows.schemas import MAX_TAGS, Description, Label

FORMAT: Literal["docsearch.workflow"] = "docsearch.workflow"
FORMAT_VERSION = 1


class WorkflowFile(msgspec.Struct, kw_only=True, frozen=True):
    """A workflow as a file has it."""

    format: Literal["docsearch.workflow"] = FORMAT
    version: int = FORMAT_VERSION
    name: str = "Imported workflow"
    description: Description | None = None
    nodes: list[Any] = []
    connections: list[Any] = []
    settings: dict[str, Any] | None = None
    category: Label | None = None
    tags: Annotated[list[str], msgspec.Meta(max_length=MAX_TAGS)] = []


def read_file(data: dict[str, Any]) -> tuple[WorkflowFile, list[str]]:
    """Return what a file says in our form, and what is lost. Raises Problem 422."""
    if is_n8n(data):
        converted = convert_workflow(data)
        return (
            WorkflowFile(
                name=converted.name,
                nodes=converted.nodes,
                connections=converted.connections,
                settings=converted.settings,
                tags=converted.tags[:MAX_TAGS],
            ),
            converted.notes,
        )
    if "nodes" not in data or data.get("format", FORMAT) != FORMAT:
        raise Problem(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "This is no file of a workflow: send what GET /v1/workflows/{workflow_id}/export returns, or a workflow "
            "that n8n exported.",
        )
    try:
        file = msgspec.convert(data, WorkflowFile)
    except msgspec.ValidationError as exc:
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"The file cannot be read: {exc}.") from exc
    if file.version > FORMAT_VERSION:
        raise Problem(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            f"The file has the form {file.version}; {FORMAT_VERSION} is what this version of docsearch reads.",
        )
    return file, []
