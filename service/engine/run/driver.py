"""Drives one run from where it stands to its end, or to where it waits.

    scope ─► nodes whose inputs are through ─► turns, side by side ─► each written down ─► next nodes …
               │ nothing came in: skipped          │ a loop: its body, pass by pass, as a scope of its own
               └──────────────────────────────────►┘

What is done twice, by two workers after one was lost, is harmless: a turn that is written down is not taken again, what
it changes in our database commits with it, and what it asks of others carries the same idempotency key.
"""

import asyncio
import contextlib
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from db import workflow_runs, workflow_steps
from db.errors import Refused
from db.workflow_runs import ClaimedRun
from db.workflow_steps import StepRow, StepStatus
from service.engine.definition import ERROR, OUTPUT, NodeDef
from service.engine.errors import EngineError, NodeError
from service.engine.expressions import ExpressionError, render, speaks_of_item
from service.engine.graph import LOOP, LOOP_DONE, OUTSIDE, Graph
from service.engine.nodes import NODE_TYPES
from service.engine.nodes.base import RunContext
from service.engine.run.ending import Ending
from service.engine.run.ledger import RunLedger
from service.engine.run.log import RunLog, preview, shorten, shown_error
from service.engine.run.progress import Input, Pass, Place, Progress, enter_loop, failed_item, output_of
from service.engine.run.scope import scope_for
from service.engine.run.turn import (
    EXPRESSIONS_S,
    MAX_ITEMS,
    MAX_STEP_BYTES,
    NodeFailed,
    Turn,
    TurnResult,
    read_moment,
)
from service.engine.services import Services

SHORT_WAIT = timedelta(seconds=10)
"""Waits of no more than this together are sat out; a longer one lays the run aside."""
_LOOK_S = 1.0
"""How often is looked for replies, and for the ends of other executions, while the run is held."""
LOOK_FOR_CHILDREN = timedelta(minutes=5)
MAX_STEPS = 10_000
MAX_PASSES = 1_000
MAX_RUN_BYTES = 64 * 1024 * 1024
"""Of all that its nodes have given, about as it is in memory: it is kept until the run has ended."""
_OBJECT_BYTES = 72
"""What an object or a list takes beside what is in it, and what a value takes more than as JSON."""


