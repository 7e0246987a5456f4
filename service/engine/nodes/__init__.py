"""The node types that there are, by name."""

from collections.abc import Mapping
from typing import Any

from service.engine.nodes.base import NodeType

NODE_TYPES: Mapping[str, NodeType[Any]] = {}
