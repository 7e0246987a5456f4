"""Rows of "AIModel": what is counted is counted exactly, and what is used stays."""

import asyncio
from typing import Any

import asyncpg
import pytest

from db import ai_models
from db.ai_models import AIModelRow, ModelInUse
from db.pool import Conn, Pool


async def insert(conn: Conn, model_id: str = "m", **config: Any) -> AIModelRow:
    row = await ai_models.insert_model(
        conn, name=f"Model {model_id}", provider="GROQ", model_id=model_id, config=config, is_active=True
    )
    assert row is not None
    return row


async def test_totals_are_exact_however_many_count_at_once(pool: Pool, conn: Conn) -> None:
    row = await insert(conn)

    async def count() -> None:
        for _ in range(25):
            async with pool.acquire() as one:
                # A quarter is exact in binary: no rounding hides a lost update.
                await ai_models.add_totals(one, row.id, requests=1, tokens=321, cost=0.25)

    await asyncio.gather(*(count() for _ in range(8)))
    counted = await ai_models.find_model(conn, row.id)
    assert counted is not None
    assert (counted.total_requests, counted.total_tokens, counted.total_cost) == (200, 64_200, 50.0)


async def test_totals_stop_where_the_column_ends(conn: Conn) -> None:
    row = await insert(conn)
    for _ in range(2):
        await ai_models.add_totals(conn, row.id, requests=1, tokens=2_000_000_000, cost=1.5)
    counted = await ai_models.find_model(conn, row.id)
    assert counted is not None
    assert (counted.total_requests, counted.total_tokens, counted.total_cost) == (2, 2**31 - 1, 3.0)


async def test_a_provider_has_a_model_once(conn: Conn) -> None:
    row, other = await insert(conn), await insert(conn, "other")
    again = await ai_models.insert_model(
        conn, name="x", provider="GROQ", model_id="m", config={}, is_active=True
    )
    assert again is None
    with pytest.raises(asyncpg.UniqueViolationError):
        await ai_models.update_model(conn, other.id, model_id=row.model_id)


async def test_a_change_leaves_what_it_does_not_name(conn: Conn) -> None:
    row = await insert(conn, apiKey="k", temperature=0.7, topP=0.9, somebodyElses={"a": 1})
    changed = await ai_models.update_model(
        conn, row.id, config={"temperature": 0.1, "maxTokens": 5}, config_without=["topP"]
    )
    assert changed is not None
    assert changed.config == {"apiKey": "k", "temperature": 0.1, "maxTokens": 5, "somebodyElses": {"a": 1}}
    assert (changed.name, changed.model_id, changed.is_active) == (row.name, row.model_id, True)
    assert await ai_models.update_model(conn, "nobody", name="x") is None


@pytest.mark.parametrize("config", ["null", "[]", '"text"', "3"])
async def test_a_configuration_that_is_no_object_is_an_empty_one(conn: Conn, config: str) -> None:
    row = await insert(conn)
    await conn.execute(f"""UPDATE "AIModel" SET "config" = '{config}'""")
    [listed] = await ai_models.list_models(conn)
    assert listed.config == {}
    changed = await ai_models.update_model(conn, row.id, config={"maxTokens": 5})
    assert changed is not None
    assert changed.config == {"maxTokens": 5}


async def test_lists_are_by_name_and_may_leave_out_what_is_out_of_use(conn: Conn) -> None:
    second, first = await insert(conn, "b"), await insert(conn, "a")
    await ai_models.update_model(conn, second.id, is_active=False)
    assert [row.id for row in await ai_models.list_models(conn)] == [first.id, second.id]
    assert [row.id for row in await ai_models.list_models(conn, active_only=True)] == [first.id]


async def test_a_model_of_conversations_is_not_deleted(conn: Conn) -> None:
    row, unused = await insert(conn), await insert(conn, "unused")
    await conn.execute('INSERT INTO "AIConversation" ("userId", "modelId") VALUES ($1, $2)', "u", row.id)
    with pytest.raises(ModelInUse):
        await ai_models.delete_model(conn, row.id)
    assert await ai_models.delete_model(conn, unused.id)
    assert not await ai_models.delete_model(conn, unused.id)


async def test_what_is_logged_of_a_row_has_no_key(conn: Conn) -> None:
    row = await insert(conn, apiKey="sk-plain")
    assert "sk-plain" not in repr(row)
