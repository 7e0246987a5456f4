"""What validation says, from a table: a workflow that is right, and one thing wrong with it at a time."""

from typing import Any

import pytest

from service.engine.definition import check_names, read_definition
from service.engine.errors import DefinitionError
from service.engine.validation import Issue, validate
from tests.service.engine.conftest import connect, node

START = node("start", "trigger")
SET = {"fields": {"x": 1}}
LOOP = [
    START,
    node("each", "loop"),
    node("ask", "ai", {"model": "m", "prompt": "p"}),
    node("end", "set", SET),
]
LOOP_EDGES = ["start>each", "each.item>ask", "ask>each.next", "each.done>end"]


def issues(nodes: list[dict[str, Any]], edges: list[Any], settings: Any = None) -> list[Issue]:
    return validate(read_definition(nodes, [connect(edge) for edge in edges], settings))


def codes(found: list[Issue]) -> list[tuple[str, str | None, str | None]]:
    return [(issue.code, issue.node, issue.field) for issue in found]


def test_the_documented_example_is_right() -> None:
    nodes = [
        {
            "id": "node-1",
            "type": "trigger",
            "name": "Webhook Trigger",
            "position": {"x": 100, "y": 100},
            "data": {"webhookUrl": "https://example.com/hook", "method": "POST"},
        },
        {
            "id": "node-2",
            "type": "ai",
            "name": "Gemini AI",
            "position": {"x": 300, "y": 100},
            "data": {"model": "gemini-1.5-flash", "prompt": "{{input.text}}", "temperature": 0.7},
        },
    ]
    edge = {"source": "node-1", "target": "node-2", "sourceHandle": "output", "targetHandle": "input"}
    assert issues(nodes, [edge]) == []


def test_a_loop_whose_body_names_what_is_around_it_is_right() -> None:
    nodes = [*LOOP]
    nodes[2] = node(
        "ask", "ai", {"model": "m", "prompt": "{{ nodes['start'].x }} {{ nodes.each }} {{ item }}"}
    )
    assert issues(nodes, LOOP_EDGES) == []


def one(kind: str, data: dict[str, Any], **more: Any) -> list[dict[str, Any]]:
    return [START, node("a", kind, data, **more)]


AI = {"model": "m", "prompt": "p"}
WRONG = [
    ("missing", one("ai", {"model": "m"}), ("missing_field", "a", "data.prompt")),
    ("type", one("ai", AI | {"temperature": "hot"}), ("bad_config", "a", "data.temperature")),
    ("range", one("ai", AI | {"temperature": 9}), ("bad_config", "a", "data.temperature")),
    ("camel", one("ai", AI | {"maxTokens": "many"}), ("bad_config", "a", "data.maxTokens")),
    ("choice", one("set", SET | {"mode": "mix"}), ("bad_config", "a", "data.mode")),
    ("nested", one("set", {"remove": ["a", 3]}), ("bad_config", "a", "data.remove[1]")),
    (
        "operator",
        one("if", {"conditions": [{"left": 1, "operator": "is", "right": 1}]}),
        ("bad_config", "a", "data.conditions[0].operator"),
    ),
    ("own rule", one("if", {}), ("bad_config", "a", "data.conditions")),
    ("cron", [node("start", "trigger", {"cron": "61 * * * *"})], ("bad_config", "start", "data.cron")),
    ("no such type", one("htp", {}), ("unknown_type", "a", "type")),
    ("expression", one("ai", AI | {"prompt": "{{ input. }}"}), ("bad_expression", "a", "data.prompt")),
    (
        "expression inside",
        one("set", {"fields": {"x": [1, "{{ inputs.x }}"]}}),
        ("bad_expression", "a", "data.fields.x[1]"),
    ),
    ("no such node", one("set", {"fields": {"x": "{{ nodes['b'].x }}"}}), ("unknown_node", "a", "data.fields.x")),
    ("itself", one("set", {"fields": {"x": "{{ nodes.a.x }}"}}), ("not_before", "a", "data.fields.x")),
]  # fmt: skip


@pytest.mark.parametrize(("nodes", "expected"), [row[1:] for row in WRONG], ids=[row[0] for row in WRONG])
def test_what_is_wrong_with_a_node(
    nodes: list[dict[str, Any]], expected: tuple[str, str | None, str | None]
) -> None:
    found = issues(nodes, ["start>a"] if len(nodes) > 1 else [])
    assert codes(found) == [expected]
    assert found[0].severity == "error"


