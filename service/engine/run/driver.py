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

from db import workflow_runs, workflow_steps
from db.errors import Refused
from db.workflow_runs import ClaimedRun
from db.workflow_steps import StepRow, StepStatus
from service.engine.definition import OUTPUT, NodeDef
from service.engine.errors import EngineError, NodeError
from service.engine.expressions import ExpressionError, render
from service.engine.graph import LOOP, LOOP_DONE, OUTSIDE, Graph
from service.engine.nodes import NODE_TYPES
from service.engine.nodes.base import RunContext
from service.engine.run.ending import Ending
from service.engine.run.ledger import RunLedger
from service.engine.run.log import RunLog, preview
from service.engine.run.progress import Input, Pass, Place, Progress, enter_loop, output_of
from service.engine.run.scope import scope_for
from service.engine.run.turn import MAX_ITEMS, MAX_STEP_BYTES, NodeFailed, Turn, TurnResult, is_past
from service.engine.services import Services

SHORT_WAIT = timedelta(seconds=10)
"""Waits of no more than this together are sat out; a longer one lays the run aside."""
LOOK_FOR_CHILDREN = timedelta(minutes=5)
MAX_STEPS = 10_000
MAX_PASSES = 1_000
MAX_RUN_BYTES = 64 * 1024 * 1024
"""Of all that its nodes have given, as JSON: it is kept until the run has ended."""


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
        self._deadline = asyncio.get_running_loop().time() + time_left_s
        self._load()

    async def drive(self) -> Ending | None:
        """Return how the run ended, None where it waits. Raises RunInterrupted and what an outage raises."""
        self._log.add("run.started" if self._claimed.epoch == 1 else "run.resumed")
        try:
            async with asyncio.timeout_at(self._deadline) as limit:
                while not await self._run_scope(OUTSIDE, ""):
                    if not await self._sit_out():
                        return None
        except NodeFailed as exc:
            return Ending("FAILED", None, exc.error)
        except TimeoutError:
            if not limit.expired():
                raise
            return Ending(
                "TIMEOUT", None, {"code": "timeout", "message": "The run took longer than it may work."}
            )
        except EngineError as exc:
            return Ending("FAILED", None, {"code": "definition", "message": str(exc)})
        return Ending("SUCCESS", output_of(self._progress, self._claimed.plan.get("only")), None)

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
                handle = next(iter(_outputs(self._graph.nodes[node_id])), OUTPUT)
                self._resolve(
                    _step(
                        node_id, "", "done", self._claimed.started_at, [(handle, 0, item) for item in items]
                    )
                )
        only = plan.get("only")
        if only:
            for node_id in self._graph.nodes:
                if node_id != only and not self._progress.is_resolved(node_id, ""):
                    self._resolve(_step(node_id, "", "skipped", self._claimed.started_at, []))

    async def _run_scope(self, scope: str, iteration: str) -> bool:
        """Run all that can be run; return whether all of it is through, and nothing in it waits."""
        unresolved = [n for n in self._graph.in_scope(scope) if not self._progress.is_resolved(n, iteration)]
        tasks: dict[asyncio.Task[bool], str] = {}
        blocked: set[str] = set()
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
                done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    node_id = tasks.pop(task)
                    if task.result():
                        unresolved.remove(node_id)
                    else:
                        blocked.add(node_id)
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
        if node.disabled:
            handle = next(iter(_outputs(node)), OUTPUT)
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
            step = msgspec.structs.replace(step, outputs=[(next(iter(_outputs(node)), OUTPUT), 0, {})])
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
        config = self._loop_config(node, iteration, inputs, ready_at)
        batches = _batches(config, inputs)
        most = min(config.max_iterations, MAX_PASSES)
        if len(batches) > most:
            raise _failed(
                node, "too_many_passes", f"{len(batches)} passes would be needed; {most} are the most."
            )
        places = asyncio.Semaphore(config.concurrency)

        async def run_pass(index: int) -> bool:
            async with places:
                inside = enter_loop(node.id, iteration, index)
                items, origins = batches[index]
                self._progress.passes[node.id, inside] = Pass(
                    index, len(batches), tuple(items), tuple(origins)
                )
                return await self._run_scope(node.id, inside)

        if config.concurrency == 1:
            for index in range(len(batches)):
                if not await run_pass(index):
                    return False
        elif not all(await _all(run_pass(index) for index in range(len(batches)))):
            return False
        self._count_step()
        return await self._write(node, iteration, ready_at, self._looped(node, iteration, batches))

    def _looped(
        self, node: NodeDef, iteration: str, batches: Sequence[tuple[list[Any], list[int]]]
    ) -> TurnResult:
        comes_back = bool(self._graph.returning.get(node.id))
        results: list[tuple[str, int, Any]] = []
        for index, (items, origins) in enumerate(batches):
            given = (
                self._progress.results(node.id, enter_loop(node.id, iteration, index))
                if comes_back
                else items
            )
            results += [(LOOP_DONE, origins[0] if origins else 0, item) for item in given]
        self._log.add(
            "node.finished", node=node.id, name=node.name or None, type=node.type, iteration=iteration or None,
            passes=len(batches), items={LOOP_DONE: len(results)}, data=preview(results[0][2]) if results else None,
        )  # fmt: skip
        if len(results) > MAX_ITEMS:
            raise _failed(
                node, "too_many_items", f"{len(results):,} items came back; {MAX_ITEMS:,} are the most."
            )
        if len(msgspec.json.encode(results)) > MAX_STEP_BYTES:
            raise _failed(node, "too_large", f"More than {MAX_STEP_BYTES:,} bytes came back.")
        return TurnResult(finished={0: results})

    def _loop_config(self, node: NodeDef, iteration: str, inputs: Sequence[Input], ready_at: datetime) -> Any:
        scope = scope_for(self._progress, self._run, node.id, iteration, inputs, 0, ready_at)
        known = NODE_TYPES[LOOP].config.__struct_encode_fields__
        try:
            rendered = {key: render(value, scope) for key, value in node.data.items() if key in known}
            return msgspec.convert(rendered, NODE_TYPES[LOOP].config)
        except (ExpressionError, msgspec.ValidationError) as exc:
            raise _failed(node, "bad_config", str(exc)) from exc

    def _resolve(self, step: StepRow) -> None:
        place = (step.node_id, step.iteration)
        self._bytes += len(msgspec.json.encode(step.outputs)) if step.outputs else 0
        if self._bytes > MAX_RUN_BYTES:
            raise NodeFailed(
                {
                    "code": "too_large",
                    "message": f"The run's items have more than {MAX_RUN_BYTES:,} bytes in all.",
                }
            )
        self._progress.steps[place] = step
        self._finished_at[place] = step.finished_at or step.started_at

    def _ready_at(self, node_id: str, iteration: str) -> datetime:
        """Return when the last that it waited for was through: the same on every worker."""
        scope = self._graph.scope_of[node_id]
        moments = [
            self._finished_at[c.source, iteration]
            for c in self._graph.incoming.get(node_id, ())
            if c.source != scope and (c.source, iteration) in self._finished_at
        ]
        return max(moments, default=self._claimed.started_at)

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
        waits = step.waiting or {}
        return any(key in (step.resumed or {}) or is_past(one.get("until")) for key, one in waits.items())

    def _waited(self, place: Place) -> dict[str, Any]:
        """Return what the items of a node wait for, with what has come."""
        step = self._waiting.get(place)
        if step is None:
            return {}
        came = step.resumed or {}
        found: dict[str, Any] = {}
        for key, one in (step.waiting or {}).items():
            if key == "more":
                continue
            if key in came:
                found[key] = {**one, "came": came[key]}
            elif is_past(one.get("until")):
                found[key] = {**one, "came": {"timed_out": True}}
            else:
                found[key] = one
        return found

    async def _sit_out(self) -> bool:
        """Wait for what comes soon; else lay the run aside, and return False."""
        await self._look_for_children()
        if any(self._has_come(step) for step in self._waiting.values()):
            return True
        wakes = [step.wake_at for step in self._waiting.values() if step.wake_at is not None]
        wake_at = min(wakes, default=None)
        wait_s = None if wake_at is None else max(0.0, (wake_at - datetime.now(UTC)).total_seconds())
        if wait_s is not None and self._sat_out_s + wait_s <= SHORT_WAIT.total_seconds():
            self._sat_out_s += wait_s
            await self.ledger.flush()
            await asyncio.sleep(wait_s)
            return True
        if any(
            one["for"] == "execution"
            for step in self._waiting.values()
            for one in (step.waiting or {}).values()
        ):
            # Who ends it tells us; but not who deletes it, or cancels it in SQL.
            look_at = datetime.now(UTC) + LOOK_FOR_CHILDREN
            wake_at = look_at if wake_at is None else min(wake_at, look_at)
        left_s = self._deadline - asyncio.get_running_loop().time()
        if await self.ledger.suspend(wake_at, left_s):
            return False
        # Something has come meanwhile: it is in the rows of the steps.
        await self._reload_waiting()
        return True

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
            step = self._waiting[place]
            self._waiting[place] = msgspec.structs.replace(step, resumed={**(step.resumed or {}), key: came})

    async def _reload_waiting(self) -> None:
        async with self._services.pool.acquire() as conn:
            steps = await workflow_steps.list_steps(conn, self._claimed.execution_id)
        for step in steps:
            if step.status == "waiting":
                self._waiting[step.node_id, step.iteration] = step
        await self._look_for_children()


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


