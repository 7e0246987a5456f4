"""/v1/ai/models: which models there are, for everybody; adding, changing and testing them, for administrators."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated, Any

import msgspec
from litestar import Response, Router, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import JSONBody, PathParameter

from db import ai_models
from db.ai_models import AIModelRow, ModelInUse
from db.errors import Taken
from db.pool import Pool
from db.tenancy import as_system
from ingest.outbound import AddressRefused
from search.answer.model import ModelFailed
from service.ai_models.schemas import (
    EXTRACTIVE,
    EXTRACTIVE_ID,
    AIModel,
    ModelPatch,
    ModelTest,
    NewModel,
    from_failure,
)
from service.audit import audit
from service.auth.caller import Caller
from service.errors import Problem, not_found
from service.openapi import problems
from service.providers.chat import ChatModels
from service.providers.chat.config import NAMES, checked_endpoint, read_config, stored_config
from service.providers.chat.trial import try_model
from service.schemas import Page
from service.secrets import SecretBox
from service.settings import Settings
from service.text import one_line

ModelId = Annotated[str, PathParameter(description="The model's id.", max_length=100)]


@get("/", responses=problems(), summary="List AI models")
async def list_models(caller: NamedDependency[Caller], pool: NamedDependency[Pool]) -> Page[AIModel]:
    """Return all models: the built-in one first, then by name."""
    async with pool.acquire() as conn:
        rows = await ai_models.list_models(conn)
    shown = [AIModel.from_row(row, administrator=caller.is_administrator) for row in rows]
    return Page(data=[EXTRACTIVE, *shown], has_more=False, next_cursor=None)


@get("/{model_id:str}", responses=problems(404), summary="Get an AI model")
async def get_model(
    caller: NamedDependency[Caller], pool: NamedDependency[Pool], model_id: ModelId
) -> AIModel:
    """Return a model, without its key."""
    if model_id == EXTRACTIVE_ID:
        return EXTRACTIVE
    return AIModel.from_row(await _find(pool, model_id), administrator=caller.is_administrator)


@post("/", responses=problems(409, 422), summary="Add an AI model")
async def create_model(
    caller: NamedDependency[Caller],
    pool: NamedDependency[Pool],
    deployment: NamedDependency[Settings],
    secret_box: NamedDependency[SecretBox],
    data: JSONBody[NewModel],
) -> Response[AIModel]:
    """Add a model of a provider. Its key is kept encrypted and not shown again. For administrators."""
    caller.require_administrator()
    name = one_line(data.name, "name")
    fields = _config_fields(msgspec.structs.asdict(data))
    _check_endpoint(data.endpoint, deployment)
    if data.provider == "CUSTOM" and data.endpoint is None:
        raise Problem(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "endpoint: a CUSTOM model needs the base URL of its server, such as http://127.0.0.1:11434/v1.",
        )
    async with as_system(pool) as conn:
        row = await ai_models.insert_model(
            conn,
            name=name,
            provider=data.provider,
            model_id=data.model_id,
            config=stored_config(fields, secret_box),
            is_active=data.is_active,
        )
        if row is None:
            raise _exists(data.model_id, data.provider)
        await audit(
            conn,
            caller,
            "ai_model.created",
            "ai_model",
            row.id,
            provider=row.provider,
            model_id=row.model_id,
        )
    return Response(
        AIModel.from_row(row, administrator=True), headers={"Location": f"/v1/ai/models/{row.id}"}
    )


@patch("/{model_id:str}", responses=problems(404, 409, 422), summary="Change an AI model")
async def update_model(
    caller: NamedDependency[Caller],
    pool: NamedDependency[Pool],
    deployment: NamedDependency[Settings],
    secret_box: NamedDependency[SecretBox],
    model_id: ModelId,
    data: JSONBody[ModelPatch],
) -> AIModel:
    """Change what is given; without api_key the key stays. is_active takes it out of use. For administrators."""
    caller.require_administrator()
    _require_row(model_id)
    changes = {k: v for k, v in msgspec.structs.asdict(data).items() if v is not msgspec.UNSET}
    fields = _config_fields(changes)
    _check_endpoint(changes.get("endpoint"), deployment)
    name = one_line(changes["name"], "name") if "name" in changes else None
    try:
        async with as_system(pool) as conn:
            found = await ai_models.find_model(conn, model_id, lock=True)
            if found is None:
                raise not_found("model")
            _check_change(found, changes)
            row = await ai_models.update_model(
                conn,
                model_id,
                name=name,
                model_id=changes.get("model_id"),
                is_active=changes.get("is_active"),
                config=stored_config(fields, secret_box),
                config_without=[NAMES[field] for field, value in fields.items() if value is None],
            )
            if row is None:
                raise not_found("model")
            # The names alone: a value may be the key.
            await audit(conn, caller, "ai_model.updated", "ai_model", row.id, changed=sorted(changes))
    except Taken as exc:
        raise _exists(changes["model_id"], "this provider") from exc
    return AIModel.from_row(row, administrator=True)


@delete("/{model_id:str}", responses=problems(404, 409), summary="Delete an AI model")
async def delete_model(
    caller: NamedDependency[Caller], pool: NamedDependency[Pool], model_id: ModelId
) -> None:
    """Remove a model that no conversation was held with. For administrators."""
    caller.require_administrator()
    _require_row(model_id)
    try:
        async with as_system(pool) as conn:
            if not await ai_models.delete_model(conn, model_id):
                raise not_found("model")
            await audit(conn, caller, "ai_model.deleted", "ai_model", model_id)
    except ModelInUse as exc:
        raise Problem(
            HTTPStatus.CONFLICT,
            "Conversations were held with this model, and name it: take it out of use with `PATCH` and "
            "is_active false instead.",
        ) from exc


@post("/{model_id:str}/test", status_code=200, responses=problems(404, 409), summary="Test an AI model")
async def test_model(
    caller: NamedDependency[Caller],
    pool: NamedDependency[Pool],
    chat_models: NamedDependency[ChatModels],
    model_id: ModelId,
) -> ModelTest:
    """Ask it one short question, active or not, and say how it went. The provider counts it. For administrators."""
    caller.require_administrator()
    _require_row(model_id)
    row = await _find(pool, model_id)
    try:
        model = await chat_models.get(row)
        config = read_config(row.config, row.model_id)
    except ModelFailed as exc:
        return ModelTest(ok=False, latency_ms=0, first_token_ms=None, tokens=None, error=from_failure(exc))
    trial = await try_model(model)
    if trial.finished is not None:
        prompt, completion = trial.finished.prompt_tokens, trial.finished.completion_tokens
        async with pool.acquire() as conn:
            await ai_models.add_totals(
                conn, row.id, requests=1, tokens=prompt + completion, cost=config.cost(prompt, completion)
            )
    return ModelTest.from_trial(trial)


async def _find(pool: Pool, model_id: str) -> AIModelRow:
    async with pool.acquire() as conn:
        row = await ai_models.find_model(conn, model_id)
    if row is None:
        raise not_found("model")
    return row


def _config_fields(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if name in NAMES}


def _check_endpoint(url: str | None, settings: Settings) -> None:
    if url is None:
        return
    try:
        checked_endpoint(url, settings.model_networks)
    except AddressRefused as exc:
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"endpoint: {exc}") from exc


def _check_change(row: AIModelRow, changes: Mapping[str, Any]) -> None:
    if row.provider == "CUSTOM" and "endpoint" in changes and changes["endpoint"] is None:
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "endpoint: a CUSTOM model cannot be without.")
    # A kept key sent to another address would be shown to whoever listens there.
    moves = "endpoint" in changes and changes["endpoint"] != row.config.get("endpoint")
    if moves and row.config.get("apiKey") and "api_key" not in changes:
        raise Problem(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "endpoint: the key that is kept was given for the endpoint before: send the api_key for the new one.",
        )


def _require_row(model_id: str) -> None:
    if model_id == EXTRACTIVE_ID:
        raise Problem(
            HTTPStatus.CONFLICT, "The extractive model is built in: there is nothing to change or test."
        )


def _exists(model_id: str, provider: str) -> Problem:
    return Problem(
        HTTPStatus.CONFLICT, f"There is a model {model_id} of {provider} already: change that one."
    )


ai_models_router = Router(
    "/v1/ai/models",
    tags=["AI models"],
    route_handlers=[list_models, get_model, create_model, update_model, delete_model, test_model],
)
