"""What builders show of the node types, made of their classes alone."""

from typing import Any

import msgspec

from service.engine.definition import NodeDef
from service.engine.nodes import NODE_TYPES
from service.engine.nodes.base import Config, NodeType


class NodeTypeInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One type. inputs and outputs are the handles of a new node; some types have others, by their configuration."""

    type: str
    label: str
    description: str
    config: dict[str, Any]
    """JSON Schema of data."""
    defaults: dict[str, Any]
    inputs: list[str]
    outputs: list[str]
    whole: bool
    has_effects: bool


class Catalogue(msgspec.Struct, frozen=True, kw_only=True):
    node_types: list[NodeTypeInfo]
    common: dict[str, Any]
    """JSON Schema of what every node has beside id, type, name and data."""


def describe_node_types() -> Catalogue:
    return Catalogue(node_types=[_describe(one) for one in NODE_TYPES.values()], common=_common())


def _describe(node_type: NodeType[Any]) -> NodeTypeInfo:
    defaults = default_data(node_type.config)
    return NodeTypeInfo(
        type=node_type.name,
        label=node_type.label,
        description=node_type.description,
        config=msgspec.json.schema(node_type.config),
        defaults=defaults,
        inputs=list(node_type.inputs(defaults)),
        outputs=list(node_type.outputs(defaults)),
        whole=node_type.whole,
        has_effects=node_type.has_effects,
    )


def default_data(config: type[Config]) -> dict[str, Any]:
    """Return the data of a new node: all that has a default other than null."""
    defaults: dict[str, Any] = {}
    for field in msgspec.structs.fields(config):
        value = field.default
        if field.default_factory is not msgspec.NODEFAULT:
            value = field.default_factory()
        if value is not msgspec.NODEFAULT and value is not None:
            defaults[field.encode_name] = msgspec.to_builtins(value)
    return defaults


def _common() -> dict[str, Any]:
    own = {"id", "type", "name", "data"}
    schema = msgspec.json.schema(NodeDef)
    properties: dict[str, Any] = schema["$defs"]["NodeDef"]["properties"]
    return {
        "type": "object",
        "properties": {name: one for name, one in properties.items() if name not in own},
    }