def _failed(node: NodeDef, code: str, message: str) -> NodeFailed:
    return NodeFailed(
        {"node": node.id, "name": node.label, "type": node.type, "code": code, "message": message}
    )


def _deleted(execution_id: str) -> dict[str, Any]:
    error = {"code": "deleted", "message": "The execution was deleted."}
    return {"execution_id": execution_id, "status": "CANCELED", "output": None, "error": error}


def _has_effects(node: NodeDef) -> bool:
    node_type = NODE_TYPES.get(node.type)
    return node_type is not None and node_type.has_effects


def _outputs(node: NodeDef) -> tuple[str, ...]:
    node_type = NODE_TYPES.get(node.type)
    return (OUTPUT,) if node_type is None else node_type.outputs(node.data)


def _as_items(data: Any) -> list[Any]:
    """Return what a run is started with as items: a list of objects is several."""
    if isinstance(data, list) and data and all(isinstance(one, dict) for one in data):
        return data
    return [{} if data is None else data]


def _batches(config: Any, inputs: Sequence[Input]) -> list[tuple[list[Any], list[int]]]:
    """Return the items of each pass, and which input items they stem from."""
    if config.items is None:
        items, origins = [one.item for one in inputs], list(range(len(inputs)))
    else:
        items, origins = list(config.items), [0] * len(config.items)
    size = config.batch_size
    return [(items[at : at + size], origins[at : at + size]) for at in range(0, len(items), size)]


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
