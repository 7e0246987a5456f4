"""What a template takes along of a workflow, and a clone of a template: nothing that is somebody's alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from service.engine.definition import Definition, read_definition
from service.engine.errors import EngineError
from service.engine.sharing import strip_credentials
from service.engine.values import storable
from service.errors import Problem

_OF_THEIR_OWNER = frozenset({"errorWorkflow"})
"""Settings that name what is in the space of a workflow alone."""


@dataclass(frozen=True, slots=True)
class Content:
    nodes: Sequence[Any]
    connections: Sequence[Any]
    settings: Mapping[str, Any]
    definition: Definition


def shared_content(nodes: Any, connections: Any, settings: Any) -> Content:
    """Return a workflow without credentials and settings of its owner's. Raises Problem 422 for what is none.

    A name of a credential must not travel: in somebody else's space it may be the name of one of theirs, and the
    node may send it anywhere.
    """
    try:
        given = storable([nodes or [], connections or [], settings or {}], "The workflow")
        # Before anything is taken out, so that what is wrong is named by the place where it was sent.
        read_definition(*given)
        kept = strip_credentials(given[0] if isinstance(given[0], list) else [])
        joined = strip_credentials(given[1] if isinstance(given[1], list) else [])
        [settings_kept] = strip_credentials([given[2]])
        shared = {name: value for name, value in settings_kept.items() if name not in _OF_THEIR_OWNER}
        return Content(kept, joined, shared, read_definition(kept, joined, shared))
    except (RecursionError, OverflowError) as exc:
        raise Problem(
            HTTPStatus.UNPROCESSABLE_ENTITY, "The workflow is nested too deeply, or holds too large a number."
        ) from exc
    except EngineError as exc:
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, str(exc)) from exc
