"""The node types that there are, by name."""

from collections.abc import Mapping
from typing import Any

from service.engine.nodes.ai import Ai
from service.engine.nodes.answer import Answer
from service.engine.nodes.base import NodeType
from service.engine.nodes.document import Document
from service.engine.nodes.http import Http
from service.engine.nodes.if_ import If
from service.engine.nodes.loop import Loop
from service.engine.nodes.merge import Merge
from service.engine.nodes.notify import Notify
from service.engine.nodes.respond import RespondToWebhook
from service.engine.nodes.search import Search
from service.engine.nodes.set_ import SetFields
from service.engine.nodes.stop import Stop
from service.engine.nodes.switch import Switch
from service.engine.nodes.trigger import Trigger
from service.engine.nodes.wait import WaitFor
from service.engine.nodes.workflow import RunWorkflow

_TYPES: tuple[NodeType[Any], ...] = (
    Trigger(),
    Search(),
    Answer(),
    Ai(),
    Document(),
    Http(),
    SetFields(),
    If(),
    Switch(),
    Loop(),
    Merge(),
    WaitFor(),
    Notify(),
    RespondToWebhook(),
    RunWorkflow(),
    Stop(),
)
"""In the order in which builders and documents show them."""

NODE_TYPES: Mapping[str, NodeType[Any]] = {one.name: one for one in _TYPES}
