"""Which model answers: one that an administrator has configured, or the sentences of the documents themselves."""

from dataclasses import dataclass
from http import HTTPStatus

from db import ai_models
from db.pool import Pool
from search.answer.extractive import NAME as EXTRACTIVE
from search.answer.model import LanguageModel, ModelFailed
from service.errors import Problem
from service.providers.chat import ChatModels
from service.providers.chat.config import ModelConfig, read_config


@dataclass(frozen=True, slots=True)
class Chosen:
    """A model to answer with. model is None for the extractive one, which asks nobody and costs nothing."""

    id: str
    name: str
    model: LanguageModel | None
    config: ModelConfig

    @property
    def is_priced(self) -> bool:
        return bool(self.config.input_price_per_million or self.config.output_price_per_million)


async def choose_model(pool: Pool, chat_models: ChatModels, wanted: str | None) -> Chosen:
    """Return the model of an id or of a provider's name for it; the extractive one where none is wanted.

    Raises Problem 404 for one that is not there, 422 for one that is switched off, or cannot be asked as it is set up.
    """
    if wanted is None or wanted.lower() == EXTRACTIVE:
        return Chosen(EXTRACTIVE, EXTRACTIVE, None, ModelConfig())
    row = None
    if "\x00" not in wanted:
        async with pool.acquire() as conn:
            row = await ai_models.find_by_any_name(conn, wanted)
    if row is None:
        raise Problem(
            HTTPStatus.NOT_FOUND,
            f"There is no model {wanted!r}: GET /v1/ai/models lists those there are.",
        )
    if not row.is_active:
        raise Problem(
            HTTPStatus.UNPROCESSABLE_ENTITY, f"The model {row.name} is switched off: choose another."
        )
    try:
        model = await chat_models.get(row)
    except ModelFailed as exc:
        # Not the provider's fault: it is not even asked.
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, exc.detail, code=exc.code) from exc
    return Chosen(row.id, model.name, model, read_config(row.config, row.model_id))
