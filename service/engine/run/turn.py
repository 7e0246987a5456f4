"""One node's turn: its items one after another, each with its expressions evaluated, tried, and written down.

inputs ─► for each item: data ─► expressions ─► Config ─► run, within its time ─► Outcome ─► outputs
                                     └── fails ──► again, later ──► onError: stop, go on, or the error branch
"""

import asyncio
import random
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

import msgspec
import structlog

from db.errors import BudgetReached, PlanLimitReached, Refused
from db.outage import is_outage
from service.engine.definition import ERROR, OUTPUT, NodeDef
from service.engine.errors import EngineError, NodeError
from service.engine.expressions import ExpressionError, read_ahead, render
from service.engine.nodes.base import (
    Call,
    CallWorkflow,
    Emit,
    InTransaction,
    NodeType,
    Outcome,
    Respond,
    RunContext,
    Wait,
)
from service.engine.run.log import RunLog, preview, shorten, shown_error
from service.engine.run.progress import Input, Progress, failed_item
from service.engine.run.scope import scope_for
from service.engine.services import Services
from service.engine.values import storable
from service.errors import Problem
from service.metrics import WORKFLOW_NODE_SECONDS

log = structlog.get_logger()

DEFAULT_TIMEOUT_S = 120.0
MAX_ITEMS = 1_000
"""That a node works on, and gives."""
MAX_STEP_BYTES = 4 * 1024 * 1024
"""Of all items together that a node gives, as JSON."""
EXPRESSIONS_S = 0.25
"""For all expressions of one item."""
MAX_DELAY_S = 300.0
MAX_CHILDREN = 10
"""Sub-workflows that one turn waits for at a time."""
_KEYS = uuid.UUID("7c1d7d0e-6d6a-4b0e-9a53-6f8d2f1f6c57")

Output = tuple[str, int, Any]


class RunInterrupted(Exception):
    """The run goes on elsewhere, or later: it was taken over, ended by others, or the database is away."""


class NodeFailed(EngineError):
    """A node failed for good, and the run with it. error is what errorData says."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(str(error["message"]))
        self.error = error


class Ledger(Protocol):
    """Where a turn writes down what is done; raises RunInterrupted where the run is not ours any more."""

    async def keep_item(
        self, node_id: str, iteration: str, index: int, outputs: Sequence[Output]
    ) -> None: ...

    async def respond(self, response: Mapping[str, Any]) -> None: ...

    async def call(self, place: str, call: CallWorkflow, attempt: int) -> str:
        """Start a sub-workflow, once for each try at a place; return its execution's id. Raises NodeError."""
        ...


@dataclass(frozen=True, slots=True)
class Waiting:
    """What an item waits for: {"for": "time" | "reply" | "execution", "until", "execution_id"}."""

    what: dict[str, Any]


@dataclass(slots=True)
class TurnResult:
    """What came of a turn: the outputs that there are, and what is still waited for, by index of the input item."""

    finished: dict[int, list[Output]] = field(default_factory=dict)
    waiting: dict[str, Any] = field(default_factory=dict)
    attempts: int = 1
    error: dict[str, Any] | None = None
    """The last one, where the run went on in spite of it."""
    commits: list[tuple[int, InTransaction]] = field(default_factory=list)
    """What is to be done in the transaction that writes it down, and for which item: its result is the first output."""

    @property
    def outputs(self) -> list[Output]:
        return [output for index in sorted(self.finished) for output in self.finished[index]]

    @property
    def wake_at(self) -> datetime | None:
        moments = [read_moment(one["until"]) for one in self.waiting.values() if one.get("until")]
        return min(moments, default=None)


