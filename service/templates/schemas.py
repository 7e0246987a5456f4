"""Templates on the wire."""

from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from db.templates import TemplateContent, TemplateRow

Name = Annotated[str, Meta(min_length=1, max_length=200)]
Description = Annotated[str, Meta(max_length=5_000)]
Category = Annotated[str, Meta(min_length=1, max_length=100)]
Tags = Annotated[list[Annotated[str, Meta(min_length=1, max_length=50)]], Meta(max_length=20)]
Price = Annotated[float, Meta(ge=0, le=1_000_000)]
Nodes = Annotated[list[dict[str, Any]], Meta(min_length=1)]
Connections = list[dict[str, Any]]


class NewTemplate(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Of a workflow, whose name, description, category and tags it has where they are not given; or of nodes."""

    workflow_id: str | None = None
    nodes: Nodes | None = None
    connections: Connections | None = None
    settings: dict[str, Any] | None = None
    name: Name | None = None
    description: Description | None = None
    category: Category | None = None
    tags: Tags | None = None
    price: Price = 0.0
    is_published: bool = True


class TemplatePatch(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """What may be changed; workflow_id, or nodes with connections and settings, replace the workflow as a whole."""

    workflow_id: str | UnsetType = UNSET
    nodes: Nodes | UnsetType = UNSET
    connections: Connections | UnsetType = UNSET
    settings: dict[str, Any] | UnsetType = UNSET
    name: Name | UnsetType = UNSET
    description: Description | UnsetType = UNSET
    category: Category | UnsetType = UNSET
    tags: Tags | UnsetType = UNSET
    price: Price | UnsetType = UNSET
    is_published: bool | UnsetType = UNSET


class NewClone(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """The workflow's name, unset: the template's; and its team, unset: it is your own."""

    name: Name | None = None
    team_id: str | None = None


class Cloned(msgspec.Struct, kw_only=True, frozen=True):
    workflow_id: str


class NewRating(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    stars: Annotated[int, Meta(ge=1, le=5)]


class Template(msgspec.Struct, kw_only=True, frozen=True):
    """A template without its workflow. rating is the mean of its reviews, null without any."""

    id: str
    name: str
    description: str
    category: str
    tags: list[str]
    price: float
    downloads: int
    rating: float | None
    reviews: int
    author_id: str
    author_name: str
    is_featured: bool
    is_published: bool
    created_at: datetime
    updated_at: datetime

    @classmethod
    def from_row(cls, row: TemplateRow) -> "Template":
        return cls(**_fields(row))


class TemplateDetail(Template, kw_only=True, frozen=True):
    """A template with its workflow; null where it has a price, and is somebody else's."""

    nodes: list[Any] | None
    connections: list[Any] | None
    settings: dict[str, Any] | None

    @classmethod
    def for_reader(cls, row: TemplateContent, user_id: str) -> "TemplateDetail":
        if row.price > 0 and row.author_id != user_id:
            return cls(**_fields(row), nodes=None, connections=None, settings=None)
        return cls(
            **_fields(row),
            # The web application's own seed has {} where there is nothing.
            nodes=row.nodes if isinstance(row.nodes, list) else [],
            connections=row.connections if isinstance(row.connections, list) else [],
            settings=row.settings if isinstance(row.settings, dict) else {},
        )


def _fields(row: TemplateRow) -> dict[str, Any]:
    return {name: getattr(row, name) for name in TemplateRow.__struct_fields__}
