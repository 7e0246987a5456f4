"""The node types that there are, by name."""

from collections.abc import Mapping
from typing import Any

from service.engine.nodes.base import NodeType
from service.engine.nodes.if_ import If
from service.engine.nodes.loop import Loop
from service.engine.nodes.merge import Merge
from service.engine.nodes.set_ import SetFields
from service.engine.nodes.stop import Stop
from service.engine.nodes.switch import Switch
from service.engine.nodes.trigger import Trigger
from service.engine.nodes.wait import WaitFor
from service.engine.nodes.workflow import RunWorkflow

_TYPES: tuple[NodeType[Any], ...] = (
    Trigger(),
    If(),
    Switch(),
    Loop(),
    Merge(),
    SetFields(),
    WaitFor(),
    RunWorkflow(),
    Stop(),
)
"""In the order in which builders and documents show them."""

NODE_TYPES: Mapping[str, NodeType[Any]] = {one.name: one for one in _TYPES}