@dataclass(frozen=True, slots=True)
class Turn:
    """A node at work on what has come in."""

    node: NodeDef
    type: NodeType[Any]
    data: Mapping[str, Any]
    """The node's, as its type prepares it."""
    iteration: str
    inputs: Sequence[Input]
    ready_at: datetime
    progress: Progress
    run: RunContext
    root_id: str
    services: Services
    ledger: Ledger
    log: RunLog
    kept: Mapping[int, Sequence[Output]]
    """Items that an earlier worker has finished."""
    waited: Mapping[str, Any]
    """What they waited for, and, under "came", what has come."""

    async def take(self) -> TurnResult:
        """Raises NodeFailed, RunInterrupted and what an outage of the database raises."""
        result = TurnResult()
        await read_ahead(self.data)
        indexes = range(1 if self.type.whole or self.node.execute_once else len(self.inputs))
        if len(self.inputs) > MAX_ITEMS:
            return self._too_much(
                f"{len(self.inputs)} items came in; {MAX_ITEMS} are the most.", "too_many_items"
            )
        for index in indexes:
            if index in self.kept:
                result.finished[index] = list(self.kept[index])
                continue
            if len(result.waiting) >= MAX_CHILDREN:
                result.waiting.setdefault("more", {"for": "turn"})
                break
            await self._take_item(index, result, many=len(indexes) > 1)
            await asyncio.sleep(0)  # others have their turn, and limits of time are looked at
        if len(result.outputs) > MAX_ITEMS:
            return self._too_much(
                f"It gave {len(result.outputs)} items; {MAX_ITEMS} are the most.", "too_many_items"
            )
        size = len(msgspec.json.encode(result.outputs)) if len(result.outputs) > 1 else 0
        if size > MAX_STEP_BYTES:
            return self._too_much(
                f"It gave {size:,} bytes in all; {MAX_STEP_BYTES:,} are the most.", "too_large"
            )
        return result

    def _too_much(self, detail: str, code: str) -> TurnResult:
        """Return what goes on in place of more than can be kept. Raises NodeFailed where that stops the run."""
        failure = self._failed(NodeError(detail, code=code), 0, 1)
        self.log.add("node.failed", **self._about(0, many=False), error=shown_error(failure.error))
        if self.node.on_error == "stopWorkflow":
            raise failure
        finished: dict[int, list[Output]] = {}
        for index, one in enumerate(self.inputs[:MAX_ITEMS]):
            handle, item = failed_item(failure.error, one.item, self._failed_handle())
            finished[index] = [(handle, index, item)]
        return TurnResult(finished=finished, error=failure.error)

    async def _take_item(self, index: int, result: TurnResult, *, many: bool) -> None:
        came = self.waited.get(str(index))
        if came is not None and "came" not in came:
            result.waiting[str(index)] = came
            return
        started = asyncio.get_running_loop().time()
        resumed = None if came is None else came["came"]
        self.log.add("node.started", **self._about(index, many), data=preview(self._item(index)))
        first = 1 if came is None else came.get("try", 1)
        outputs, outcome, error, attempts = await self._try(index, resumed, first)
        result.attempts = max(result.attempts, attempts)
        result.error = error or result.error
        if isinstance(outcome, Waiting):
            result.waiting[str(index)] = outcome.what
            self.log.add("node.waiting", **self._about(index, many), until=outcome.what.get("until"))
            return
        if isinstance(outcome, Respond):
            await self.ledger.respond(
                {"status": outcome.status, "headers": dict(outcome.headers), "body": outcome.body}
            )
        if isinstance(outcome, Emit) and outcome.commit is not None:
            result.commits.append((index, outcome.commit))
        elif many and self.type.has_effects:
            await self.ledger.keep_item(self.node.id, self.iteration, index, outputs)
        result.finished[index] = outputs
        if error is None:
            self.log.add(
                "node.finished",
                **self._about(index, many),
                duration_ms=round((asyncio.get_running_loop().time() - started) * 1000, 1),
                items=_counted(outputs),
                data=preview(outputs[0][2]) if outputs else None,
            )

    async def _try(
        self, index: int, resumed: Any, first: int
    ) -> tuple[list[Output], "Emit | Respond | Waiting | None", dict[str, Any] | None, int]:
        """Return outputs, outcome, the error that was passed over, and the number of the last try."""
        attempt = first - 1
        while True:
            attempt += 1
            try:
                outcome = await self._attempt(index, attempt, resumed)
                return self._checked_outputs(index, outcome), outcome, None, attempt
            except NodeError as exc:
                if attempt < self._tries(exc):
                    delay_s = self._delay_s(exc, attempt)
                    self.log.add(
                        "node.retried",
                        **self._about(index, many=False),
                        attempt=attempt,
                        delay_ms=round(delay_s * 1000),
                        error=shown_error(self._error(exc, index, attempt)),
                    )
                    await asyncio.sleep(delay_s)
                    if isinstance(resumed, dict) and "execution_id" in resumed:
                        resumed = None  # that one has failed: another is called
                    continue
                failure = self._failed(exc, index, attempt)
                self.log.add(
                    "node.failed", **self._about(index, many=False), error=shown_error(failure.error)
                )
                if self.node.on_error == "stopWorkflow":
                    raise failure from exc
                goes, item = failed_item(failure.error, self._item(index), self._failed_handle())
                return [(goes, index, item)], None, failure.error, attempt

    async def _attempt(self, index: int, attempt: int, resumed: Any) -> "Emit | Respond | Waiting":
        timeout_s = self.node.timeout or DEFAULT_TIMEOUT_S
        try:
            async with asyncio.timeout(timeout_s):
                call = self._call(index, attempt, resumed, timeout_s)
                with WORKFLOW_NODE_SECONDS.labels(self.node.type).time():
                    outcome = await self.type.run(call)
                return await self._settle(index, attempt, outcome)
        except TimeoutError as exc:
            raise NodeError(f"It took longer than {timeout_s:g} s.", code="timeout", retryable=True) from exc
        except (NodeError, RunInterrupted):
            raise
        except Exception as exc:
            raise _as_node_error(exc, self) from exc

    def _call(self, index: int, attempt: int, resumed: Any, timeout_s: float) -> Call[Any]:
        return Call(
            node_id=self.node.id,
            config=self._config(index),
            item=self._item(index),
            items=[one.item for one in self.inputs],
            handles=[one.handle for one in self.inputs],
            idempotency_key=str(uuid.uuid5(_KEYS, f"{self.root_id}/{self.node.id}/{self.iteration}/{index}")),
            attempt=attempt,
            now=self.ready_at,
            run=self.run,
            services=self.services,
            resumed=resumed,
            timeout_s=timeout_s,
        )

    def _config(self, index: int) -> Any:
        """Return the node's data with its expressions evaluated, as its type wants it. Raises NodeError."""
        scope = scope_for(
            self.progress, self.run, self.node.id, self.iteration, self.inputs, index, self.ready_at
        )
        rendered: dict[str, Any] = {}
        # One time for all expressions of an item: the loop waits for them, and with it everybody's runs.
        began = time.monotonic()
        for name in self.type.config.__struct_encode_fields__:
            if name not in self.data:
                continue
            try:
                rendered[name] = render(self.data[name], scope, deadline=began + EXPRESSIONS_S)
            except ExpressionError as exc:
                raise NodeError(
                    exc.detail, code="expression", field=f"data.{name}", expression=exc.expression
                ) from exc
        try:
            return msgspec.convert(rendered, self.type.config)
        except msgspec.ValidationError as exc:
            detail, _, inside = str(exc).partition(" - at `$")
            raise NodeError(detail, code="bad_config", field=f"data{inside.rstrip('`')}") from exc

    def _item(self, index: int) -> Any:
        return self.inputs[index].item if index < len(self.inputs) else {}

    def _checked_outputs(self, index: int, outcome: "Emit | Respond | Waiting") -> list[Output]:
        """Raises NodeError for what cannot be kept: it is the node's failure, and goes by its onError."""
        try:
            return self._outputs(index, outcome)
        except EngineError as exc:
            raise NodeError(str(exc), code="bad_value") from exc

    def _outputs(self, index: int, outcome: "Emit | Respond | Waiting") -> list[Output]:
        if isinstance(outcome, Waiting):
            return []
        given = list(outcome.outputs)
        origins = outcome.origins if isinstance(outcome, Emit) else None
        what = f"What {self.node.label} gives"
        return [
            (handle, index if origins is None else origins[place], storable(item, what))
            for place, (handle, item) in enumerate(given)
        ]

    async def _settle(self, index: int, attempt: int, outcome: Outcome) -> "Emit | Respond | Waiting":
        """Return what is waited for, where an outcome is no end yet; a sub-workflow is started. Raises NodeError."""
        match outcome:
            case Wait():
                until = None if outcome.until is None else outcome.until.isoformat()
                return Waiting({"for": "reply" if outcome.for_reply else "time", "until": until})
            case CallWorkflow():
                place = f"{self.node.id}/{self.iteration}/{index}"
                execution_id = await self.ledger.call(place, outcome, attempt)
                if outcome.wait:
                    return Waiting({"for": "execution", "execution_id": execution_id, "try": attempt})
                return Emit([(self._first_handle(), {"execution_id": execution_id})])
            case _:
                return outcome

    def _tries(self, exc: NodeError) -> int:
        if self.node.retry_on_fail is False:
            return 1
        if exc.code in {"expression", "bad_config", "stopped"} or not (
            exc.retryable or self.node.retry_on_fail
        ):
            return 1
        return self.node.max_tries or self.services.settings.workflow_retry_attempts

    def _delay_s(self, exc: NodeError, attempt: int) -> float:
        """Twice as long with each try, spread a little; no sooner than the other side has asked for."""
        backoff_s = self.node.wait_between_tries / 1000 * 2 ** (attempt - 1) * random.uniform(0.8, 1.2)  # noqa: S311
        return float(min(max(backoff_s, exc.retry_after_s or 0.0), MAX_DELAY_S))

    def _failed_handle(self) -> str:
        return (
            ERROR
            if self.node.on_error == "continueErrorOutput"
            else self.type.fallback_handle(self.node.data)
        )

    def _first_handle(self) -> str:
        return next(iter(self.type.outputs(self.node.data)), OUTPUT)

    def _about(self, index: int, many: bool) -> dict[str, Any]:
        return {
            "node": self.node.id,
            "name": self.node.name or None,
            "type": self.node.type,
            "iteration": self.iteration or None,
            "item": index if many else None,
        }

    def _error(self, exc: NodeError, index: int, attempt: int) -> dict[str, Any]:
        error = {
            "node": self.node.id,
            "name": self.node.label,
            "type": self.node.type,
            "code": exc.code,
            "message": shorten(exc.detail),
            "field": exc.field,
            "expression": exc.expression,
            "iteration": self.iteration or None,
            "item": index if len(self.inputs) > 1 and not self.type.whole else None,
            "attempt": attempt,
        }
        return {name: value for name, value in error.items() if value is not None}

    def _failed(self, exc: NodeError, index: int, attempt: int) -> NodeFailed:
        return NodeFailed(self._error(exc, index, attempt))


def _as_node_error(exc: Exception, turn: Turn) -> NodeError:
    """Return what a node's failure is called. Raises what is no failure of the node: an outage of our own database."""
    if is_outage(exc):
        raise RunInterrupted from exc
    match exc:
        case PlanLimitReached() | BudgetReached() | Refused():
            return NodeError(str(exc), code="plan_limit")
        case Problem():
            return NodeError(exc.detail or "It was refused.", code=f"refused_{int(exc.status_code)}")
        case EngineError():
            return NodeError(str(exc), code="bad_value")
        case _:
            log.error(
                "node_crashed", node_type=turn.node.type, execution_id=turn.run.execution_id, exc_info=exc
            )
            return NodeError(f"An unexpected error occurred ({type(exc).__name__}).", code="internal")


def _counted(outputs: Sequence[Output]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for handle, _, _ in outputs:
        counts[handle] = counts.get(handle, 0) + 1
    return counts


def read_moment(text: str) -> datetime:
    return datetime.fromisoformat(text)
