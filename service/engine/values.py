"""JSON values as PostgreSQL can hold them, within bounds."""

from typing import Any

import msgspec

from service.engine.errors import EngineError

MAX_INPUT_BYTES = 1024 * 1024
"""Of what a run is started with, and of what one node gives."""


class TooLarge(EngineError):
    """A value is larger than what is stored."""

    def __init__(self, what: str, size_bytes: int, at_most: int) -> None:
        super().__init__(f"{what} has {size_bytes:,} bytes as JSON; {at_most:,} are the most.")
        self.size_bytes = size_bytes


def too_large(size_bytes: int) -> dict[str, Any]:
    """Return what stands for an output that is not kept."""
    return {"too_large": True, "size_bytes": size_bytes, "max_bytes": MAX_INPUT_BYTES}


def is_too_large(output: Any) -> bool:
    return isinstance(output, dict) and output.keys() == too_large(0).keys() and output["too_large"] is True


def storable(value: Any, what: str, at_most: int = MAX_INPUT_BYTES) -> Any:
    """Return value without NUL characters and lone surrogates. Raises TooLarge, and EngineError for what is no JSON."""
    try:
        encoded = msgspec.json.encode(value)
    except UnicodeEncodeError:
        return storable(_without(value, what), what, at_most)
    except (TypeError, ValueError, RecursionError) as exc:
        raise EngineError(f"{what} is no JSON value that can be stored: {exc}") from exc
    if len(encoded) > at_most:
        raise TooLarge(what, len(encoded), at_most)
    return _without(value, what) if b"\\u0000" in encoded else value


def _without(value: Any, what: str) -> Any:
    try:
        return _cleaned(value)
    except RecursionError as exc:
        raise EngineError(f"{what} is nested too deeply.") from exc


def _cleaned(value: Any) -> Any:
    match value:
        case str():
            return value.replace("\x00", "").encode("utf-8", "replace").decode()
        case dict():
            return {_cleaned(key): _cleaned(inner) for key, inner in value.items()}
        case list():
            return [_cleaned(inner) for inner in value]
        case _:
            return value
