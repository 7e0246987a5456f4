"""GET /v1/models: the models that chats can name, alone and with documents."""

from typing import Annotated, Literal

import msgspec
from litestar import get
from litestar.di import NamedDependency
from litestar.params import PathParameter

from db import ai_models
from db.pool import Pool
from service.answering.schemas import EXTRACTIVE
from service.errors import not_found
from service.openai_api.asked import WITH_DOCUMENTS
from service.openai_api.errors import failures


class Model(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str


class ModelList(msgspec.Struct, frozen=True, kw_only=True):
    object: Literal["list"] = "list"
    data: list[Model]


@get("/models", responses=failures(), summary="List models")
async def list_models(pool: NamedDependency[Pool]) -> ModelList:
    """Return each model by its provider's name, and once more as docsearch/…, which answers from documents."""
    return ModelList(data=await _models(pool))


@get("/models/{model_name:path}", responses=failures(404), summary="Get a model")
async def get_model(
    pool: NamedDependency[Pool],
    model_name: Annotated[str, PathParameter(description="As in the list.", max_length=300)],
) -> Model:
    """Return one of them."""
    wanted = model_name.removeprefix("/")
    for model in await _models(pool):
        if model.id == wanted:
            return model
    raise not_found("model")


async def _models(pool: Pool) -> list[Model]:
    async with pool.acquire() as conn:
        rows = await ai_models.list_models(conn, active_only=True)
    named = [Model(id=EXTRACTIVE, created=0, owned_by="docsearch")]
    named += [
        Model(id=row.model_id, created=int(row.created_at.timestamp()), owned_by=row.provider.lower())
        for row in rows
    ]
    return [
        *named,
        *(
            Model(id=WITH_DOCUMENTS + model.id, created=model.created, owned_by="docsearch")
            for model in named
        ),
    ]


model_routes = [list_models, get_model]
