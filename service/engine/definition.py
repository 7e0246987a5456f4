"""A workflow as it is drawn and stored: nodes and connections, in the platform's JSON, and its settings.

Reading is lenient: what a builder adds of its own stays in the JSON as it came, and a draft may be incomplete. What
must be so before it can run is for validation.py to say.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, TypeVar

import msgspec

from service.engine.errors import DefinitionError

T = TypeVar("T")

OnError = Literal["stopWorkflow", "continueRegularOutput", "continueErrorOutput"]

OUTPUT = "output"
INPUT = "input"
ERROR = "error"
"""The handle that failed items leave by, where a node's onError is continueErrorOutput."""

MAX_NODES = 200
MAX_CONNECTIONS = 1_000
MAX_NAME_CHARS = 200

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_NAME_CHARS)]


class NodeDef(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One node. data is what its type is configured by (service/engine/nodes); the rest is the same for all."""

    id: Name
    type: Name
    name: Annotated[str, msgspec.Meta(max_length=MAX_NAME_CHARS)] = ""
    data: dict[str, Any] = {}
    on_error: Annotated[
        OnError,
        msgspec.Meta(
            description="Where it fails for good: stopWorkflow, the run fails; continueRegularOutput, it goes on "
            "with the error in the item; continueErrorOutput, it goes on by the handle error."
        ),
    ] = "stopWorkflow"
    retry_on_fail: Annotated[
        bool | None,
        msgspec.Meta(
            description="Which failures are tried again. Unset: those that may heal; true: all; false: none."
        ),
    ] = None
    max_tries: Annotated[
        Annotated[int, msgspec.Meta(ge=1, le=10)] | None,
        msgspec.Meta(description="The first one included. Unset: WORKFLOW_RETRY_ATTEMPTS."),
    ] = None
    wait_between_tries: Annotated[
        int,
        msgspec.Meta(
            ge=0, le=300_000, description="Milliseconds before the second try; it doubles with each."
        ),
    ] = 1_000
    timeout: Annotated[
        Annotated[float, msgspec.Meta(gt=0, le=86_400)] | None,
        msgspec.Meta(description="Seconds for one try. Unset: 120."),
    ] = None
    disabled: Annotated[bool, msgspec.Meta(description="Passes on what comes in.")] = False
    execute_once: Annotated[bool, msgspec.Meta(description="Works on the first item alone.")] = False
    always_output_data: Annotated[
        bool, msgspec.Meta(description="Goes on with an empty item where there would be none.")
    ] = False

    @property
    def label(self) -> str:
        return self.name or self.id


class ConnectionDef(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    source: Name
    target: Name
    source_handle: str | None = None
    target_handle: str | None = None

    @property
    def leaves_by(self) -> str:
        return self.source_handle or OUTPUT

    @property
    def enters_by(self) -> str:
        return self.target_handle or INPUT


class WorkflowSettings(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Keys that are not known are kept in the JSON, and mean nothing here."""

    execution_timeout: Annotated[float, msgspec.Meta(gt=0, le=7 * 86_400)] | None = None
    """Seconds of work, waiting not counted."""
    error_workflow: str | None = None
    """Id of the workflow that is run when this one fails by itself."""
    timezone: str | None = None
    notify_on_success: bool = False
    notify_on_failure: bool = True


class Definition(msgspec.Struct, frozen=True, kw_only=True):
    nodes: tuple[NodeDef, ...]
    connections: tuple[ConnectionDef, ...]
    settings: WorkflowSettings = WorkflowSettings()


def read_definition(nodes: Any, connections: Any, settings: Any = None) -> Definition:
    """Return what the JSON says. Raises DefinitionError, whose path leads to what is wrong: nodes[2].type.

    A longer name than there may be is read as its beginning: what is stored may have one.
    """
    # The platform's seeds have {} where there is nothing yet.
    node_list = _listed(nodes, "nodes", MAX_NODES)
    connection_list = _listed(connections, "connections", MAX_CONNECTIONS)
    return Definition(
        nodes=tuple(_read(_named(node), NodeDef, f"nodes[{place}]") for place, node in enumerate(node_list)),
        connections=tuple(
            _read(connection, ConnectionDef, f"connections[{place}]")
            for place, connection in enumerate(connection_list)
        ),
        settings=_read(settings or {}, WorkflowSettings, "settings"),
    )


def check_names(nodes: Any) -> None:
    """Raise DefinitionError for a name that is too long: each entry of a run's log has it."""
    for place, node in enumerate(nodes if isinstance(nodes, list) else ()):
        if _named(node) is not node:
            length = len(node["name"])
            raise DefinitionError(
                f"has {length:,} characters; {MAX_NAME_CHARS} are the most", path=f"nodes[{place}].name"
            )


def _named(node: Any) -> Any:
    """Return a node as it is, or with the beginning of its name where that is too long."""
    name = node.get("name") if isinstance(node, dict) else None
    if not isinstance(name, str) or len(name) <= MAX_NAME_CHARS:
        return node
    return node | {"name": name[: MAX_NAME_CHARS - 1] + "…"}


def _listed(value: Any, name: str, at_most: int) -> Sequence[Any]:
    if isinstance(value, Mapping) and not value:
        return []
    if not isinstance(value, list):
        raise DefinitionError("must be a list", path=name)
    if len(value) > at_most:
        raise DefinitionError(f"has {len(value)} entries; {at_most} are the most", path=name)
    return value


def _read(value: Any, kind: type[T], path: str) -> T:
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as exc:
        detail, _, inside = str(exc).partition(" - at `$")
        raise DefinitionError(detail, path=path + inside.rstrip("`")) from exc
