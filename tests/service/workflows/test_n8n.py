"""What n8n exported, as a workflow of ours: what is taken over, and that nothing is lost unsaid."""

from typing import Any

import httpx
import pytest

from service.engine.definition import read_definition
from service.engine.validation import Issue, validate
from service.workflows.n8n import Converted, convert_workflow, is_n8n
from service.workflows.n8n.expressions import Translator


def node(name: str, kind: str, parameters: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    return {
        "parameters": parameters or {},
        "id": f"0000-{name}",
        "name": name,
        "type": kind if "." in kind else f"n8n-nodes-base.{kind}",
        "typeVersion": 1,
        "position": [240, 300],
        **more,
    }


def main(*outputs: list[str] | str) -> dict[str, Any]:
    """Return the connections of a node: for each output, the names of the nodes that it leads to."""
    return {
        "main": [
            [
                {"node": one, "type": "main", "index": 0}
                for one in ([names] if isinstance(names, str) else names)
            ]
            for names in outputs
        ]
    }


def export(nodes: list[dict[str, Any]], connections: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "name": "Support mail",
        "nodes": nodes,
        "connections": connections,
        "active": True,
        "settings": {"executionOrder": "v1"},
        "versionId": "5b0e",
        "meta": {"instanceId": "a" * 64},
        "id": "Wq1",
        "tags": [{"id": "1", "name": "mail"}],
        "pinData": {},
    } | more


def data_of(converted: Converted, node_id: str) -> dict[str, Any]:
    found: dict[str, Any] = next(one for one in converted.nodes if one["id"] == node_id)
    return dict(found["data"])


def edges(converted: Converted) -> list[tuple[str, str | None, str, str | None]]:
    return [
        (one["source"], one.get("sourceHandle"), one["target"], one.get("targetHandle"))
        for one in converted.connections
    ]


def issues(converted: Converted) -> list[Issue]:
    return validate(read_definition(converted.nodes, converted.connections, converted.settings))


def of_one(
    kind: str, parameters: dict[str, Any], version: float = 1, **more: Any
) -> tuple[str, dict[str, Any]]:
    """Return the type and data of one converted node."""
    converted = convert_workflow(export([node("One", kind, parameters, typeVersion=version, **more)], {}))
    [one] = converted.nodes
    return one["type"], one["data"]


SUPPORT = export(
    [
        node(
            "Webhook",
            "webhook",
            {"httpMethod": "POST", "path": "3a1f", "responseMode": "responseNode", "options": {}},
            typeVersion=2,
            webhookId="3a1f",
        ),
        node(
            "Get customer",
            "httpRequest",
            {
                "url": "=https://crm.example.com/customers/{{ $json.body.customer_id }}",
                "authentication": "genericCredentialType",
                "genericAuthType": "httpHeaderAuth",
                "sendQuery": True,
                "queryParameters": {"parameters": [{"name": "fields", "value": "name,plan"}]},
                "sendHeaders": True,
                "headerParameters": {
                    "parameters": [{"name": "X-Trace", "value": "={{ $json.headers['x-trace'] }}"}]
                },
                "options": {"timeout": 10000},
            },
            typeVersion=4.2,
            credentials={"httpHeaderAuth": {"id": "7", "name": "CRM key"}},
            retryOnFail=True,
            maxTries=4,
            waitBetweenTries=2000,
            onError="continueErrorOutput",
            notes="Slow on Mondays",
        ),
        node(
            "Paying?",
            "if",
            {
                "conditions": {
                    "options": {"caseSensitive": True, "leftValue": "", "typeValidation": "strict", "version": 2},
                    "conditions": [
                        {
                            "id": "c1",
                            "leftValue": "={{ $json.plan }}",
                            "rightValue": "free",
                            "operator": {"type": "string", "operation": "notEquals"},
                        },
                        {
                            "id": "c2",
                            "leftValue": "={{ $('Webhook').item.json.body.text }}",
                            "rightValue": "",
                            "operator": {"type": "string", "operation": "notEmpty", "singleValue": True},
                        },
                    ],
                    "combinator": "and",
                },
                "options": {},
            },
            typeVersion=2.2,
        ),
        node(
            "Shape",
            "set",
            {
                "assignments": {
                    "assignments": [
                        {"name": "question", "value": "={{ $node[\"Webhook\"].json.body.text }}", "type": "string"},
                        {"id": "a2", "name": "priority", "value": "3", "type": "number"},
                        {"id": "a3", "name": "customer.name", "value": "={{ $json.name }}", "type": "string"},
                    ]
                },
                "includeOtherFields": False,
                "options": {},
            },
            typeVersion=3.4,
        ),
        node(
            "Basic LLM Chain",
            "@n8n/n8n-nodes-langchain.chainLlm",
            {
                "promptType": "define",
                "text": "=Answer: {{ $json.question }}",
                "messages": {"messageValues": [{"message": "You are brief."}]},
            },
            typeVersion=1.5,
        ),
        node(
            "OpenAI Chat Model",
            "@n8n/n8n-nodes-langchain.lmChatOpenAi",
            {
                "model": {"__rl": True, "mode": "list", "value": "gpt-4o-mini"},
                "options": {"temperature": 0.2, "maxTokens": 400},
            },
            typeVersion=1.2,
            credentials={"openAiApi": {"id": "9", "name": "OpenAI"}},
        ),
        node(
            "Reply",
            "respondToWebhook",
            {
                "respondWith": "json",
                "responseBody": (
                    '={\n  "answer": "{{ $json.text }}",\n  "to": {{ $('
                    "'Shape').item.json.customer.name }}\n}"
                ),
                "options": {
                    "responseCode": 201,
                    "responseHeaders": {"entries": [{"name": "X-Flow", "value": "support"}]},
                },
            },
            typeVersion=1.1,
        ),
        node("Count words", "code", {"jsCode": "return items.map(i => i.json.text.length)"}, typeVersion=2),
        node("Nothing", "noOp"),
        node("Sticky Note", "stickyNote", {"content": "## Support"}),
    ],
    {
        "Webhook": main("Get customer"),
        "Get customer": main("Paying?", "Nothing"),
        "Paying?": main(["Shape"], ["Count words"]),
        "Shape": main("Basic LLM Chain"),
        "OpenAI Chat Model": {
            "ai_languageModel": [[{"node": "Basic LLM Chain", "type": "ai_languageModel", "index": 0}]]
        },
        "Basic LLM Chain": main("Reply"),
    },
    settings={"executionOrder": "v1", "timezone": "Europe/Berlin", "errorWorkflow": "Err1", "executionTimeout": 300},
)  # fmt: skip


def test_a_whole_workflow() -> None:
    converted = convert_workflow(SUPPORT)
    assert [(one["id"], one["type"]) for one in converted.nodes] == [
        ("webhook", "trigger"),
        ("get-customer", "http"),
        ("paying", "if"),
        ("shape", "set"),
        ("basic-llm-chain", "ai"),
        ("reply", "respond"),
        ("count-words", "n8n-nodes-base.code"),
        ("nothing", "set"),
    ]
    assert edges(converted) == [
        ("webhook", None, "get-customer", None),
        ("get-customer", None, "paying", None),
        ("get-customer", "error", "nothing", None),
        ("paying", "true", "shape", None),
        ("paying", "false", "count-words", None),
        ("shape", None, "basic-llm-chain", None),
        ("basic-llm-chain", None, "reply", None),
    ]
    assert data_of(converted, "webhook") == {
        "kind": "webhook",
        "method": "POST",
        "responseMode": "respondNode",
    }
    assert data_of(converted, "get-customer") == {
        "url": "https://crm.example.com/customers/{{ input.customer_id }}",
        "method": "GET",
        "query": {"fields": "name,plan"},
        "headers": {"X-Trace": "{{ trigger.headers['x-trace'] }}"},
        "timeout": 10.0,
        "outputMode": "body",
    }
    assert data_of(converted, "paying") == {
        "conditions": [
            {"left": "{{ input.plan }}", "operator": "notEquals", "right": "free"},
            {"left": "{{ nodes['webhook'].text }}", "operator": "isNotEmpty"},
        ],
        "combinator": "and",
    }
    assert data_of(converted, "shape") == {
        "fields": {
            "question": "{{ nodes['webhook'].text }}",
            "priority": 3,
            "customer.name": "{{ input.name }}",
        },
        "mode": "replace",
    }
    assert data_of(converted, "basic-llm-chain") == {
        "model": "gpt-4o-mini",
        "prompt": "Answer: {{ input.question }}",
        "system": "You are brief.",
        "temperature": 0.2,
        "maxTokens": 400,
    }
    assert data_of(converted, "reply") == {
        "status": 201,
        "headers": {"X-Flow": "support"},
        "body": {"answer": "{{ input.text }}", "to": "{{ nodes['shape'].customer.name }}"},
    }
    assert converted.settings == {"timezone": "Europe/Berlin", "executionTimeout": 300}
    assert converted.tags == ["mail"]
    assert [issue for issue in issues(converted) if issue.severity == "error"] == []


def test_what_the_engine_does_for_every_node_is_carried_over() -> None:
    converted = convert_workflow(SUPPORT)
    customer = next(one for one in converted.nodes if one["id"] == "get-customer")
    carried = {
        "retryOnFail": True,
        "maxTries": 4,
        "waitBetweenTries": 2000,
        "onError": "continueErrorOutput",
        "notes": "Slow on Mondays",
    }
    assert {name: customer.get(name) for name in carried} == carried
    assert customer["position"] == {"x": 240, "y": 300}
    flags: dict[str, Any] = {
        "continueOnFail": True,
        "disabled": True,
        "alwaysOutputData": True,
        "executeOnce": True,
    }
    [one] = convert_workflow(export([node("One", "noOp", **flags)], {})).nodes
    assert one["onError"] == "continueRegularOutput"
    assert (one["disabled"], one["alwaysOutputData"], one["executeOnce"]) == (True, True, True)


def test_what_there_is_not_is_kept_disabled_and_said() -> None:
    converted = convert_workflow(SUPPORT)
    code = next(one for one in converted.nodes if one["id"] == "count-words")
    assert code["disabled"] is True
    assert code["data"]["n8n"]["parameters"]["jsCode"].startswith("return items")
    notes = "\n".join(converted.notes)
    assert "Count words: there is no node type for 'n8n-nodes-base.code'" in notes
    assert "Get customer: sends credentials" in notes
    assert "errorWorkflow" in notes
    assert "Webhook: has a new address" in notes


def test_no_credential_comes_along() -> None:
    raw = node(
        "Odd", "n8n-nodes-x.odd", {"apiKey": "hunter2"}, credentials={"x": {"id": "1", "name": "hunter2"}}
    )
    converted = convert_workflow(export([raw], {}))
    assert "hunter2" not in str(converted.nodes)


EXPRESSIONS = [
    ("={{ $json.a }}", "{{ input.a }}"),
    ("={{$json.a.b[0]['c d'].e}}", "{{ input.a.b[0]['c d'].e }}"),
    ("={{ $json[\"a\"] }}", "{{ input.a }}"),
    ("={{ $json._id }}", "{{ input['_id'] }}"),
    ("={{ $input.item.json.a }}", "{{ input.a }}"),
    ("={{ $input.first().json.a }}", "{{ items[0].a }}"),
    ("={{ $('A b').item.json.x }}", "{{ nodes['a-b'].x }}"),
    ("={{ $('A b').first().json.x }}", "{{ items_of('a-b')[0].x }}"),
    ("={{ $node[\"A b\"].json.x }}", "{{ nodes['a-b'].x }}"),
    ("=Dear {{ $json.name }}, it is {{ $now }}", "Dear {{ input.name }}, it is {{ now }}"),
    ("={{ $execution.resumeUrl }}", "{{ execution.resume_url }}"),
    ("={{ $workflow.name }}", "{{ workflow.name }}"),
    ("={{ 5 }}", "{{ 5 }}"),
    ("plain", "plain"),
    ("=plain", "plain"),
]  # fmt: skip


@pytest.mark.parametrize(("theirs", "ours"), EXPRESSIONS)
def test_paths_are_translated(theirs: str, ours: str) -> None:
    said: list[str] = []
    assert Translator({"A b": "a-b"}, {}, "plain", said.append).text(theirs) == ours
    assert said == []


@pytest.mark.parametrize(
    "theirs",
    [
        "={{ $json.a.toUpperCase() }}",
        "={{ $json.a + 1 }}",
        "={{ $('Gone').item.json.x }}",
        "={{ $json.a ? 1 : 2 }}",
        "={{ $items('A b').length }}",
        "={{ $now.plus({days: 1}) }}",
        "={{ (() => 1)() }}",
    ],
)
def test_what_is_more_than_a_path_is_left_and_said(theirs: str) -> None:
    said: list[str] = []
    assert Translator({"A b": "a-b"}, {}, "plain", said.append).text(theirs) == theirs[1:]
    assert len(said) == 1


def every(**rule: Any) -> dict[str, Any]:
    return {"rule": {"interval": [rule]}}


SCHEDULES = [
    ("scheduleTrigger", every(field="cronExpression", expression="0 8 * * 1-5"), "0 8 * * 1-5"),
    ("scheduleTrigger", every(field="cronExpression", expression="0 30 9 * * *"), "30 9 * * *"),
    ("scheduleTrigger", every(field="minutes", minutesInterval=15), "*/15 * * * *"),
    ("scheduleTrigger", every(field="hours", triggerAtMinute=5), "5 * * * *"),
    ("scheduleTrigger", every(triggerAtHour=9, triggerAtMinute=30), "30 9 * * *"),
    ("scheduleTrigger", every(field="weeks", triggerAtDay=[1, 4], triggerAtHour=7), "0 7 * * 1,4"),
    ("scheduleTrigger", every(field="months", triggerAtDayOfMonth=2), "0 0 2 * *"),
    ("scheduleTrigger", every(field="seconds", secondsInterval=10), None),
    ("cron", {"triggerTimes": {"item": [{"mode": "everyWeek", "weekday": "3", "hour": 6}]}}, "0 6 * * 3"),
    ("cron", {"triggerTimes": {"item": [{"mode": "everyX", "value": 3, "unit": "hours"}]}}, "0 */3 * * *"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "parameters", "expected"), SCHEDULES)
def test_times(kind: str, parameters: dict[str, Any], expected: str | None) -> None:
    converted = convert_workflow(export([node("Clock", kind, parameters)], {}))
    [clock] = converted.nodes
    assert (clock["data"]["kind"], clock["data"].get("cron")) == ("schedule", expected)
    assert bool(converted.notes) == (expected is None)
    assert bool(issues(converted)) == (expected is None)


def test_the_first_forms_of_set_and_if() -> None:
    values = {"string": [{"name": "a", "value": "={{ $json.b }}"}], "number": [{"name": "n", "value": 3}]}
    assert of_one("set", {"values": values, "keepOnlySet": True}) == (
        "set",
        {"fields": {"a": "{{ input.b }}", "n": 3}, "mode": "replace"},
    )
    assert of_one("set", {"values": values})[1] == {"fields": {"a": "{{ input.b }}", "n": 3}}
    conditions = {"number": [{"value1": "={{ $json.n }}", "operation": "largerEqual", "value2": 5}]}
    assert of_one("if", {"conditions": conditions, "combineOperation": "any"}) == (
        "if",
        {
            "conditions": [{"left": "{{ input.n }}", "operator": "greaterOrEqual", "right": 5}],
            "combinator": "or",
        },
    )


def test_the_first_form_of_requests() -> None:
    parameters = {
        "requestMethod": "POST",
        "url": "https://example.com",
        "bodyParametersUi": {"parameter": [{"name": "a", "value": "={{ $json.b }}"}]},
        "options": {},
    }
    assert of_one("httpRequest", parameters, 2) == (
        "http",
        {
            "url": "https://example.com",
            "method": "POST",
            "body": {"a": "{{ input.b }}"},
            "outputMode": "body",
        },
    )


def test_a_switch_leads_by_its_rules() -> None:
    def rule(value: str, **more: Any) -> dict[str, Any]:
        equals = {"type": "string", "operation": "equals"}
        condition = {"leftValue": "={{ $json.kind }}", "rightValue": value, "operator": equals}
        return {"conditions": {"conditions": [condition], "combinator": "and"}} | more

    parameters = {
        "rules": {"values": [rule("a", renameOutput=True, outputKey="Apples"), rule("b")]},
        "options": {"fallbackOutput": "extra"},
    }
    nodes = [node("Start", "manualTrigger"), node("Sort", "switch", parameters, typeVersion=3.2)]
    nodes += [node(name, "noOp") for name in ("A", "B", "C")]
    converted = convert_workflow(export(nodes, {"Start": main("Sort"), "Sort": main("A", "B", "C")}))
    assert [rule["output"] for rule in data_of(converted, "sort")["rules"]] == ["Apples", "output-1"]
    assert edges(converted)[1:] == [
        ("sort", "Apples", "a", None),
        ("sort", "output-1", "b", None),
        ("sort", "default", "c", None),
    ]
    assert issues(converted) == []


def test_a_switch_of_the_first_form() -> None:
    parameters = {
        "dataType": "string",
        "value1": "={{ $json.kind }}",
        "rules": {"rules": [{"value2": "a"}, {"value2": "b", "output": 1, "operation": "contains"}]},
        "fallbackOutput": 3,
    }
    nodes = [node("Start", "manualTrigger"), node("Sort", "switch", parameters), node("B", "noOp")]
    converted = convert_workflow(export(nodes, {"Start": main("Sort"), "Sort": main([], "B")}))
    rules = data_of(converted, "sort")["rules"]
    assert [(rule["output"], rule["conditions"][0]["operator"]) for rule in rules] == [
        ("output-0", "equals"),
        ("output-1", "contains"),
    ]
    assert edges(converted)[1] == ("sort", "output-1", "b", None)
    assert any("default" in note for note in converted.notes)
    assert issues(converted) == []


def test_loops_and_merges_lead_as_they_did() -> None:
    nodes = [
        node("Start", "manualTrigger"),
        node("Loop Over Items", "splitInBatches", {"batchSize": 5, "options": {}}, typeVersion=3),
        node("Work", "noOp"),
        node("Join", "merge", {"mode": "combine", "combineBy": "combineByPosition"}, typeVersion=3),
        node("Pause", "wait", {"amount": 2, "unit": "minutes"}, typeVersion=1.1),
        node("End", "stopAndError", {"errorMessage": "=No: {{ $json.a }}"}),
    ]
    connections = {
        "Start": {
            "main": [
                [
                    {"node": "Loop Over Items", "type": "main", "index": 0},
                    {"node": "Join", "type": "main", "index": 1},
                ]
            ]
        },
        "Loop Over Items": main("Join", "Work"),
        "Work": main("Loop Over Items"),
        "Join": main("Pause"),
        "Pause": main("End"),
    }
    converted = convert_workflow(export(nodes, connections))
    assert data_of(converted, "loop-over-items") == {"batchSize": 5}
    assert data_of(converted, "join") == {"mode": "combineByPosition"}
    assert data_of(converted, "pause") == {"amount": 2, "unit": "minutes"}
    assert data_of(converted, "end") == {"error": True, "message": "No: {{ input.a }}"}
    assert ("loop-over-items", "done", "join", "input-1") in edges(converted)
    assert ("loop-over-items", "item", "work", None) in edges(converted)
    assert ("start", None, "join", "input-2") in edges(converted)
    assert [issue for issue in issues(converted) if issue.severity == "error"] == []


def test_the_openai_node_and_a_called_workflow() -> None:
    kind, data = of_one(
        "@n8n/n8n-nodes-langchain.openAi",
        {
            "modelId": {"__rl": True, "value": "gpt-4o", "mode": "list"},
            "messages": {
                "values": [{"content": "Be brief.", "role": "system"}, {"content": "={{ $json.text }}"}]
            },
            "jsonOutput": True,
            "options": {"temperature": 0.1},
        },
        1.6,
    )
    assert kind == "ai"
    assert data == {
        "model": "gpt-4o",
        "prompt": "{{ input.text }}",
        "system": "Be brief.",
        "json": True,
        "temperature": 0.1,
    }
    wanted = {
        "workflowId": {"__rl": True, "value": "abc", "mode": "id"},
        "options": {"waitForSubWorkflow": False},
    }
    assert of_one("executeWorkflow", wanted, 1.2) == ("workflow", {"workflowId": "abc", "wait": False})


def test_names_that_are_the_same_in_small_letters_get_ids_of_their_own() -> None:
    converted = convert_workflow(export([node("Set", "set"), node("set", "set"), node("🎉", "noOp")], {}))
    assert [one["id"] for one in converted.nodes] == ["set", "set-2", "node"]


@pytest.mark.parametrize(
    "odd",
    [
        {"nodes": [3, None, {}], "connections": {"A": 1}},
        {
            "nodes": [node("A", "if", {"conditions": 3})],
            "connections": {"A": {"main": [None, [3, {"node": 4}]]}},
        },
        {
            "nodes": [node("A", "switch", {"rules": []}, typeVersion="x", position=3)],
            "connections": {"A": {}},
        },
        {"nodes": [node("A", "httpRequest", {"url": 3, "options": 4}, typeVersion=4)], "connections": {}},
    ],
)
def test_odd_exports_are_read_as_far_as_they_go(odd: dict[str, Any]) -> None:
    assert is_n8n(odd)
    read_definition(
        [one for one in convert_workflow(odd).nodes if one["type"] != "unknown"],
        convert_workflow(odd).connections,
    )


def test_an_export_comes_in_over_http(client: httpx.Client) -> None:
    reply = client.post("/v1/workflows/import", json=SUPPORT)
    assert reply.status_code == 201, reply.text
    made = reply.json()
    assert made["workflow"]["name"] == "Support mail"
    assert made["workflow"]["triggers"][0]["kind"] == "webhook"
    assert len(made["notes"]) >= 4
    assert client.post(f"/v1/workflows/{made['workflow']['id']}/activate").status_code == 200
    crowd = export([node(str(number), "noOp") for number in range(201)], {"0": main("1")})
    assert client.post("/v1/workflows/import", json=crowd).status_code == 422


def test_notes_are_small_however_much_is_not_taken_over() -> None:
    name = "n" * 60_000
    headers = [{"name": f"x{number}", "value": f"={{{{ f({number}) }}}}"} for number in range(4_000)]
    parameters = {"url": "https://a.b", "sendHeaders": True, "headerParameters": {"parameters": headers}}
    raw = node(name, "httpRequest", parameters, typeVersion=4)
    other = node("Other", "x" * 60_000)
    converted = convert_workflow(export([raw, other], {}))
    assert len(converted.notes) == 501
    assert converted.notes[-1] == "And 3,501 more."
    assert converted.notes[0].startswith(f"{'n' * 60}…: ")
    assert max(map(len, converted.notes)) < 400
    assert [len(one["name"]) for one in converted.nodes] == [200, 5]


def test_models_plugged_into_each_other_are_read_once() -> None:
    names = [f"M{number}" for number in range(100)]
    plugs = {
        name: {"ai_languageModel": [[{"node": after, "type": "ai_languageModel", "index": 0}] * 2]}
        for name, after in zip(names, [*names[1:], names[0]], strict=True)
    }
    converted = convert_workflow(export([node(name, "lmChatOpenAi") for name in names], plugs))
    assert len(converted.nodes) == 100


@pytest.mark.parametrize("other", ["manualTrigger", "scheduleTrigger"])
def test_the_body_of_a_webhook_is_read_where_another_trigger_leads_there_too(other: str) -> None:
    assigned = [
        {"name": "a", "value": "={{ $json.body.a }}", "type": "string"},
        {"name": "q", "value": "={{ $json.query.q }}", "type": "string"},
    ]
    nodes = [
        node("Webhook", "webhook", {"httpMethod": "POST", "path": "a"}, typeVersion=2),
        node("Test", other),
        node("If", "if", typeVersion=2.2),
        node("Set", "set", {"assignments": {"assignments": assigned}}, typeVersion=3.4),
    ]
    for through in ("Set", "If"):
        links = {"Webhook": main(through), "Test": main(through)}
        converted = convert_workflow(export(nodes, links | ({"If": main("Set")} if through == "If" else {})))
        assert data_of(converted, "set")["fields"] == {"a": "{{ input.a }}", "q": "{{ trigger.query.q }}"}


@pytest.mark.parametrize(
    ("parameters", "version", "mode"),
    [
        ({}, 3.2, "merge"),
        ({"include": "none"}, 3, "replace"),
        ({"include": "all"}, 3.1, "merge"),
        ({}, 3.3, "replace"),
        ({"includeOtherFields": True}, 3.4, "merge"),
    ],
)
def test_other_fields_are_kept_as_each_version_of_edit_fields_does(
    parameters: dict[str, Any], version: float, mode: str
) -> None:
    values = [
        {"name": "n", "type": "numberValue", "numberValue": "5"},
        {"name": "b", "type": "booleanValue", "booleanValue": "true"},
        {"name": "o", "type": "objectValue", "objectValue": '{"a": [1]}'},
        {"name": "l", "type": "arrayValue", "arrayValue": "[1]"},
        {"name": "s", "stringValue": "5"},
    ]
    _, data = of_one("set", {"fields": {"values": values}, **parameters}, version)
    assert data.get("mode", "merge") == mode
    assert data["fields"] == {"n": 5, "b": True, "o": {"a": [1]}, "l": [1], "s": "5"}


def test_the_inputs_of_a_called_workflow_come_along() -> None:
    inputs = {"mappingMode": "defineBelow", "value": {"orderId": "={{ $json.id }}"}}
    _, data = of_one("executeWorkflow", {"workflowId": "abc", "workflowInputs": inputs}, 1.2)
    assert data == {"workflowId": "abc", "data": {"orderId": "{{ input.id }}"}}


def test_a_merge_keeps_what_has_no_partner_and_takes_the_chosen_branch() -> None:
    for parameters in (
        {"mode": "combine", "fieldsToMatchString": "id", "joinMode": "keepEverything"},
        {"mode": "combine", "combineBy": "combineByPosition", "options": {"includeUnpaired": True}},
    ):
        assert of_one("merge", parameters, 3.1)[1]["keepUnpaired"] is True
    chosen = {"mode": "chooseBranch", "numberInputs": 3, "useDataOfInput": "2"}
    links: dict[str, Any] = {
        name: {"main": [[{"node": "Merge", "type": "main", "index": place}]]}
        for place, name in enumerate("ABC")
    }
    nodes = [*(node(name, "noOp") for name in "ABC"), node("Merge", "merge", chosen, typeVersion=3.1)]
    entered = {source: handle for source, _, _, handle in edges(convert_workflow(export(nodes, links)))}
    assert entered == {"a": "input-2", "b": "input-1", "c": "input-3"}


def test_redirects_and_limits_of_waits_come_along() -> None:
    redirect = {"options": {"redirect": {"redirect": {"followRedirects": False}}}}
    assert of_one("httpRequest", {"url": "https://x.com", **redirect}, 4.2)[1]["followRedirects"] is False
    limited = {"resume": "webhook", "limitWaitTime": True, "resumeAmount": 2, "resumeUnit": "days"}
    assert of_one("wait", limited, 1.1) == ("wait", {"for": "reply", "amount": 2, "unit": "days"})


SAID: list[tuple[str, dict[str, Any], float, str]] = [
    ("merge", {"mode": "combine", "fieldsToMatchString": "id", "joinMode": "enrichInput1"}, 3.1, "enrichInput1"),
    ("merge", {"mode": "chooseBranch", "output": "empty"}, 3.1, "an empty item"),
    ("if", {"options": {"ignoreCase": True}}, 2.2, "whatever their case"),
    ("filter", {"conditions": {"options": {"caseSensitive": False}, "conditions": []}}, 2.2, "whatever their case"),
    ("wait", {"resume": "webhook"}, 1.1, "input.reply"),
    ("wait", {"resume": "webhook", "limitWaitTime": True}, 1.1, "'timeout'"),
    ("wait", {"resume": "webhook", "limitWaitTime": True, "limitType": "atSpecifiedTime"}, 1.1, "a moment"),
    ("executeWorkflow", {"workflowId": "abc"}, 1.2, "once with all items"),
    ("webhook", {"options": {"responseCode": {"values": {"responseCode": 201}}}}, 2, "a respond node"),
    ("webhook", {"responseMode": "lastNode", "responseData": "noData"}, 1, "a respond node"),
    ("set", {"includeOtherFields": True, "include": "selected"}, 3.4, "'selected'"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "parameters", "version", "said"), SAID)
def test_what_is_not_taken_over_is_said(
    kind: str, parameters: dict[str, Any], version: float, said: str
) -> None:
    converted = convert_workflow(export([node("One", kind, parameters, typeVersion=version)], {}))
    assert [note for note in converted.notes if said in note]
