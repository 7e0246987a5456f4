""" "AIModel"."config" as the database holds it: camelCase, written by us or by the web application."""

from typing import Any

import msgspec

from search.answer.model import ModelFailed, Sampling


class ModelConfig(msgspec.Struct, kw_only=True, frozen=True, rename="camel"):
    """What a model is asked with; what we do not know is left alone."""

    api_key: str | None = None
    """Sealed (service/secrets.py), or plain where the web application wrote it."""
    endpoint: str | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    input_price_per_million: float | None = None
    output_price_per_million: float | None = None
    context_tokens: int | None = None

    def __repr__(self) -> str:
        return "ModelConfig()"

    @property
    def sampling(self) -> Sampling:
        return Sampling(
            max_tokens=self.max_tokens,
            temperature=self.temperature,
            top_p=self.top_p,
            frequency_penalty=self.frequency_penalty,
            presence_penalty=self.presence_penalty,
        )

    def cost(self, prompt_tokens: int, completion_tokens: int) -> float:
        """Return US dollars; 0 where no prices are configured."""
        return (
            prompt_tokens * (self.input_price_per_million or 0.0)
            + completion_tokens * (self.output_price_per_million or 0.0)
        ) / 1_000_000


def read_config(config: dict[str, Any], model_id: str) -> ModelConfig:
    """Return what a row holds. Raises ModelFailed, which repeats no value."""
    try:
        # Not strict: forms write numbers as text.
        return msgspec.convert(config, ModelConfig, strict=False)
    except msgspec.ValidationError as exc:
        raise ModelFailed(f"The configuration of {model_id} cannot be used: {exc}.", code="refused") from exc
