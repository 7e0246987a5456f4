""" "AIModel"."config" as the database holds it: camelCase, written by us or by the web application."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from ingest.outbound import AddressRefused, Network, check_url, is_allowed, literal_address, wire_url
from search.answer.model import ModelFailed, Sampling
from service.secrets import SecretBox


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
    """US dollars, as the one above."""
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


NAMES: Mapping[str, str] = {field.name: field.encode_name for field in msgspec.structs.fields(ModelConfig)}
"""Field → key in the database."""


def read_config(config: dict[str, Any], model_id: str) -> ModelConfig:
    """Return what a row holds. Raises ModelFailed, which repeats no value."""
    try:
        # Not strict: forms write numbers as text.
        return msgspec.convert(config, ModelConfig, strict=False)
    except msgspec.ValidationError as exc:
        raise ModelFailed(f"The configuration of {model_id} cannot be used: {exc}.", code="refused") from exc


def stored_config(fields: Mapping[str, Any], secret_box: SecretBox) -> dict[str, Any]:
    """Return fields of ModelConfig as the database holds them, without those that are None; the key is sealed."""
    stored = {NAMES[name]: value for name, value in fields.items() if value is not None}
    if "apiKey" in stored:
        stored["apiKey"] = secret_box.seal(stored["apiKey"])
    return stored


def checked_endpoint(url: str, allowed_networks: Sequence[Network]) -> str:
    """Return url. Raises AddressRefused for what could never be asked; names are checked at each connection."""
    if not url.isprintable():
        raise AddressRefused("The address holds a control character.")
    parts = check_url(url)
    wire_url(url)
    encrypted = parts.scheme == "https"
    if not encrypted and not allowed_networks:
        raise AddressRefused(
            "The address must be an https URL; without TLS only MODEL_ALLOWED_NETWORKS are asked."
        )
    address = literal_address(parts.hostname or "")
    if address is not None and not is_allowed(address, allowed_networks, public=encrypted):
        raise AddressRefused("The address must be public with https, or in MODEL_ALLOWED_NETWORKS.")
    return url
