"""What a node type is: one small class a file, with a typed configuration.

    engine                                  node type
    ──────                                  ─────────
    items that come in ─► for each of them: data with its expressions evaluated ─► Config ─► run(call) ─► Outcome

The engine does all that is the same for every type: expressions, time limits, tries, onError, checkpoints, the log.
A type that is registered in nodes/__init__.py needs nothing else anywhere: validation, the builder's list and the
documents come from its class.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

import msgspec

from db.pool import Conn
from service.engine.definition import INPUT, OUTPUT

if TYPE_CHECKING:
    from service.engine.services import Services

Item = Any
"""A JSON value that travels along connections; nearly always an object."""


class Config(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The base of every type's configuration: the known keys of a node's data. Others are left alone.

    Fields say what they mean in Annotated[..., msgspec.Meta(description=…)]: the builder shows it.
    """


C = TypeVar("C", bound=Config)


@dataclass(frozen=True, slots=True)
class RunContext:
    """The run that a node works in. Nothing here is of another tenant."""

    execution_id: str
    workflow_id: str
    workflow_name: str
    user_id: str
    """For whom it runs: the workflow's owner, or who started it."""
    subject: str
    team_id: str | None
    """Whose the workflow is, if a team's."""
    space_id: str
    """What it may search and change: the team's documents, else the owner's own."""
    depth: int
    mode: str
    """manual, webhook, schedule, api, event, workflow, error or test."""
    trigger: Mapping[str, Any]
    """What it was started with: {"data": …} and, by how it was started, headers, query, method, event, scheduled_at."""
    resume_url: str
    """Where a waiting run is answered; see nodes/wait.py."""


@dataclass(frozen=True, slots=True)
class Call(Generic[C]):
    """One turn of a node: for one item, or for all of them where the type is `whole`."""

    node_id: str
    config: C
    item: Item
    """The item; of a `whole` type the first, or {}."""
    items: Sequence[Item]
    """All that came in, in order."""
    handles: Sequence[str]
    """Which handle each of them came in by."""
    idempotency_key: str
    """The same in every try, on every worker, and when a failed run is taken up."""
    attempt: int
    """From 1."""
    now: datetime
    """When the node became ready: the same in every try."""
    run: RunContext
    services: "Services"
    resumed: Any = None
    """What has come, where the node has waited for it; see Wait and CallWorkflow."""
    timeout_s: float = 120.0
    """The engine cancels the turn then; what is asked of others should take less."""


InTransaction = Callable[[Conn], Awaitable[Item | None]]


@dataclass(frozen=True, slots=True)
class Emit:
    """What goes on: (handle, item) in order.

    commit runs in the transaction that writes the node's end down (as the service, no network in it), so that what it
    changes in our database happens exactly once. If it returns an item, that replaces the first one here.
    origins: which of call.items each stems from, where that is not the item at hand.
    """

    outputs: Sequence[tuple[str, Item]]
    commit: InTransaction | None = None
    origins: Sequence[int] | None = None


@dataclass(frozen=True, slots=True)
class Wait:
    """Lay the run aside until then, or, where for_reply, until somebody answers, whichever is first.

    The node runs again with call.resumed: {"reply": …} or {"timed_out": true}.
    """

    until: datetime | None
    for_reply: bool = False


@dataclass(frozen=True, slots=True)
class CallWorkflow:
    """Run another workflow, and go on when it has ended.

    call.resumed is then {"status", "output", "error", "execution_id"}.
    """

    workflow_id: str
    data: Any
    wait: bool = True


@dataclass(frozen=True, slots=True)
class Respond:
    """Answer the webhook that the run was started by, and go on with outputs."""

    status: int
    headers: Mapping[str, str]
    body: Any
    outputs: Sequence[tuple[str, Item]] = field(default_factory=tuple)


Outcome = Emit | Wait | CallWorkflow | Respond


class NodeType(Generic[C]):
    """One type of node. Subclasses set the class variables and write `run`; they hold no state."""

    name: ClassVar[str]
    """As definitions call it."""
    label: ClassVar[str]
    description: ClassVar[str]
    """A sentence or two, for the builder."""
    config: type[C]
    whole: ClassVar[bool] = False
    """Runs once with all items instead of once for each."""
    has_effects: ClassVar[bool] = False
    """Changes something outside, or costs something: its items are written down one by one."""
    input_handles: ClassVar[tuple[str, ...]] = (INPUT,)
    builder_keys: ClassVar[frozenset[str]] = frozenset()
    """Keys of data that are known to come from builders and mean nothing here: no warning about them."""

    def inputs(self, data: Mapping[str, Any]) -> tuple[str, ...]:
        """Return the handles that connections may come in by, from a node's data, which may be incomplete."""
        return self.input_handles

    def outputs(self, data: Mapping[str, Any]) -> tuple[str, ...]:
        """Return the handles that connections may leave by."""
        return (OUTPUT,)

    def fallback_handle(self, data: Mapping[str, Any]) -> str:
        """Return the handle by which an item goes on that the node failed for, where the run goes on."""
        return next(iter(self.outputs(data)), OUTPUT)

    def prepared(self, data: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return a node's data as its expressions are to be evaluated."""
        return data

    def problems(self, data: Mapping[str, Any]) -> list[tuple[str, str]]:
        """Return what a typed config cannot say about data: (key, what is wrong)."""
        return []

    async def run(self, call: Call[C]) -> Outcome:
        """Raises NodeError."""
        raise NotImplementedError


def emit(item: Item, handle: str = OUTPUT) -> Emit:
    """Return an outcome of one item."""
    return Emit([(handle, item)])