@pytest.mark.parametrize("row", [row for row in WRONG if len(row[1]) > 1], ids=lambda row: row[0])
def test_a_disabled_node_may_be_anything(row: Any) -> None:
    nodes = [row[1][0], row[1][1] | {"disabled": True}]
    assert issues(nodes, ["start>a"]) == []


@pytest.mark.parametrize(
    "data",
    [
        {"temperature": "{{ input.heat }}"},
        {"maxTokens": "{{ input.most }}"},
        {"position": 3, "apiKeyRef": "x"},
    ],
)
def test_what_is_known_only_when_it_runs_is_let_be(data: dict[str, Any]) -> None:
    assert issues(one("ai", AI | data), ["start>a"]) == []


def test_an_expression_inside_a_list_is_let_be_and_what_is_beside_it_is_not() -> None:
    rule = {"output": "big", "conditions": "{{ input.asked }}"}
    assert issues(one("switch", {"rules": [rule]}), ["start>a"]) == []
    found = issues(one("switch", {"rules": [rule | {"conditions": "none"}]}), ["start>a"])
    assert codes(found) == [("bad_config", "a", "data.rules[0].conditions")]
    cases = {"value": "{{ input.kind }}", "cases": {"a": 3}}
    assert [issue.code for issue in issues(one("switch", cases), ["start>a"])] == ["bad_config"]


def test_a_misspelled_key_is_warned_of() -> None:
    found = issues(one("ai", AI | {"temprature": 1, "max_tokens": 5, "colour": "red"}), ["start>a"])
    assert codes(found) == [
        ("unknown_field", "a", "data.temprature"),
        ("unknown_field", "a", "data.max_tokens"),
    ]
    assert {issue.severity for issue in found} == {"warning"}


def test_each_mistake_of_a_node_is_said() -> None:
    found = issues(one("ai", {"prompt": "", "temperature": 9, "topP": "x"}), ["start>a"])
    assert {issue.field for issue in found} == {"data.model", "data.prompt", "data.temperature", "data.topP"}


TWO = [START, node("a", "set", SET), node("q", "if", {"condition": "{{ input.x }}"})]
WIRED = [
    (["start>a", "a>q", "q.yes>a"], "unknown_handle", "connections[2].sourceHandle"),
    (["start>a", "a>q.left"], "unknown_handle", "connections[1].targetHandle"),
    (["start>a", "a.error>q"], "no_error_output", "connections[1].sourceHandle"),
    (["start>a", "a>q", "a>gone"], "unknown_node", "connections[2].target"),
    (["start>a", "a>q", "gone>a"], "unknown_node", "connections[2].source"),
    (["start>a", "a>q", "q.true>start"], "unknown_handle", "connections[2].targetHandle"),
    (["start>a", "a>q", "a>q"], "duplicate_connection", "connections[2]"),
    (["start>a", "a>q", "q.true>a"], "bad_graph", None),
    (["start>a"], "unreachable", None),
]


@pytest.mark.parametrize(("edges", "code", "field"), WIRED)
def test_what_is_wrong_with_connections(edges: list[str], code: str, field: str | None) -> None:
    assert (code, field) in [(issue.code, issue.field) for issue in issues(TWO, edges)]


def test_a_node_with_an_error_output_has_the_handle() -> None:
    nodes = [START, node("a", "set", SET, onError="continueErrorOutput"), TWO[2]]
    assert issues(nodes, ["start>a", "a.error>q"]) == []


def test_a_switch_has_the_handles_of_its_rules() -> None:
    rules = [{"output": "big", "conditions": [{"left": "{{ input.n }}", "operator": "greater", "right": 9}]}]
    nodes = [START, node("s", "switch", {"rules": rules}), node("a", "set", SET)]
    assert issues(nodes, ["start>s", "s.big>a", "s.default>a"]) == []
    assert [issue.code for issue in issues(nodes, ["start>s", "s.small>a"])] == ["unknown_handle"]


def test_ids_are_unique() -> None:
    assert ("duplicate_id", "a", "id") in codes(
        issues([START, node("a", "set", SET), node("a", "set", SET)], ["start>a"])
    )


def test_there_is_a_trigger() -> None:
    assert [issue.code for issue in issues([node("a", "set", SET)], [])] == ["no_trigger"]
    assert [issue.code for issue in issues([START | {"disabled": True}], [])] == ["no_trigger"]
    assert [issue.code for issue in issues([], [])] == ["no_trigger"]


def test_what_a_loop_did_inside_is_not_seen_outside() -> None:
    nodes = [*LOOP[:3], node("end", "set", {"fields": {"x": "{{ items_of('ask') }}"}})]
    assert codes(issues(nodes, LOOP_EDGES)) == [("inside_loop", "end", "data.fields.x")]


