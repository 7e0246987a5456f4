"""Workflows on the wire. Nodes, connections and settings are the platform's JSON, as they came."""

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec

from db.workflow_versions import ListedVersion, VersionRow
from db.workflows import LatestExecution, ListedRow, PublicListedRow, Status, WorkflowRow
from service.engine.validation import Issue

MAX_NAME_CHARS = 200
MAX_TAGS = 20

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_NAME_CHARS)]
Description = Annotated[str, msgspec.Meta(max_length=5_000)]
Label = Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
Tags = Annotated[list[Label], msgspec.Meta(max_length=MAX_TAGS)]
Changelog = Annotated[str, msgspec.Meta(min_length=1, max_length=500)]
TeamId = Annotated[str, msgspec.Meta(min_length=1, max_length=100, pattern=r"^[^\x00]+$")]
Revision = Annotated[int, msgspec.Meta(ge=1, le=2_147_483_647)]


class NewWorkflow(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """A draft, your own or a team's; it may be incomplete."""

    name: Name
    description: Description | None = None
    nodes: list[Any] = []
    connections: list[Any] = []
    settings: dict[str, Any] | None = None
    category: Label | None = None
    tags: Tags = []
    is_public: bool = False
    team_id: TeamId | None = None
    changelog: Changelog | None = None


class WorkflowPatch(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """What may be changed. Nodes, connections and settings come whole, with the revision that they were made from."""

    name: Name | msgspec.UnsetType = msgspec.UNSET
    description: Description | msgspec.UnsetType | None = msgspec.UNSET
    nodes: list[Any] | msgspec.UnsetType = msgspec.UNSET
    connections: list[Any] | msgspec.UnsetType = msgspec.UNSET
    settings: dict[str, Any] | msgspec.UnsetType | None = msgspec.UNSET
    status: Status | msgspec.UnsetType = msgspec.UNSET
    is_public: bool | msgspec.UnsetType = msgspec.UNSET
    category: Label | msgspec.UnsetType | None = msgspec.UNSET
    tags: Tags | msgspec.UnsetType = msgspec.UNSET
    revision: Revision | msgspec.UnsetType = msgspec.UNSET
    changelog: Changelog | None = None

    @property
    def draws(self) -> bool:
        """Whether it changes what runs."""
        return not (
            self.nodes is msgspec.UNSET
            and self.connections is msgspec.UNSET
            and self.settings is msgspec.UNSET
        )


class Clone(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """How a copy is called, and whose it is: yours, or a team's."""

    name: Name | None = None
    team_id: TeamId | None = None


class Restore(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """The revision that is replaced, where somebody else's edit is not to be lost."""

    revision: Revision | None = None


class Drawing(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """What is to be looked at."""

    nodes: list[Any] = []
    connections: list[Any] = []
    settings: dict[str, Any] | None = None


class Validation(msgspec.Struct, kw_only=True, frozen=True):
    """valid: it could be activated; there may be warnings."""

    valid: bool
    issues: list[Issue]


class Statistics(msgspec.Struct, kw_only=True, frozen=True):
    """Of all executions; canceled ones are in the total alone."""

    total: int
    successful: int
    failed: int
    last_executed_at: datetime | None

    @classmethod
    def from_row(cls, row: WorkflowRow | ListedRow) -> "Statistics":
        return cls(
            total=row.total,
            successful=row.successful,
            failed=row.failed,
            last_executed_at=row.last_executed_at,
        )


class Schedule(msgspec.Struct, kw_only=True, frozen=True):
    cron: str
    timezone: str
    next_run_at: datetime | None
    last_run_at: datetime | None
    last_problem: str | None
    """Why its last tick started nothing."""


class Trigger(msgspec.Struct, kw_only=True, frozen=True):
    """What starts the workflow. The addresses of a webhook are for those who may run it."""

    node_id: str | None
    kind: Literal["manual", "webhook", "schedule", "api", "event"]
    is_active: bool
    url: str | None
    test_url: str | None
    """Runs the draft, active or not."""
    event: str | None
    schedule: Schedule | None


class _Common(msgspec.Struct, kw_only=True, frozen=True):
    id: str
    name: str
    description: str | None
    status: Status
    is_active: bool
    is_public: bool
    category: str | None
    tags: list[str]
    team_id: str | None
    user_id: str
    revision: int
    """Goes up with every change; PATCH names the one that was seen."""
    version: int | None
    """The newest version of nodes and connections."""
    statistics: Statistics
    created_at: datetime
    updated_at: datetime
    published_at: datetime | None
    """When it was first activated."""


class Workflow(_Common, kw_only=True, frozen=True):
    """A workflow as it is drawn, and what stands against running it."""

    nodes: Any
    connections: Any
    settings: Any
    triggers: list[Trigger]
    issues: list[Issue]


class ListedWorkflow(_Common, kw_only=True, frozen=True):
    """A workflow of a list, without what is drawn."""

    node_count: int
    latest_executions: list[LatestExecution]

    @classmethod
    def from_row(cls, row: ListedRow) -> "ListedWorkflow":
        return cls(**common_fields(row), node_count=row.node_count, latest_executions=row.latest_executions)


def common_fields(row: WorkflowRow | ListedRow) -> dict[str, Any]:
    names = [name for name in _Common.__struct_fields__ if name != "statistics"]
    return {name: getattr(row, name) for name in names} | {"statistics": Statistics.from_row(row)}


class Version(msgspec.Struct, kw_only=True, frozen=True):
    version: int
    changelog: str | None
    node_count: int
    created_at: datetime

    @classmethod
    def from_row(cls, row: ListedVersion) -> "Version":
        return cls(**msgspec.structs.asdict(row))


class VersionDetail(msgspec.Struct, kw_only=True, frozen=True):
    version: int
    changelog: str | None
    nodes: Any
    connections: Any
    created_at: datetime

    @classmethod
    def from_row(cls, row: VersionRow) -> "VersionDetail":
        return cls(**msgspec.structs.asdict(row))


class PublicListed(msgspec.Struct, kw_only=True, frozen=True):
    """A public workflow of a list."""

    id: str
    name: str
    description: str | None
    category: str | None
    tags: list[str]
    node_count: int
    created_at: datetime
    updated_at: datetime

    @classmethod
    def from_row(cls, row: PublicListedRow) -> "PublicListed":
        return cls(**msgspec.structs.asdict(row))


class PublicWorkflow(msgspec.Struct, kw_only=True, frozen=True):
    """A public workflow, without credentials."""

    id: str
    name: str
    description: str | None
    category: str | None
    tags: list[str]
    nodes: Any
    connections: Any
    settings: Any
    created_at: datetime
    updated_at: datetime


class Imported(msgspec.Struct, kw_only=True, frozen=True):
    """The new draft, and what could not be taken over as it was."""

    workflow: Workflow
    notes: list[str]
