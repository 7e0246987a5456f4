"""What nodes work with; one a worker."""

from dataclasses import dataclass, field

from db.pool import Pool
from ingest.fetch import Fetcher
from ingest.originals import Originals
from service.answering.asking import Answerer
from service.engine.outbound import HttpSender
from service.metering import UsageRecorder
from service.providers import EmbeddingProvider
from service.providers.chat import ChatModels
from service.query_meter import QueryMeter
from service.secrets import SecretBox
from service.settings import Settings


@dataclass(frozen=True, slots=True)
class Services:
    pool: Pool
    settings: Settings
    embedder: EmbeddingProvider
    originals: Originals
    fetcher: Fetcher
    answerer: Answerer
    chat_models: ChatModels
    usage_recorder: UsageRecorder
    query_meter: QueryMeter
    http: HttpSender
    secret_box: SecretBox = field(repr=False)
