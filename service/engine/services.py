"""What nodes work with; one a worker."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from db.pool import Pool
from ingest.originals import Originals
from service.answering.asking import Answerer
from service.metering import UsageRecorder
from service.providers import EmbeddingProvider
from service.providers.chat import ChatModels
from service.query_meter import QueryMeter
from service.runtime import Runtime
from service.secrets import SecretBox
from service.settings import Settings


@dataclass(frozen=True, slots=True)
class Services:
    pool: Pool
    settings: Settings
    embedder: EmbeddingProvider
    originals: Originals
    answerer: Answerer
    chat_models: ChatModels
    usage_recorder: UsageRecorder
    query_meter: QueryMeter
    secret_box: SecretBox = field(repr=False)


@contextlib.asynccontextmanager
async def open_services(runtime: Runtime) -> AsyncIterator[Services]:
    """Raises SettingsError where there is no key to read secrets with."""
    settings = runtime.settings
    secret_box = SecretBox(settings.encryption_keys())
    chat_models = ChatModels(secret_box, settings)
    usage_recorder = UsageRecorder.on(runtime.pool)
    query_meter = QueryMeter(runtime.embedder, settings.embedding_price_per_million)
    answerer = Answerer(
        runtime.pool, runtime.embedder, chat_models, usage_recorder, query_meter, settings.answer_min_score
    )
    try:
        yield Services(
            pool=runtime.pool,
            settings=settings,
            embedder=runtime.embedder,
            originals=runtime.originals,
            answerer=answerer,
            chat_models=chat_models,
            usage_recorder=usage_recorder,
            query_meter=query_meter,
            secret_box=secret_box,
        )
    finally:
        await usage_recorder.drain()
        await chat_models.aclose()
