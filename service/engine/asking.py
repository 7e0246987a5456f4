"""Language models for nodes: which there are, and that every call is charged for, however it ends."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from db import ai_models
from search.answer.pipeline import Event
from service.answering.asking import Asking
from service.answering.schemas import AnswerSettings
from service.engine.acting import payer_of, refusals
from service.engine.errors import NodeError
from service.engine.services import Services
from service.errors import Problem

if TYPE_CHECKING:
    # Its package imports the node types, which import this.
    from service.engine.nodes.base import RunContext

ACTION = "workflow"
"""What usage of models by workflows is called."""


async def begin(
    services: Services,
    run: "RunContext",
    settings: AnswerSettings,
    model: str | None,
    *,
    prompt_chars: int = 0,
    max_tokens: int | None = None,
    searches: bool,
) -> Asking:
    """Choose the model, and set aside what asking it may cost. Raises NodeError."""
    with refusals():
        try:
            return await services.answerer.begin(
                await payer_of(services, run),
                settings,
                model,
                team_id=run.team_id,
                prompt_chars=prompt_chars,
                max_tokens=max_tokens,
                searches=searches,
            )
        except Problem as exc:
            if exc.status_code == HTTPStatus.NOT_FOUND and model is not None:
                raise await _no_such_model(services, model) from exc
            raise


async def _no_such_model(services: Services, model: str) -> NodeError:
    async with services.pool.acquire() as conn:
        rows = await ai_models.list_models(conn, active_only=True)
    names = ", ".join(sorted({row.model_id for row in rows})) or "none yet"
    return NodeError(
        f"There is no model {model!r}; there are: {names}.", code="no_such_model", field="data.model"
    )


@asynccontextmanager
async def charged(
    services: Services, run: "RunContext", asking: Asking, events: AsyncGenerator[Event, None]
) -> AsyncIterator[AsyncGenerator[Event, None]]:
    """Yield the events, and charge for what the model has read and written by the end, cut off or not.

    Raises NodeError for what goes wrong on the way.
    """
    with refusals():
        try:
            async with aclosing(events):
                yield events
        finally:
            # A second cancellation must not keep what has been used from being written down.
            await asyncio.shield(services.answerer.charge(asking, ACTION, run.execution_id))


def usage_of(asking: Asking) -> dict[str, Any]:
    usage = asking.wire_usage()
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
        "cost": usage.cost,
    }
