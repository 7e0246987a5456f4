"""Where a run's steps are written down, each under the number of its turn."""

import asyncio
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from db import executions, workflow_runs, workflow_steps
from db.errors import Refused
from db.jobs import enqueue_run
from db.pool import Conn
from db.tenancy import as_system
from db.workflow_runs import ClaimedRun
from db.workflow_steps import LogEntry, StepItemRow, StepRow
from service.engine.errors import NodeError
from service.engine.nodes.base import CallWorkflow
from service.engine.run.log import RunLog
from service.engine.run.turn import Output, RunInterrupted, TurnResult
from service.engine.services import Services
from service.engine.starting import Parent, StartLimits, TooDeep, start_execution
from service.engine.values import storable

_ROOTS = uuid.UUID("5e0d6a0c-9b7b-4a53-8a3c-2f6f0f6d1c9e")


class RunLedger:
    """Writes for one turn at one run. Raises RunInterrupted where the run is not ours any more."""

    def __init__(self, services: Services, claimed: ClaimedRun, log: RunLog) -> None:
        self._services = services
        self._claimed = claimed
        self._log = log
        self._deferred: list[StepRow] = []
        self.lock = asyncio.Lock()
        """One at a time: what was taken to be written down is there before anything that rests on it."""
        self._is_fruitful = False
        self._has_rows = claimed.epoch > 1 or bool(claimed.steps)

    def defer(self, step: StepRow) -> None:
        """Note a step that is written down with the next one that is not deferred, or a moment later.

        For what was skipped, and for nodes that touch nothing but items: where a worker dies in between, the next one
        does them again, and comes to the same.
        """
        self._deferred.append(step)

    async def settle(self) -> None:
        """Write down what was deferred, before something is done that rests on it."""
        async with self.lock:
            if self._deferred:
                async with self._services.pool.acquire() as conn:
                    await self._write(conn, [])

    async def write(self, step: StepRow, result: TurnResult) -> StepRow:
        """Write a step down, with what is to happen in the same transaction; return it as it is written.

        Raises Refused where a plan does not allow what the step would change; nothing is changed then.
        """
        async with self.lock:
            return await self._write_turn(step, result)

    async def _write_turn(self, step: StepRow, result: TurnResult) -> StepRow:
        if not result.commits and not result.waiting:
            async with self._services.pool.acquire() as conn:
                await self._write(conn, [step])
            return step
        async with as_system(self._services.pool) as conn:
            for index, commit in result.commits:
                item = await commit(conn)
                if item is not None:
                    first, *rest = result.finished[index]
                    result.finished[index] = [
                        (first[0], first[1], storable(item, "What a node gives")),
                        *rest,
                    ]
            if result.commits and not result.waiting:
                step = msgspec.structs.replace(step, outputs=result.outputs)
            await self._write(conn, [step])
            if result.waiting:
                for index, outputs in result.finished.items():
                    await self._keep(conn, step.node_id, step.iteration, index, outputs)
        return step

    async def keep_item(self, node_id: str, iteration: str, index: int, outputs: Sequence[Output]) -> None:
        async with self._services.pool.acquire() as conn:
            await self._keep(conn, node_id, iteration, index, outputs)
        self._is_fruitful = self._has_rows = True

    async def _keep(
        self, conn: Conn, node_id: str, iteration: str, index: int, outputs: Sequence[Output]
    ) -> None:
        row = StepItemRow(node_id=node_id, iteration=iteration, item_index=index, outputs=list(outputs))
        if not await workflow_steps.write_step_item(
            conn, self._claimed.execution_id, self._claimed.epoch, row
        ):
            raise RunInterrupted

    async def flush(self) -> None:
        """Write down what has gathered: entries of the log, and steps that were skipped."""
        async with self.lock:
            if self._deferred or not self._log.is_empty:
                async with self._services.pool.acquire() as conn:
                    await self._write(conn, [])

    async def flush_in(self, conn: Conn) -> None:
        await self._write(conn, [])

    def take_rest(self) -> tuple[bool, list[LogEntry]]:
        """Return whether anything was written down, in this turn or before, and the log's entries that were not yet."""
        self._deferred = []
        return self._has_rows, self._log.take()

    async def _write(self, conn: Conn, steps: list[StepRow]) -> None:
        deferred, self._deferred = self._deferred, []
        entries = self._log.take()
        try:
            is_ours = await workflow_steps.write_steps(
                conn,
                self._claimed.execution_id,
                self._claimed.epoch,
                [*deferred, *steps],
                entries,
                # Not for the log alone: a run that brings its workers down may well say that it began.
                fruitful=bool(deferred or steps) and not self._is_fruitful,
            )
        except BaseException:
            self._deferred = deferred + self._deferred
            self._log.give_back(entries)
            raise
        if not is_ours:
            raise RunInterrupted
        self._is_fruitful |= bool(deferred or steps)
        self._has_rows = True

    async def respond(self, response: Mapping[str, Any]) -> None:
        async with as_system(self._services.pool) as conn:
            stored = storable(response, "The response")
            if not await workflow_runs.write_response(
                conn, self._claimed.execution_id, self._claimed.epoch, stored
            ):
                raise RunInterrupted

    async def call(self, place: str, call: CallWorkflow, attempt: int) -> str:
        """Start a sub-workflow of the same space, once for each try at a place. Raises NodeError."""
        claimed = self._claimed
        root_id = str(uuid.uuid5(_ROOTS, f"{claimed.root_id}/{place}"))
        try:
            async with as_system(self._services.pool) as conn:
                cause, called = await self._next_call(conn, f"call:{claimed.root_id}/{place}", attempt)
                if called is not None:
                    return called
                if not await workflow_runs.find_callable(conn, claimed.space_id, call.workflow_id):
                    raise NodeError(f"There is no workflow {call.workflow_id!r} here.", code="not_found")
                started = await start_execution(
                    conn,
                    workflow_id=call.workflow_id,
                    user_id=claimed.user_id,
                    triggered_by="workflow",
                    data=call.data,
                    cause=cause,
                    depth=claimed.depth + 1,
                    parent=Parent(claimed.execution_id, place, call.wait, root_id),
                    limits=StartLimits.of(self._services.settings),
                )
                # Last: who ends another run of that workflow holds its statistics, and then wakes this run.
                if not await workflow_runs.hold_turn(conn, claimed.execution_id, claimed.epoch):
                    raise RunInterrupted
                return started or await executions.find_cause(conn, cause) or ""
        except TooDeep as exc:
            raise NodeError(str(exc), code="too_deep") from exc
        except Refused as exc:
            raise NodeError(str(exc), code="plan_limit") from exc

    async def _next_call(self, conn: Conn, cause: str, attempt: int) -> tuple[str, str | None]:
        """Return what a call is started under, and the execution that this try has started already, if it has.

        One that goes on or has succeeded is not called again, by whichever try. One that has failed is what came of
        its try, also where the worker was lost before that was written down; the next try calls under the next number.
        """
        number = failed = 1
        while True:
            numbered = cause if number == 1 else f"{cause}#{number}"
            await executions.lock_cause(conn, numbered)
            found = await executions.find_cause(conn, numbered)
            if found is None:
                return numbered, None
            child = (await workflow_runs.find_children(conn, [found])).get(found)
            if child is not None:
                mine = child.parent_execution_id == self._claimed.execution_id
                if child.status in {"RUNNING", "SUCCESS"} or (mine and failed == attempt):
                    return numbered, found
                failed += mine
            number += 1

    async def suspend(self, wake_at: datetime | None, look_at: datetime | None, time_left_s: float) -> bool:
        """Lay the run aside and have it woken; return False where something has come for it meanwhile.

        look_at: when somebody is to look after it though nothing has come. For that there is no job: who looks for
        runs that should be driven finds it then.
        """
        async with self.lock, as_system(self._services.pool) as conn:
            await self._write(conn, [])
            state = await workflow_runs.suspend_run(
                conn,
                self._claimed.execution_id,
                self._claimed.epoch,
                wake_at=min((at for at in (wake_at, look_at) if at is not None), default=None),
                time_left_s=time_left_s,
            )
            if state == "waiting" and wake_at is not None:
                after = max(wake_at - datetime.now(UTC), timedelta(0))
                await enqueue_run(conn, self._claimed.execution_id, after=after)
        if state == "lost":
            raise RunInterrupted
        return state == "waiting"
