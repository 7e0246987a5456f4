"""docs/nodes.md has every node type, with the configuration that the code has, and examples that can be run."""

import json
import re
from typing import Any

import msgspec
import pytest

from service.engine.definition import NodeDef, read_definition
from service.engine.nodes import NODE_TYPES
from service.engine.nodes.base import NodeType
from service.engine.nodes.catalogue import describe_node_types
from tests.docs.markdown import ROOT

PAGE = ROOT / "docs" / "nodes.md"
TYPES = list(NODE_TYPES.values())


def name_of(node_type: NodeType[Any]) -> str:
    return node_type.name


def field_rows(kind: type[msgspec.Struct], left_out: frozenset[str] = frozenset()) -> list[str]:
    """Return the lines of the table that describes the fields of a Struct."""
    properties = msgspec.json.schema(kind)["$defs"][kind.__name__]["properties"]
    rows = []
    for field in msgspec.structs.fields(kind):
        if field.encode_name in left_out:
            continue
        meaning = properties[field.encode_name].get("description")
        assert meaning, f"{kind.__name__}.{field.encode_name} has no description"
        default = "required" if field.required else _default(properties[field.encode_name]["default"])
        rows.append(f"| `{field.encode_name}` | {default} | {meaning} |")
    return rows


def _default(value: Any) -> str:
    if value is None or (isinstance(value, str | list | tuple | dict) and not value):
        return "–"
    return f"`{value}`" if isinstance(value, str) else f"`{json.dumps(value)}`"


def config_rows(node_type: NodeType[Any]) -> list[str]:
    return field_rows(node_type.config)


def section(title: str) -> str:
    """Return the text below a heading of the second level."""
    (text,) = re.findall(rf"^## {title}\n(.*?)(?=^## |\Z)", PAGE.read_text(), flags=re.MULTILINE | re.DOTALL)
    return str(text)


def table(text: str) -> list[str]:
    lines = [line for line in text.splitlines() if line.startswith("| `")]
    assert text.count("|---|---|---|") <= 1
    return lines


def example(node_type: NodeType[Any]) -> NodeDef:
    (text,) = re.findall(r"^```json\n(.*?)^```", section(node_type.name), flags=re.MULTILINE | re.DOTALL)
    (node,) = read_definition([json.loads(text)], []).nodes
    return node


def test_every_type_has_a_section_and_every_section_a_type() -> None:
    headings = re.findall(r"^## (\S+)$", PAGE.read_text(), flags=re.MULTILINE)
    assert headings == list(NODE_TYPES)


@pytest.mark.parametrize("node_type", TYPES, ids=name_of)
def test_tables_are_what_the_types_say(node_type: NodeType[Any]) -> None:
    assert table(section(node_type.name)) == config_rows(node_type)


def test_the_table_of_all_nodes_is_what_the_code_says() -> None:
    common = field_rows(NodeDef, frozenset({"id", "type", "name", "data"}))
    assert table(section("What all nodes have")) == common


@pytest.mark.parametrize("node_type", TYPES, ids=name_of)
def test_examples_are_nodes_without_a_problem(node_type: NodeType[Any]) -> None:
    node = example(node_type)
    assert node.type == node_type.name
    known = {field.encode_name for field in msgspec.structs.fields(node_type.config)}
    assert set(node.data) <= known
    assert node_type.problems(node.data) == []
    # What expressions give is not known here; all else must fit.
    plain = {key: value for key, value in node.data.items() if "{{" not in json.dumps(value)}
    needed = {field.encode_name for field in msgspec.structs.fields(node_type.config) if field.required}
    msgspec.convert({**dict.fromkeys(needed, "…"), **plain}, node_type.config)


def test_builders_are_told_all_that_the_code_knows() -> None:
    catalogue = describe_node_types()
    assert [one.type for one in catalogue.node_types] == list(NODE_TYPES)
    for told, node_type in zip(catalogue.node_types, TYPES, strict=True):
        name = node_type.config.__name__
        assert set(told.config["$defs"][name]["properties"]) == {
            field.encode_name for field in msgspec.structs.fields(node_type.config)
        }
        assert told.label
        assert told.description.endswith(".")
        # What a new node starts with can be read back, but for what has no default.
        missing = {
            field.encode_name: "x" for field in msgspec.structs.fields(node_type.config) if field.required
        }
        msgspec.convert({**missing, **told.defaults}, node_type.config)
    by_type = {one.type: one for one in catalogue.node_types}
    assert by_type["trigger"].inputs == []
    assert by_type["if"].outputs == ["true", "false"]
    assert by_type["loop"].inputs == ["input", "next"]
    assert "retryOnFail" in catalogue.common["properties"]
    assert not {"id", "type", "name", "data"} & set(catalogue.common["properties"])
    msgspec.json.encode(catalogue)
