"""Drives one run from where it stands to its end, or to where it waits.

    scope ─► nodes whose inputs are through ─► turns, side by side ─► each written down ─► next nodes …
               │ nothing came in: skipped          │ a loop: its body, pass by pass, as a scope of its own
               └──────────────────────────────────►┘

What is done twice, by two workers after one was lost, is harmless: a turn that is written down is not taken again, what
it changes in our database commits with it, and what it asks of others carries the same idempotency key.
"""

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from db.errors import Refused
from db.workflow_runs import ClaimedRun
from db.workflow_steps import StepRow, StepStatus
from service.engine.definition import ERROR, OUTPUT, NodeDef
from service.engine.errors import EngineError, NodeError
from service.engine.graph import LOOP, LOOP_DONE, OUTSIDE, Graph
from service.engine.nodes import NODE_TYPES
from service.engine.nodes.base import RunContext
from service.engine.run.ending import Ending
from service.engine.run.ledger import RunLedger
from service.engine.run.log import RunLog, preview, shorten, shown_error
from service.engine.run.looping import LoopAt, loop_outputs, plan_loop
from service.engine.run.progress import Input, Pass, Place, Progress, enter_loop, failed_item, output_of
from service.engine.run.turn import (
    NodeFailed,
    Turn,
    TurnResult,
)
from service.engine.run.waits import Waits
from service.engine.services import Services

SHORT_WAIT = timedelta(seconds=10)
"""Waits of no more than this together are sat out; a longer one lays the run aside."""
LOOK_FOR_EXECUTIONS = timedelta(minutes=5)
MAX_STEPS = 10_000
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
        self._waits = Waits(services.pool, claimed)
        self._items: dict[Place, dict[int, list[Any]]] = {}
        self._finished_at: dict[Place, datetime] = {}
        self._bytes = 0
        self._sat_out_s = 0.0
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
            if step.status == "waiting":
                self._waits.put(step)
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
        arrivals = self._waits.arrivals
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
                look_s = self._waits.look_in_s() if blocked else None
                done, _ = await asyncio.wait(tasks, timeout=look_s, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    node_id = tasks.pop(task)
                    if task.result():
                        unresolved.remove(node_id)
                    else:
                        blocked.add(node_id)
                if blocked:
                    await self._waits.look()
                    if self._waits.arrivals != arrivals:
                        # What waits goes on while other branches work.
                        arrivals = self._waits.arrivals
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
        if self._waits.stands_still(place):
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
            data=node_type.prepared(node.data),
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
            waited=self._waits.of(place),
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
            self._waits.drop(place)
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
            self._waits.put(step)
            self._items.setdefault(place, {}).update(result.finished)
            return False
        self._waits.drop(place)
        self._resolve(step)
        return True

    async def _loop(self, node: NodeDef, iteration: str, inputs: Sequence[Input], ready_at: datetime) -> bool:
        """Run a loop's body once for each batch; its results go on by "done"."""
        at = LoopAt(node, iteration, inputs, ready_at)
        try:
            config, batches = await plan_loop(self._progress, self._run, at)
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
            outputs = loop_outputs(self._progress, at, batches)
        except NodeError as exc:
            return await self._write(node, iteration, ready_at, self._loop_failed(node, inputs, exc))
        self._log.add(
            "node.finished", node=node.id, name=node.name or None, type=node.type, iteration=iteration or None,
            passes=len(batches), items={LOOP_DONE: len(outputs)}, data=preview(outputs[0][2]) if outputs else None,
        )  # fmt: skip
        return await self._write(node, iteration, ready_at, TurnResult(finished={0: outputs}))

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
        waiting = self._waits.get((node_id, iteration))
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

    async def _sit_out(self) -> bool:
        """Wait for what comes soon; else lay the run aside, and return False."""
        await self._waits.refresh()
        if self._waits.any_came:
            return True
        wake_at = self._waits.wakes_at()
        wait_s = None if wake_at is None else max(0.0, (wake_at - datetime.now(UTC)).total_seconds())
        if wait_s is not None and self._sat_out_s + wait_s <= SHORT_WAIT.total_seconds():
            await self.ledger.flush()
            await self._sleep(self._waits.look_in_s())
            return True
        # Who ends another execution tells us; but not everybody that is waited for may be able to.
        look_at = datetime.now(UTC) + LOOK_FOR_EXECUTIONS if self._waits.for_executions else None
        # Where it was not laid aside something has come meanwhile, which the next look finds.
        return not await self.ledger.suspend(wake_at, look_at, self.time_left_s)

    async def _sleep(self, wait_s: float) -> None:
        """Wait without working: that takes nothing of the run's time."""
        self._sat_out_s += wait_s
        self._deadline += wait_s
        if self._limit is not None:
            self._limit.reschedule(self._deadline)
        await asyncio.sleep(wait_s)


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
