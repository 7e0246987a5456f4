"""Executions on the wire."""

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec

from db.execution_history import ExecutionDetail, ExecutionRow, LogRow, WaitingRow

Status = Literal["RUNNING", "SUCCESS", "FAILED", "CANCELED", "TIMEOUT"]
Cause = Literal["manual", "schedule", "webhook", "api", "event", "workflow", "error"]
Items = Annotated[list[Any], msgspec.Meta(max_length=1_000)]


class RunBody(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """What a workflow is started with. pinned: outputs that nodes are taken to give, instead of running."""

    input: Any = None
    start_node: str | None = None
    pinned: Annotated[dict[str, Items], msgspec.Meta(max_length=200)] | None = None


class RunNodeBody(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """The items that a single node is run with, and what others are taken to have given."""

    input: Any = None
    pinned: Annotated[dict[str, Items], msgspec.Meta(max_length=200)] | None = None


class ResumeBody(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """The answer that a wait node has waited for. node_id unset: the one that has waited longest."""

    reply: Any = None
    node_id: str | None = None


class Execution(msgspec.Struct, kw_only=True, frozen=True):
    """A run of a workflow; duration_ms from its start to its end."""

    id: str
    workflow_id: str
    workflow_name: str
    user_id: str
    team_id: str | None
    status: Status
    started_at: datetime
    finished_at: datetime | None
    duration_ms: int | None
    triggered_by: str | None
    retry_count: int
    retry_of: str | None
    parent_execution_id: str | None
    version: int | None

    @classmethod
    def from_row(cls, row: ExecutionRow) -> "Execution":
        return cls(**_fields(row))


class WaitingFor(msgspec.Struct, kw_only=True, frozen=True):
    """What a node waits for: a time, a reply, or another execution."""

    node_id: str
    iteration: str | None
    kind: Literal["time", "reply", "execution"]
    until: datetime | None
    execution_id: str | None


class ExecutionWithData(Execution, kw_only=True, frozen=True):
    """With what it was given, what it gave, why it failed, and what it waits for."""

    input: Any
    output: Any
    error: Any
    waiting: list[WaitingFor]

    @classmethod
    def from_detail(cls, row: ExecutionDetail, waiting: list[WaitingRow]) -> "ExecutionWithData":
        return cls(
            **_fields(row),
            input=row.input_data,
            output=row.output_data,
            error=row.error_data,
            waiting=[one for step in waiting for one in _waits(step)],
        )


class LogEntry(msgspec.Struct, kw_only=True, frozen=True):
    """What happened: position counts from 0, and is what a page goes on after."""

    position: int
    entry: dict[str, Any]

    @classmethod
    def from_row(cls, row: LogRow) -> "LogEntry":
        return cls(position=row.place, entry=row.entry)


class Started(msgspec.Struct, kw_only=True, frozen=True):
    """An execution that has been queued."""

    execution_id: str
    status: Status


def _fields(row: ExecutionRow) -> dict[str, Any]:
    return {
        "id": row.id,
        "workflow_id": row.workflow_id,
        "workflow_name": row.workflow_name,
        "user_id": row.user_id,
        "team_id": row.team_id,
        "status": row.status,
        "started_at": row.started_at,
        "finished_at": row.finished_at,
        "duration_ms": row.duration,
        "triggered_by": row.triggered_by,
        "retry_count": row.retry_count,
        "retry_of": row.retry_of,
        "parent_execution_id": row.parent_execution_id,
        "version": row.version,
    }


def _waits(step: WaitingRow) -> list[WaitingFor]:
    return [
        WaitingFor(
            node_id=step.node_id,
            iteration=step.iteration or None,
            kind=one["for"],
            until=None if not one.get("until") else datetime.fromisoformat(one["until"]),
            execution_id=one.get("execution_id"),
        )
        for one in step.waiting.values()
        if one.get("for") in {"time", "reply", "execution"}
    ]
