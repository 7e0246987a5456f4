"""merge: what comes in by several handles, as one list.

A connection that names no handle comes in by `input`, which is the same as `input-1`.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import zip_longest
from typing import Annotated, Any, Literal

import msgspec

from service.engine.definition import INPUT, OUTPUT
from service.engine.errors import NodeError
from service.engine.nodes.base import Call, Config, Emit, Item, NodeType

MAX_INPUTS = 10


class MergeConfig(Config, frozen=True, kw_only=True):
    mode: Annotated[
        Literal["append", "combineByPosition", "combineByField", "first"],
        msgspec.Meta(
            description="append: all, input by input. combineByPosition: the first with the first, and so on, as one "
            "object. combineByField: those with the same value under field. first: of the first input that has any."
        ),
    ] = "append"
    inputs: Annotated[
        int, msgspec.Meta(ge=2, le=MAX_INPUTS, description="How many handles there are: input-1, input-2, …")
    ] = 2
    field: Annotated[
        str,
        msgspec.Meta(
            max_length=500, description="What combineByField goes by; a.b is b in the object under a."
        ),
    ] = ""
    keep_unpaired: Annotated[
        bool, msgspec.Meta(description="Whether items that have no partner are kept when combining.")
    ] = False


class Merge(NodeType[MergeConfig]):
    name = "merge"
    label = "Merge"
    description = (
        "Waits for several branches and makes one list of their items, one after another or combined."
    )
    config = MergeConfig
    whole = True

    def inputs(self, data: Mapping[str, Any]) -> tuple[str, ...]:
        count = data.get("inputs", 2)
        known = isinstance(count, int) and 2 <= count <= MAX_INPUTS
        return (*(_handle(number) for number in range(1, (count if known else 2) + 1)), INPUT)

    def problems(self, data: Mapping[str, Any]) -> list[tuple[str, str]]:
        if data.get("mode") == "combineByField" and not data.get("field"):
            return [("field", "is missing: combineByField goes by it")]
        return []

    async def run(self, call: Call[MergeConfig]) -> Emit:
        config = call.config
        given = [_given(call, number) for number in range(1, config.inputs + 1)]
        match config.mode:
            case "append":
                rows: Iterable[Row] = ((one,) for some in given for one in some)
            case "first":
                rows = ((one,) for one in next((some for some in given if some), []))
            case "combineByPosition":
                rows = _by_position(given, keep_unpaired=config.keep_unpaired)
            case "combineByField":
                rows = _by_field(given, config.field, keep_unpaired=config.keep_unpaired)
        made = [_combined(row) if config.mode.startswith("combine") else _only(row) for row in rows]
        return Emit([(OUTPUT, item) for _, item in made], origins=[origin for origin, _ in made])


Numbered = tuple[int, Item]
"""An item, and its place among all that came in."""
Row = tuple[Numbered | None, ...]
"""What is combined into one item, by input; None where one of them has none."""


def _handle(number: int) -> str:
    return f"{INPUT}-{number}"


def _given(call: Call[MergeConfig], number: int) -> list[Numbered]:
    names = {_handle(number), INPUT} if number == 1 else {_handle(number)}
    came = enumerate(zip(call.handles, call.items, strict=True))
    # What names no handle first.
    return [
        (place, item) for place, (handle, item) in sorted(came, key=lambda one: one[1][0]) if handle in names
    ]


def _by_position(given: Sequence[Sequence[Numbered]], *, keep_unpaired: bool) -> list[Row]:
    return list(zip_longest(*given) if keep_unpaired else zip(*given, strict=False))


def _by_field(given: Sequence[Sequence[Numbered]], field: str, *, keep_unpaired: bool) -> list[Row]:
    """Return each item of the first input, with the first of every other input that has the same value.

    With keep_unpaired, what has no partner in the first input comes after.
    """
    if not field:
        raise NodeError("field is empty: combineByField goes by it.", code="bad_config", field="data.field")
    left, *others = ([(_key(one[1], field), one) for one in some] for some in given)
    # Reversed, so that the first of several stays.
    indexes = [dict(reversed(some)) for some in others]
    rows: list[Row] = [(one, *(index.get(key) for index in indexes)) for key, one in left]
    if not keep_unpaired:
        return [row for row in rows if None not in row]
    seen = {key for key, _ in left}
    alone = dict.fromkeys(key for some in others for key, _ in some if key not in seen)
    return [*rows, *((None, *(index.get(key) for index in indexes)) for key in alone)]


def _key(item: Item, field: str) -> bytes:
    value = item
    for part in field.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    if value is None:
        raise NodeError(f"An item has nothing under {field!r} to be combined by.", code="bad_item")
    return msgspec.json.encode(value, order="deterministic")


def _combined(row: Row) -> Numbered:
    """Return one object of several, of which some are missing; of keys that several have, the last counts."""
    combined: dict[str, Any] = {}
    there = [one for one in row if one is not None]
    for _, item in there:
        if not isinstance(item, dict):
            raise NodeError("Only objects can be combined.", code="bad_item")
        combined |= item
    return there[0][0], combined


def _only(row: Row) -> Numbered:
    (one,) = (one for one in row if one is not None)
    return one