def test_a_loop_that_nothing_comes_back_to_is_warned_of() -> None:
    found = issues(LOOP, ["start>each", "each.item>ask", "each.done>end"])
    assert [(issue.code, issue.severity) for issue in found] == [("open_loop", "warning")]
    found = issues(LOOP, ["start>each", "each.done>end", "each.done>ask"])
    assert [issue.code for issue in found] == ["empty_loop"]


@pytest.mark.parametrize("settings", [{"timezone": "Berlin"}, {"errorWorkflow": " "}])
def test_settings(settings: dict[str, Any]) -> None:
    (found,) = issues([START], [], settings)
    assert found.field == f"settings.{next(iter(settings))}"
    assert issues([START], [], {"timezone": "Europe/Berlin", "theme": "dark"}) == []


def test_a_node_named_by_its_label_gets_a_hint() -> None:
    nodes = [START | {"name": "My start"}, node("a", "set", {"fields": {"x": "{{ nodes['My start'].x }}"}})]
    (found,) = issues(nodes, ["start>a"])
    assert found.code == "unknown_node"
    assert "'start'" in found.message


def test_errors_come_before_warnings() -> None:
    nodes = [
        START,
        node("a", "ai", {"model": "m", "prompt": "p", "temperature": 9, "topp": 1}),
        node("b", "set", SET),
    ]
    assert [issue.severity for issue in issues(nodes, ["start>a"])] == ["error", "warning", "warning"]


def test_what_is_said_is_small_however_much_is_wrong() -> None:
    found = issues(one("set", {"fields": {"k" * 60_000: ["{{"] * 1_500}}), ["start>a"])
    assert len(found) == 501
    assert codes(found)[0] == ("bad_expression", "a", f"data.fields.{'k' * 60}…[0]")
    assert codes(found)[-1] == ("more_issues", None, None)
    assert found[-1].severity == "error"
    assert sum(len(str(issue)) for issue in found) < 200_000


def test_warnings_do_not_keep_errors_from_being_said() -> None:
    nodes = [START, *(node(f"n{place}", "set", {**SET, "field": 1, "Mode": 1}) for place in range(199))]
    found = issues(nodes, ["start>nowhere"] * 300)
    errors = [issue for issue in found if issue.severity == "error"]
    assert (len(errors), len(found)) == (300, 501)
    assert found[-1].message == "And 497 more warnings."


def test_a_handle_that_is_not_there_is_said_without_all_that_are() -> None:
    rules = [{"output": f"{'o' * 1_000}{place}", "condition": True} for place in range(25)]
    nodes = [START, node("a", "switch", {"rules": rules}), node("b", "set", SET)]
    wrong = [{"source": "a", "target": "b", "sourceHandle": f"{'h' * 1_000}{place}"} for place in range(400)]
    found = [issue for issue in issues(nodes, ["start>a", *wrong]) if issue.code == "unknown_handle"]
    assert len(found) == 400
    assert found[0].message.endswith(" and 6 more.")
    assert max(len(issue.message) for issue in found) < 2_000


@pytest.mark.parametrize(
    ("texts", "what"),
    [
        (["{{1}}"] * 2_001, "More than 2,000 texts of the workflow hold expressions"),
        ([f"{{{{ [{'1, ' * 150}{place}] }}}}" for place in range(150)], "have more than 20,000 parts"),
        ([f"{{{{ [{'1, ' * 3_000}{place}" for place in range(20)], "have more than 20,000 parts"),
    ],
)
def test_there_may_be_so_many_expressions(texts: list[str], what: str) -> None:
    found = issues(one("set", {"fields": {"x": texts}}), ["start>a"])
    [issue] = found
    assert (issue.code, issue.node) == ("too_many_expressions", "a")
    assert what in issue.message
    assert issues(one("set", {"fields": {"x": ["{{1}}"] * 2_000}}), ["start>a"]) == []


def test_a_long_name_is_refused_and_where_it_is_stored_it_is_read_as_its_beginning() -> None:
    nodes = [node("start", "trigger", name="n" * 201), node("a", "set", SET, name="m" * 200)]
    with pytest.raises(DefinitionError) as caught:
        check_names(nodes)
    assert str(caught.value) == "nodes[0].name: has 201 characters; 200 are the most"
    first, second = read_definition(nodes, [connect("start>a")]).nodes
    assert (first.name, second.name) == ("n" * 199 + "…", "m" * 200)
    assert nodes[0]["name"] == "n" * 201
