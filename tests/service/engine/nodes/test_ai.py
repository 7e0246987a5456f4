"""Language models: what they are asked, what it costs, and what goes wrong."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from db.ai_models import insert_model
from db.pool import Pool
from service.engine.errors import NodeError
from service.engine.nodes.ai import read_json
from service.engine.nodes.base import RunContext
from service.engine.services import Services
from tests.fakes.chat_servers import FakeGemini, Hang, Refuse, Say
from tests.service.chatting import LEASE, QUESTION
from tests.service.engine.calls import one_row, outputs, run_node
from tests.service.engine.nodes.test_search import store


@pytest.fixture
def gemini() -> Iterator[FakeGemini]:
    with FakeGemini() as server:
        yield server


@pytest.fixture
async def model(services: Services, gemini: FakeGemini) -> str:
    """The model that the documents name, on loopback."""
    async with services.pool.acquire() as conn:
        row = await insert_model(
            conn,
            name="Gemini 1.5 Flash",
            provider="GEMINI",
            model_id="gemini-1.5-flash",
            config={
                "apiKey": services.secret_box.seal("sk-never-shown"),
                "endpoint": gemini.url,
                "inputPricePerMillion": 1_000.0,
                "outputPricePerMillion": 2_000.0,
            },
            is_active=True,
        )
    assert row is not None
    return row.model_id


@pytest.fixture
def ask(services: Services, run: RunContext, model: str) -> Any:
    async def asked(**data: Any) -> Any:
        given = {"model": model, "prompt": "What is new?", **data}
        ((_, item),) = await outputs("ai", given, {}, services=services, run=run)
        return item

    return asked


async def test_the_documented_node_asks_its_model(ask: Any, gemini: FakeGemini) -> None:
    gemini.script(Say("Nothing ", "new.", prompt_tokens=100, completion_tokens=10))
    item = await ask(temperature=0.7, system="Be short.", maxTokens=50)
    assert item == {
        "text": "Nothing new.",
        "model": "gemini/gemini-1.5-flash",
        "usage": {
            "prompt_tokens": 100,
            "completion_tokens": 10,
            "total_tokens": 110,
            "cost": pytest.approx(0.12),
        },
        "finish_reason": "stop",
    }
    (request,) = gemini.requests
    assert [text for _, text in request.messages] == ["Be short.", "What is new?"]
    assert request.body["generationConfig"]["temperature"] == 0.7
    assert request.body["generationConfig"]["maxOutputTokens"] == 50


async def test_it_is_charged_for_once_and_counted(
    ask: Any, gemini: FakeGemini, pool: Pool, run: RunContext
) -> None:
    gemini.script(Say("Yes.", prompt_tokens=100, completion_tokens=10))
    await ask()
    async with pool.acquire() as conn:
        rows = await conn.fetch(
            'SELECT "userId", "resourceType", "resourceId", "action", "tokens", "cost" FROM "UsageLog"'
        )
        reserved = await conn.fetchval("SELECT count(*) FROM budget_reservation")
    assert [tuple(row) for row in rows] == [
        (run.user_id, "ai_request", run.execution_id, "workflow", 110, pytest.approx(0.12))
    ]
    totals = await one_row(pool, 'SELECT "totalRequests", "totalTokens" FROM "AIModel"')
    assert (totals, reserved) == ((1, 110), 0)


async def test_a_prompt_may_be_what_an_expression_gave(ask: Any, gemini: FakeGemini) -> None:
    await ask(prompt={"n": 1})
    assert gemini.requests[0].prompt == '{"n":1}'
    for nothing in ("", None, "  "):
        with pytest.raises(NodeError, match="prompt"):
            await ask(prompt=nothing)


async def test_json_is_read_within_a_fence_too(ask: Any, gemini: FakeGemini) -> None:
    gemini.script(Say('```json\n{"kind": "invoice"}\n```'), Say("It is an invoice."))
    assert (await ask(json=True))["json"] == {"kind": "invoice"}
    with pytest.raises(NodeError) as raised:
        await ask(json=True)
    assert raised.value.code == "bad_json"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": 1}', {"a": 1}),
        (" [1] ", [1]),
        ("```\n1\n```", 1),
        ('```JSON\n{"a": "```"}\n```', {"a": "```"}),
    ],
)
def test_what_counts_as_json(text: str, value: Any) -> None:
    assert read_json(text) == value


async def test_a_model_that_is_not_there_is_answered_with_those_that_are(ask: Any) -> None:
    with pytest.raises(NodeError, match=r"no model 'gpt-9'; there are: gemini-1\.5-flash\.") as raised:
        await ask(model="gpt-9")
    assert (raised.value.code, raised.value.field) == ("no_such_model", "data.model")
    with pytest.raises(NodeError) as raised:
        await ask(model="extractive")
    assert raised.value.code == "bad_config"


async def test_failures_of_the_provider_say_whether_they_may_heal(
    ask: Any, gemini: FakeGemini, pool: Pool
) -> None:
    gemini.always = Refuse(429, "slow down", headers={"retry-after": "1"})
    with pytest.raises(NodeError) as raised:
        await ask()
    assert (raised.value.code, raised.value.retryable) == ("model_failed", True)
    assert raised.value.retry_after_s == 1.0
    gemini.always = Refuse(401, "bad key")
    with pytest.raises(NodeError) as raised:
        await ask()
    assert (raised.value.code, raised.value.retryable) == ("model_failed", False)
    assert "sk-never-shown" not in raised.value.detail
    async with pool.acquire() as conn:
        assert await conn.fetchval("SELECT count(*) FROM budget_reservation") == 0


async def test_a_budget_stops_it_before_the_provider_is_asked(
    ask: Any, gemini: FakeGemini, pool: Pool, run: RunContext
) -> None:
    async with pool.acquire() as conn:
        await conn.execute(
            "INSERT INTO budget (subject_kind, subject_id, monthly_limit) VALUES ('user', $1, 0.0001)",
            run.user_id,
        )
    with pytest.raises(NodeError) as raised:
        await ask()
    assert (raised.value.code, raised.value.retryable) == ("budget_reached", False)
    assert gemini.requests == []


async def test_a_call_that_is_cut_off_is_charged_for(
    services: Services, run: RunContext, model: str, gemini: FakeGemini, pool: Pool
) -> None:
    gemini.always = Hang()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1.0):
            await run_node("ai", {"model": model, "prompt": "Go on " * 100}, {}, services=services, run=run)
    tokens, reserved = await one_row(
        pool, 'SELECT (SELECT sum("tokens") FROM "UsageLog"), (SELECT count(*) FROM budget_reservation)'
    )
    assert tokens > 100
    assert reserved == 0


async def test_a_model_answers_from_documents_with_citations(
    services: Services, run: RunContext, model: str, gemini: FakeGemini, pool: Pool
) -> None:
    await store(services, pool, run, Lease=LEASE)
    gemini.script(Say("On the last day of May [1].", prompt_tokens=100, completion_tokens=10))
    data = {"question": QUESTION, "model": model, "instructions": "Answer in one line."}
    ((_, item),) = await outputs("answer", data, {}, services=services, run=run)
    assert item["answer"] == "On the last day of May [1]."
    assert [citation["document_id"] for citation in item["citations"]] == ["Lease"]
    assert (item["model"], item["usage"]["total_tokens"]) == ("gemini/gemini-1.5-flash", 110)
    assert "Answer in one line." in gemini.requests[0].prompt
    async with pool.acquire() as conn:
        actions = await conn.fetch(
            'SELECT "resourceType" || \'.\' || "action" AS kind FROM "UsageLog" ORDER BY 1'
        )
    assert [row["kind"] for row in actions] == ["ai_request.workflow", "search.query"]
