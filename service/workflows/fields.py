"""Names, labels and texts of workflows, as they are stored."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Annotated

from litestar.params import PathParameter, QueryParameter

from service.errors import Problem
from service.text import one_line, storable
from service.workflows.schemas import MAX_NAME_CHARS

WorkflowId = Annotated[str, PathParameter(description="The workflow's id.", max_length=100)]
Limit = Annotated[int, QueryParameter(ge=1, le=200, description="How many to return.")]
After = Annotated[str | None, QueryParameter(max_length=500, description="next_cursor of the page before.")]
Category = Annotated[str | None, QueryParameter(max_length=100, description="Only those of this category.")]
Tag = Annotated[str | None, QueryParameter(max_length=100, description="Only those with this tag.")]
Text = Annotated[
    str | None, QueryParameter(max_length=200, description="Only those with this in name or description.")
]


def clean_name(name: str) -> str:
    return one_line(name, "name", max_length=MAX_NAME_CHARS)


def clean_label(text: str | None, field: str) -> str | None:
    return None if text is None else one_line(text, field, max_length=100)


def clean_tags(tags: Sequence[str]) -> list[str]:
    """Return the tags, each once, in their order."""
    return list(dict.fromkeys(one_line(tag, "tags", max_length=100) for tag in tags))


def clean_description(text: str | None) -> str | None:
    if text is not None and storable(text) != text:
        raise Problem(
            HTTPStatus.UNPROCESSABLE_ENTITY, "description: holds a NUL character, or half a surrogate pair."
        )
    return text


def clean_changelog(text: str | None) -> str | None:
    return None if text is None else one_line(text, "changelog", max_length=500)
