"""How a webhook is answered: at once, by what the run gives, or by its respond node."""

import asyncio
import contextlib
import time
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import msgspec
from litestar import Response

from db import workflow_runs
from db.events import Events
from db.pool import Pool
from db.workflow_runs import Child
from service.errors import Problem

WAIT_S = 60.0
"""So long a caller is kept waiting; then it is told which execution to look at."""
_LOOK_S = 5.0
# What a workflow answers is somebody's, on an address of ours: it must not run as a page of ours.
_GUARDS = {"content-security-policy": "sandbox; default-src 'none'", "x-content-type-options": "nosniff"}
_JSON = "application/json"
_TEXT = "text/plain; charset=utf-8"
_WITHOUT_CONTENT = frozenset({HTTPStatus.NO_CONTENT, HTTPStatus.RESET_CONTENT, HTTPStatus.NOT_MODIFIED})
"""Statuses whose answers have no body (RFC 9110, 15.3.5, 15.3.6, 15.4.5)."""


@dataclass(frozen=True, slots=True)
class Answerers:
    pool: Pool
    events: Events

    async def by_output(self, execution_id: str) -> Response[bytes]:
        """Answer with the run's output, 500 where it failed, 202 where it takes too long."""
        ended = await self._ended(execution_id)
        if ended is None:
            return accepted(execution_id)
        if ended.status == "SUCCESS":
            return _json(ended.output, HTTPStatus.OK, execution_id)
        raise _failed(ended, execution_id)

    async def by_response(self, execution_id: str) -> Response[bytes]:
        """Answer with what a respond node says; 202 where none does in time, 204 where the run ends without one."""
        deadline = time.monotonic() + WAIT_S
        with self.events.watch_execution(execution_id) as changed:
            while True:
                changed.clear()
                async with self.pool.acquire() as conn:
                    # In this order: of a run that has ended, every answer is there to be seen.
                    child = (await workflow_runs.find_children(conn, [execution_id])).get(execution_id)
                    given = await workflow_runs.find_response(conn, execution_id)
                if given is not None:
                    return _given(given, execution_id)
                if child is None or child.status == "SUCCESS":
                    return Response(b"", status_code=HTTPStatus.NO_CONTENT, headers=_headers(execution_id))
                if child.status != "RUNNING":
                    raise _failed(child, execution_id)
                left = deadline - time.monotonic()
                if left <= 0 or self.events.closed:
                    return accepted(execution_id)
                await _changed_within(changed, min(left, _LOOK_S))

    async def _ended(self, execution_id: str) -> Child | None:
        deadline = time.monotonic() + WAIT_S
        with self.events.watch_execution(execution_id) as changed:
            while True:
                changed.clear()
                async with self.pool.acquire() as conn:
                    child = (await workflow_runs.find_children(conn, [execution_id])).get(execution_id)
                if child is not None and child.status != "RUNNING":
                    return child
                left = deadline - time.monotonic()
                if child is None or left <= 0 or self.events.closed:
                    return None
                await _changed_within(changed, min(left, _LOOK_S))


def accepted(execution_id: str) -> Response[bytes]:
    return _json({"execution_id": execution_id}, HTTPStatus.ACCEPTED, execution_id)


def _failed(child: Child, execution_id: str) -> Problem:
    """Say that the run failed, and where to look; what went wrong inside is its owner's to know."""
    return Problem(
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "The workflow did not succeed.",
        execution_id=execution_id,
        execution_status=child.status,
    )


def _given(given: dict[str, Any], execution_id: str) -> Response[bytes]:
    """Return what a respond node says: its Cache-Control and Content-Type before ours, our guards before its own."""
    status, body = int(given.get("status") or HTTPStatus.OK), given.get("body")
    named = {str(name).lower(): str(value) for name, value in (given.get("headers") or {}).items()}
    headers = {"cache-control": "no-store"} | named | _ours(execution_id)
    if status in _WITHOUT_CONTENT:
        kept = {name: value for name, value in headers.items() if name != "content-type"}
        return Response(b"", status_code=status, headers=kept)
    # Given as a header: to a media type of texts the framework adds a charset, also where it has one.
    headers.setdefault("content-type", _TEXT if isinstance(body, str) else _JSON)
    encoded = body.encode() if isinstance(body, str) else msgspec.json.encode(body)
    return Response(encoded, status_code=status, headers=headers)


def _json(value: Any, status: HTTPStatus, execution_id: str) -> Response[bytes]:
    return Response(
        msgspec.json.encode(value),
        status_code=status,
        media_type=_JSON,
        headers=_headers(execution_id),
    )


def _headers(execution_id: str) -> dict[str, str]:
    return {"cache-control": "no-store"} | _ours(execution_id)


def _ours(execution_id: str) -> dict[str, str]:
    """Return the headers that no node may change."""
    return {**_GUARDS, "x-execution-id": execution_id}


async def _changed_within(changed: asyncio.Event, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(changed.wait(), timeout=seconds)
