"""AI models on the wire."""

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec

from db.ai_models import AIModelRow, Provider
from search.answer.model import ModelFailed
from service.providers.chat.config import ModelConfig, read_config
from service.providers.chat.trial import Trial
from service.providers.chat.windows import window_tokens

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
# A header and a path are made of these.
ModelName = Annotated[str, msgspec.Meta(pattern=r"^[!-~]{1,200}$")]
Secret = Annotated[str, msgspec.Meta(pattern=r"^[!-~]{1,1000}$")]
Endpoint = Annotated[str, msgspec.Meta(min_length=1, max_length=2048)]
MaxTokens = Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]
Temperature = Annotated[float, msgspec.Meta(ge=0, le=2)]
Share = Annotated[float, msgspec.Meta(gt=0, le=1)]
Penalty = Annotated[float, msgspec.Meta(ge=-2, le=2)]
Price = Annotated[float, msgspec.Meta(ge=0, le=1_000_000)]
ContextTokens = Annotated[int, msgspec.Meta(ge=256, le=100_000_000)]


class NewModel(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """A model, and what it is asked with; what is left out the provider decides. Prices are US dollars."""

    name: Name
    provider: Provider
    model_id: ModelName
    api_key: Secret | None = None
    endpoint: Endpoint | None = None
    max_tokens: MaxTokens | None = None
    temperature: Temperature | None = None
    top_p: Share | None = None
    frequency_penalty: Penalty | None = None
    presence_penalty: Penalty | None = None
    input_price_per_million: Price | None = None
    output_price_per_million: Price | None = None
    context_tokens: ContextTokens | None = None
    is_active: bool = True

    def __repr__(self) -> str:
        return f"NewModel(model_id={self.model_id!r})"


class ModelPatch(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """What may be changed; null takes a value of the configuration away."""

    name: Name | msgspec.UnsetType = msgspec.UNSET
    model_id: ModelName | msgspec.UnsetType = msgspec.UNSET
    api_key: Secret | msgspec.UnsetType | None = msgspec.UNSET
    endpoint: Endpoint | msgspec.UnsetType | None = msgspec.UNSET
    max_tokens: MaxTokens | msgspec.UnsetType | None = msgspec.UNSET
    temperature: Temperature | msgspec.UnsetType | None = msgspec.UNSET
    top_p: Share | msgspec.UnsetType | None = msgspec.UNSET
    frequency_penalty: Penalty | msgspec.UnsetType | None = msgspec.UNSET
    presence_penalty: Penalty | msgspec.UnsetType | None = msgspec.UNSET
    input_price_per_million: Price | msgspec.UnsetType | None = msgspec.UNSET
    output_price_per_million: Price | msgspec.UnsetType | None = msgspec.UNSET
    context_tokens: ContextTokens | msgspec.UnsetType | None = msgspec.UNSET
    is_active: bool | msgspec.UnsetType = msgspec.UNSET

    def __repr__(self) -> str:
        return "ModelPatch()"


class AIModel(msgspec.Struct, kw_only=True, frozen=True):
    """A model, without its key. Endpoint and totals are null for all but administrators."""

    id: str
    name: str
    provider: Provider | Literal["BUILTIN"]
    model_id: str
    is_active: bool
    has_key: bool
    endpoint: str | None
    max_tokens: int | None
    temperature: float | None
    top_p: float | None
    frequency_penalty: float | None
    presence_penalty: float | None
    input_price_per_million: float | None
    output_price_per_million: float | None
    context_tokens: int | None
    total_requests: int | None
    total_tokens: int | None
    total_cost: float | None
    created_at: datetime | None
    updated_at: datetime | None

    @classmethod
    def from_row(cls, row: AIModelRow, *, administrator: bool) -> "AIModel":
        config = _readable(row)
        return cls(
            id=row.id,
            name=row.name,
            provider=row.provider,
            model_id=row.model_id,
            is_active=row.is_active,
            has_key=bool(row.config.get("apiKey")),
            endpoint=config.endpoint if administrator else None,
            max_tokens=config.max_tokens,
            temperature=config.temperature,
            top_p=config.top_p,
            frequency_penalty=config.frequency_penalty,
            presence_penalty=config.presence_penalty,
            input_price_per_million=config.input_price_per_million,
            output_price_per_million=config.output_price_per_million,
            context_tokens=config.context_tokens or window_tokens(row.model_id),
            total_requests=row.total_requests if administrator else None,
            total_tokens=row.total_tokens if administrator else None,
            total_cost=row.total_cost if administrator else None,
            created_at=row.created_at,
            updated_at=row.updated_at,
        )


class ModelError(msgspec.Struct, kw_only=True, frozen=True):
    code: str
    detail: str


class ModelTest(msgspec.Struct, kw_only=True, frozen=True):
    """How a model answered a short question; tokens are those of question and answer."""

    ok: bool
    latency_ms: int
    first_token_ms: int | None
    tokens: int | None
    error: ModelError | None

    @classmethod
    def from_trial(cls, trial: Trial) -> "ModelTest":
        end = trial.finished
        return cls(
            ok=end is not None,
            latency_ms=trial.latency_ms,
            first_token_ms=trial.first_token_ms,
            tokens=None if end is None else end.prompt_tokens + end.completion_tokens,
            error=None if trial.failure is None else from_failure(trial.failure),
        )


def from_failure(failure: ModelFailed) -> ModelError:
    return ModelError(code=failure.code, detail=failure.detail)


_BUILT_IN: dict[str, Any] = dict.fromkeys(AIModel.__struct_fields__)

EXTRACTIVE_ID = "extractive"
EXTRACTIVE = AIModel(
    **{
        **_BUILT_IN,
        "id": EXTRACTIVE_ID,
        "name": "Extractive",
        "provider": "BUILTIN",
        "model_id": EXTRACTIVE_ID,
        "is_active": True,
        "has_key": False,
        "input_price_per_million": 0.0,
        "output_price_per_million": 0.0,
    }
)
"""Answers with sentences of the passages themselves: always there, asks nobody, has no row."""


def _readable(row: AIModelRow) -> ModelConfig:
    try:
        return read_config(row.config, row.model_id)
    except ModelFailed:
        # Shown without what cannot be read; asking it says what is wrong.
        return ModelConfig()