class Driver:
    """One turn of one worker at one run."""

    def __init__(
        self,
        services: Services,
        claimed: ClaimedRun,
        graph: Graph,
        run: RunContext,
        time_left_s: float,
        log: RunLog,
    ) -> None:
        self._services = services
        self._claimed = claimed
        self._graph = graph
        self._run = run
        self._progress = Progress(graph)
        self._log = log
        self.ledger = RunLedger(services, claimed, self._log)
        self._waiting: dict[Place, StepRow] = {}
        self._items: dict[Place, dict[int, list[Any]]] = {}
        self._finished_at: dict[Place, datetime] = {}
        self._bytes = 0
        self._sat_out_s = 0.0
        self._arrivals = 0
        """How often something has come that was waited for."""
        self._looking = asyncio.Lock()
        self._looked_at = 0.0
        self._begun: dict[Place, datetime] = {}
        """When each pass of a loop began, by loop and iteration of its body."""
        self._limit: asyncio.Timeout | None = None
        self._deadline = asyncio.get_running_loop().time() + time_left_s

    @property
    def time_left_s(self) -> float:
        """How long the run may still work."""
        return self._deadline - asyncio.get_running_loop().time()

    async def drive(self) -> Ending | None:
        """Return how the run ended, None where it waits. Raises RunInterrupted and what an outage raises."""
        self._log.add("run.started" if self._claimed.epoch == 1 else "run.resumed")
        try:
            async with asyncio.timeout_at(self._deadline) as self._limit:
                self._load()
                while not await self._run_all():
                    if not await self._sit_out():
                        return None
        except NodeFailed as exc:
            return Ending("FAILED", None, exc.error)
        except TimeoutError:
            if self._limit is None or not self._limit.expired():
                raise
            return Ending(
                "TIMEOUT", None, {"code": "timeout", "message": "The run took longer than it may work."}
            )
        except EngineError as exc:
            return Ending("FAILED", None, {"code": "definition", "message": str(exc)})
        return Ending("SUCCESS", output_of(self._progress, self._claimed.plan.get("only")), None)

    async def _run_all(self) -> bool:
        only = self._claimed.plan.get("only")
        if only is None:
            return await self._run_scope(OUTSIDE, "")
        # Alone, a node of a loop's body runs outside of any pass.
        return self._progress.is_resolved(only, "") or await self._take_turn(only, "")

    def _load(self) -> None:
        """Take up what earlier turns have written down, and what the run is started with."""
        for step in self._claimed.steps:
            place = (step.node_id, step.iteration)
            if step.status == "waiting":
                self._waiting[place] = step
            elif step.status in {"done", "skipped"}:
                self._resolve(step)
        for item in self._claimed.step_items:
            self._items.setdefault((item.node_id, item.iteration), {})[item.item_index] = item.outputs
        for start in self._starts():
            self._progress.started_with[start] = _as_items(self._claimed.data)
        self._pin()

    def _starts(self) -> list[str]:
        """Return where it begins: the trigger that fired, else the first one, else what nothing leads to."""
        plan = self._claimed.plan
        if plan.get("only"):
            return [plan["only"]]
        if plan.get("start") in self._graph.nodes:
            return [plan["start"]]
        triggers = [node.id for node in self._graph.triggers() if not node.disabled]
        if triggers:
            return triggers[:1]
        return [node_id for node_id in self._graph.in_scope(OUTSIDE) if not self._graph.incoming.get(node_id)]

    def _pin(self) -> None:
        """Put pinned outputs in place; of a single node's run, everything else stays still."""
        plan = self._claimed.plan
        pinned: Mapping[str, list[Any]] = plan.get("pinned") or {}
        for node_id, items in pinned.items():
            if node_id in self._graph.nodes and not self._progress.is_resolved(node_id, ""):
                self._resolve(self._pinned(node_id, "", items))
        only = plan.get("only")
        if only:
            for node_id in self._graph.nodes:
                if node_id != only and not self._progress.is_resolved(node_id, ""):
                    self._resolve(_step(node_id, "", "skipped", self._claimed.started_at, []))

    def _pinned(self, node_id: str, iteration: str, items: Sequence[Any]) -> StepRow:
        handle = _goes_on_by(self._graph.nodes[node_id])
        outputs = [(handle, 0, item) for item in items]
        return _step(node_id, iteration, "done", self._claimed.started_at, outputs)

    async def _run_scope(self, scope: str, iteration: str) -> bool:
        """Run all that can be run; return whether all of it is through, and nothing in it waits."""
        unresolved = [n for n in self._graph.in_scope(scope) if not self._progress.is_resolved(n, iteration)]
        tasks: dict[asyncio.Task[bool], str] = {}
        blocked: set[str] = set()
        arrivals = self._arrivals
        try:
            while True:
                started = set(tasks.values())
                for node_id in list(unresolved):
                    if node_id not in started | blocked and self._progress.is_ready(node_id, iteration):
                        if self._is_dead(node_id, iteration):
                            self._skip(node_id, iteration)
                            unresolved.remove(node_id)
                        else:
                            tasks[asyncio.create_task(self._take_turn(node_id, iteration))] = node_id
                if not tasks:
                    return not unresolved
                look_s = self._look_in_s() if blocked else None
                done, _ = await asyncio.wait(tasks, timeout=look_s, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    node_id = tasks.pop(task)
                    if task.result():
                        unresolved.remove(node_id)
                    else:
                        blocked.add(node_id)
                if blocked:
                    await self._look()
                    if self._arrivals != arrivals:
                        # What waits goes on while other branches work.
                        arrivals = self._arrivals
                        blocked.clear()
        finally:
            for task in tasks:
                task.cancel()
            if tasks:
                await asyncio.gather(*tasks, return_exceptions=True)

    def _is_dead(self, node_id: str, iteration: str) -> bool:
        return not self._inputs(node_id, iteration)

    def _inputs(self, node_id: str, iteration: str) -> list[Input]:
        if node_id == self._claimed.plan.get("only"):
            return [
                Input("input", item, (node_id, iteration), index)
                for index, item in enumerate(self._progress.started_with[node_id])
            ]
        return self._progress.inputs(node_id, iteration)

    def _skip(self, node_id: str, iteration: str) -> None:
        step = _step(node_id, iteration, "skipped", self._ready_at(node_id, iteration), [])
        self._log.add(
            "node.skipped", node=node_id, type=self._graph.nodes[node_id].type, iteration=iteration or None
        )
        self.ledger.defer(step)
        self._resolve(step)

    async def _take_turn(self, node_id: str, iteration: str) -> bool:
        """Return whether it is through; False where it waits."""
        node = self._graph.nodes[node_id]
        place = (node_id, iteration)
        if place in self._waiting and not self._has_come(self._waiting[place]):
            return False
        inputs = self._inputs(node_id, iteration)
        ready_at = self._ready_at(node_id, iteration)
        pinned = (self._claimed.plan.get("pinned") or {}).get(node_id)
        if pinned is not None:  # in a loop: outside of one it is there from the beginning
            self._resolve(self._pinned(node_id, iteration, pinned))
            return True
        if node.disabled:
            handle = _goes_on_by(node)
            passed = [(handle, index, one.item) for index, one in enumerate(inputs)]
            return await self._write(node, iteration, ready_at, TurnResult(finished={0: passed}))
        if node.type == LOOP:
            return await self._loop(node, iteration, inputs, ready_at)
        node_type = NODE_TYPES.get(node.type)
        if node_type is None:
            raise _failed(node, "unknown_type", f"There is no node type {node.type!r}.")
        self._count_step()
        if node_type.has_effects:
            # What it does rests on what came before, which must not come out otherwise.
            await self.ledger.settle()
        turn = Turn(
            node=node,
            type=node_type,
            iteration=iteration,
            inputs=inputs,
            ready_at=ready_at,
            progress=self._progress,
            run=self._run,
            root_id=self._claimed.root_id,
            services=self._services,
            ledger=self.ledger,
            log=self._log,
            kept=self._items.get(place, {}),
            waited=self._waited(place),
        )
        return await self._write(node, iteration, ready_at, await turn.take())

    async def _write(self, node: NodeDef, iteration: str, ready_at: datetime, result: TurnResult) -> bool:
        """Write a turn down, and return whether the node is through."""
        place = (node.id, iteration)
        step = StepRow(
            node_id=node.id,
            iteration=iteration,
            status="waiting" if result.waiting else "done",
            outputs=[] if result.waiting else result.outputs,
            error=result.error,
            attempts=result.attempts,
            started_at=ready_at,
            finished_at=None if result.waiting else datetime.now(UTC),
            waiting=result.waiting or None,
            wake_at=result.wake_at,
        )
        if not result.waiting and not step.outputs and node.always_output_data:
            step = msgspec.structs.replace(step, outputs=[(_goes_on_by(node), 0, {})])
        if not (result.waiting or result.commits or _has_effects(node)):
            self.ledger.defer(step)
            self._waiting.pop(place, None)
            self._resolve(step)
            return True
        try:
            step = await self.ledger.write(step, result)
        except Refused as exc:
            raise _failed(node, "plan_limit", str(exc)) from exc
        except NodeError as exc:
            raise _failed(node, exc.code, exc.detail) from exc
        except EngineError as exc:
            raise _failed(node, "bad_value", str(exc)) from exc
        if result.waiting:
            self._waiting[place] = step
            self._items.setdefault(place, {}).update(result.finished)
            return False
        self._waiting.pop(place, None)
        self._resolve(step)
        return True

    async def _loop(self, node: NodeDef, iteration: str, inputs: Sequence[Input], ready_at: datetime) -> bool:
        """Run a loop's body once for each batch; its results go on by "done"."""
        try:
            config, batches = await self._plan_loop(node, iteration, inputs, ready_at)
        except NodeError as exc:
            return await self._write(node, iteration, ready_at, self._loop_failed(node, inputs, exc))
        numbers = iter(range(len(batches)))

        async def run_passes() -> bool:
            """Take passes in turn; one that waits keeps its place, so that no more than so many are under way."""
            for index in numbers:
                inside = enter_loop(node.id, iteration, index)
                # The first when the loop could, the others when those before have left them a place.
                self._begun.setdefault((node.id, inside), datetime.now(UTC) if index else ready_at)
                items, origins = batches[index]
                self._progress.passes[node.id, inside] = Pass(
                    index, len(batches), tuple(items), tuple(origins), is_batch=config.batch_size > 1
                )
                if not await self._run_scope(node.id, inside):
                    return False
            return True

        places = min(config.concurrency, len(batches))
        if not all(await _all(run_passes() for _ in range(places))):
            return False
        self._count_step()
        try:
            result = self._looped(node, iteration, batches)
        except NodeError as exc:
            result = self._loop_failed(node, inputs, exc)
        return await self._write(node, iteration, ready_at, result)

    async def _plan_loop(
        self, node: NodeDef, iteration: str, inputs: Sequence[Input], ready_at: datetime
    ) -> tuple[Any, list[tuple[list[Any], list[int]]]]:
        """Return the loop's configuration, and the items of each pass with the input items that they stem from."""
        config = self._loop_config(node, iteration, inputs, 0, ready_at)
        items = [one.item for one in inputs]
        origins = list(range(len(inputs)))
        if config.items is not None:
            items, origins = list(config.items), [0] * len(config.items)
            # An expression that speaks of the item at hand says something else for each.
            for index in range(1, len(inputs) if speaks_of_item(node.data["items"]) else 1):
                await asyncio.sleep(0)
                more = self._loop_config(node, iteration, inputs, index, ready_at).items or []
                items += more
                origins += [index] * len(more)
        size = config.batch_size
        batches = [(items[at : at + size], origins[at : at + size]) for at in range(0, len(items), size)]
        most = min(config.max_iterations, MAX_PASSES)
        if len(batches) > most:
            detail = f"{len(batches)} passes would be needed; {most} are the most."
            raise NodeError(detail, code="too_many_passes")
        return config, batches

    def _loop_failed(self, node: NodeDef, inputs: Sequence[Input], exc: NodeError) -> TurnResult:
        """Return what goes on in place of what a loop could not do. Raises NodeFailed where that stops the run."""
        failure = _failed(node, exc.code, exc.detail, field=exc.field, expression=exc.expression)
        self._log.add("node.failed", node=node.id, type=node.type, error=shown_error(failure.error))
        if node.on_error == "stopWorkflow":
            raise failure
        handle = ERROR if node.on_error == "continueErrorOutput" else _goes_on_by(node)
        outputs = []
        for index, one in enumerate(inputs):
            goes, item = failed_item(failure.error, one.item, handle)
            outputs.append((goes, index, item))
        return TurnResult(finished={0: outputs}, error=failure.error)

    def _looped(
        self, node: NodeDef, iteration: str, batches: Sequence[tuple[list[Any], list[int]]]
    ) -> TurnResult:
        comes_back = bool(self._graph.returning.get(node.id))
        results: list[tuple[str, int, Any]] = []
        for index, (items, origins) in enumerate(batches):
            inside = enter_loop(node.id, iteration, index)
            given = self._progress.results(node.id, inside) if comes_back else list(enumerate(items))
            results += [(LOOP_DONE, origins[place] if origins else 0, item) for place, item in given]
        self._log.add(
            "node.finished", node=node.id, name=node.name or None, type=node.type, iteration=iteration or None,
            passes=len(batches), items={LOOP_DONE: len(results)}, data=preview(results[0][2]) if results else None,
        )  # fmt: skip
        if len(results) > MAX_ITEMS:
            detail = f"{len(results):,} items came back; {MAX_ITEMS:,} are the most."
            raise NodeError(detail, code="too_many_items")
        if len(msgspec.json.encode(results)) > MAX_STEP_BYTES:
            raise NodeError(f"More than {MAX_STEP_BYTES:,} bytes came back.", code="too_large")
        return TurnResult(finished={0: results})

    def _loop_config(
        self, node: NodeDef, iteration: str, inputs: Sequence[Input], index: int, ready_at: datetime
    ) -> Any:
        scope = scope_for(self._progress, self._run, node.id, iteration, inputs, index, ready_at)
        known = NODE_TYPES[LOOP].config.__struct_encode_fields__
        ends = time.monotonic() + EXPRESSIONS_S
        try:
            rendered = {
                key: render(value, scope, deadline=ends) for key, value in node.data.items() if key in known
            }
            return msgspec.convert(rendered, NODE_TYPES[LOOP].config)
        except ExpressionError as exc:
            raise NodeError(exc.detail, code="expression", expression=exc.expression) from exc
        except msgspec.ValidationError as exc:
            raise NodeError(str(exc), code="bad_config") from exc

    def _resolve(self, step: StepRow) -> None:
        place = (step.node_id, step.iteration)
        self._bytes += _in_memory(step.outputs) if step.outputs else 0
        if self._bytes > MAX_RUN_BYTES:
            message = f"The run's items take more than {MAX_RUN_BYTES:,} bytes in all."
            raise NodeFailed({"code": "too_large", "message": message})
        self._progress.steps[place] = step
        self._finished_at[place] = step.finished_at or step.started_at

    def _ready_at(self, node_id: str, iteration: str) -> datetime:
        """Return when the last that it waited for was through; of what waits, as it was written down."""
        waiting = self._waiting.get((node_id, iteration))
        if waiting is not None:
            return waiting.started_at
        scope = self._graph.scope_of[node_id]
        moments = [
            self._finished_at[c.source, iteration]
            for c in self._graph.incoming.get(node_id, ())
            if c.source != scope and (c.source, iteration) in self._finished_at
        ]
        # Not before the run, of which a retry takes up steps of an earlier one; nor before the pass that it is in.
        return max(
            *moments, self._claimed.started_at, self._begun.get((scope, iteration), self._claimed.started_at)
        )

    def _count_step(self) -> None:
        if len(self._progress.steps) >= MAX_STEPS:
            raise NodeFailed(
                {
                    "code": "too_many_steps",
                    "message": f"The run has taken {MAX_STEPS:,} steps, which are the most.",
                }
            )

    def _has_come(self, step: StepRow) -> bool:
        """Return whether something of what a step waits for is there."""
        return any(key in (step.resumed or {}) for key in step.waiting or {})

    def _waited(self, place: Place) -> dict[str, Any]:
        """Return what the items of a node wait for, with what has come."""
        step = self._waiting.get(place)
        if step is None:
            return {}
        came = step.resumed or {}
        return {
            key: {**one, "came": came[key]} if key in came else one
            for key, one in (step.waiting or {}).items()
            if key != "more"
        }

    def _wakes_at(self) -> datetime | None:
        """Return when the first of the waits is over that nothing has come for."""
        moments = [
            read_moment(one["until"])
            for step in self._waiting.values()
            for key, one in (step.waiting or {}).items()
            if one.get("until") and key not in (step.resumed or {})
        ]
        return min(moments, default=None)

    def _look_in_s(self) -> float:
        wake_at = self._wakes_at()
        left_s = _LOOK_S if wake_at is None else (wake_at - datetime.now(UTC)).total_seconds()
        return min(max(left_s, 0.05), _LOOK_S)

    async def _look(self) -> None:
        """See now and then whether something has come of what is waited for."""
        loop = asyncio.get_running_loop()
        async with self._looking:
            wake_at = self._wakes_at()
            due = wake_at is not None and wake_at <= datetime.now(UTC)
            if due or loop.time() >= self._looked_at + _LOOK_S:
                await self._refresh()

    async def _refresh(self) -> None:
        self._looked_at = asyncio.get_running_loop().time()
        if not self._waiting:
            return
        async with self._services.pool.acquire() as conn:
            steps = await workflow_steps.settle_waits(conn, self._claimed.execution_id, self._claimed.epoch)
        for step in steps:
            self._note(step.node_id, step.iteration, step.resumed or {})
        await self._look_for_children()

    def _note(self, node_id: str, iteration: str, came: Mapping[str, Any]) -> None:
        """Keep what has come for a step that waits."""
        step = self._waiting.get((node_id, iteration))
        if step is None:
            return
        resumed = {**(step.resumed or {}), **came}
        if resumed != (step.resumed or {}):
            self._waiting[node_id, iteration] = msgspec.structs.replace(step, resumed=resumed)
            self._arrivals += 1

    async def _sit_out(self) -> bool:
        """Wait for what comes soon; else lay the run aside, and return False."""
        await self._refresh()
        if any(self._has_come(step) for step in self._waiting.values()):
            return True
        wake_at = self._wakes_at()
        wait_s = None if wake_at is None else max(0.0, (wake_at - datetime.now(UTC)).total_seconds())
        if wait_s is not None and self._sat_out_s + wait_s <= SHORT_WAIT.total_seconds():
            await self.ledger.flush()
            await self._sleep(self._look_in_s())
            return True
        if any(
            one["for"] == "execution"
            for step in self._waiting.values()
            for one in (step.waiting or {}).values()
        ):
            # Who ends it tells us; but not who deletes it, or cancels it in SQL.
            look_at = datetime.now(UTC) + LOOK_FOR_CHILDREN
            wake_at = look_at if wake_at is None else min(wake_at, look_at)
        # Where it was not laid aside something has come meanwhile, which the next look finds.
        return not await self.ledger.suspend(wake_at, self.time_left_s)

    async def _sleep(self, wait_s: float) -> None:
        """Wait without working: that takes nothing of the run's time."""
        self._sat_out_s += wait_s
        self._deadline += wait_s
        if self._limit is not None:
            self._limit.reschedule(self._deadline)
        await asyncio.sleep(wait_s)

    async def _look_for_children(self) -> None:
        """See which of the executions that are waited for have ended."""
        wanted = {
            one["execution_id"]: (place, key)
            for place, step in self._waiting.items()
            for key, one in (step.waiting or {}).items()
            if one["for"] == "execution" and key not in (step.resumed or {})
        }
        if not wanted:
            return
        async with self._services.pool.acquire() as conn:
            found = await workflow_runs.find_children(conn, list(wanted))
        for execution_id, (place, key) in wanted.items():
            child = found.get(execution_id)
            if child is not None and child.status == "RUNNING":
                continue
            came = (
                {
                    "status": "CANCELED",
                    "output": None,
                    "error": {"message": "It was deleted."},
                    "execution_id": execution_id,
                }
                if child is None
                else msgspec.to_builtins(child)
            )
            self._note(*place, {key: came})


def _step(
    node_id: str,
    iteration: str,
    status: StepStatus,
    at: datetime,
    outputs: list[tuple[str, int, Any]],
) -> StepRow:
    return StepRow(
        node_id=node_id, iteration=iteration, status=status, outputs=outputs, error=None, attempts=1, started_at=at,
        finished_at=at,
    )  # fmt: skip


def _failed(node: NodeDef, code: str, message: str, **more: str | None) -> NodeFailed:
    error = {
        "node": node.id, "name": node.label, "type": node.type, "code": code, "message": shorten(message), **more
    }  # fmt: skip
    return NodeFailed({name: value for name, value in error.items() if value is not None})


def _has_effects(node: NodeDef) -> bool:
    node_type = NODE_TYPES.get(node.type)
    return node_type is not None and node_type.has_effects


def _in_memory(outputs: Sequence[Any]) -> int:
    """Return about how many bytes values take: small ones take many times what they are as JSON."""
    encoded = msgspec.json.encode(outputs)
    return (
        len(encoded) + _OBJECT_BYTES * (encoded.count(b"{") + encoded.count(b"[")) + 8 * encoded.count(b",")
    )


def _goes_on_by(node: NodeDef) -> str:
    """Return the handle of what goes on when a node itself does nothing."""
    node_type = NODE_TYPES.get(node.type)
    handles = () if node_type is None else node_type.outputs(node.data)
    return LOOP_DONE if node.type == LOOP else next(iter(handles), OUTPUT)


def _as_items(data: Any) -> list[Any]:
    """Return what a run is started with as items: a list of objects is several."""
    if isinstance(data, list) and data and all(isinstance(one, dict) for one in data):
        return data
    return [{} if data is None else data]


async def _all(passes: Any) -> list[bool]:
    """Run side by side; the first failure stops the others."""
    tasks = [asyncio.ensure_future(one) for one in passes]
    try:
        return list(await asyncio.gather(*tasks))
    except BaseException:
        for task in tasks:
            task.cancel()
        with contextlib.suppress(BaseException):
            await asyncio.gather(*tasks, return_exceptions=True)
        raise
