"""Everything that can be configured, read once from the environment at start."""

import contextlib
import ipaddress
import os
import secrets
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

from cryptography.fernet import Fernet
from pydantic import AnyHttpUrl, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class SettingsError(Exception):
    """The environment does not make a valid configuration; the message names each wrong variable."""


class EmbeddingProvider(StrEnum):
    LOCAL = "local"
    OPENAI = "openai"
    GEMINI = "gemini"
    OPENAI_COMPATIBLE = "openai-compatible"


class Plan(StrEnum):
    FREE = "FREE"
    PRO = "PRO"
    ENTERPRISE = "ENTERPRISE"


class LogFormat(StrEnum):
    AUTO = "auto"
    JSON = "json"
    CONSOLE = "console"


class Settings(BaseSettings):
    """One frozen object; each field is the environment variable of the same name in capitals."""

    # Not populate_by_name: it would read the field `home` from the shell's HOME.
    model_config = SettingsConfigDict(frozen=True, env_ignore_empty=True, extra="ignore")

    database_url: str | None = Field(
        default=None,
        description="PostgreSQL to use, as postgresql://user:password@host:5432/name. Unset: an embedded one.",
        repr=False,
    )
    migration_database_url: str | None = Field(
        default=None,
        description="The same database as the role that owns its tables, for migrations and the vector index. "
        "Unset: DATABASE_URL.",
        repr=False,
    )
    database_pool_size: Annotated[int, Field(ge=2, le=500)] = Field(
        default=16, description="Connections a process opens at most."
    )
    database_statement_cache_size: Annotated[int, Field(ge=0)] = Field(
        default=1024,
        description="Prepared statements a connection keeps. 0 behind pgbouncer or Supabase's pooler.",
    )
    home: Path = Field(
        default=Path(".docsearch"),
        validation_alias="DOCSEARCH_HOME",
        description="Folder of the embedded database, the originals, the owner's key.",
    )
    host: str = Field(default="127.0.0.1", description="Address to listen on.")
    port: Annotated[int, Field(ge=0, le=65535)] = Field(
        default=8000, description="Port to listen on; 0 takes a free one."
    )
    secret_key: SecretStr | None = Field(
        default=None,
        description="Secret behind the hashes of API keys, 32 characters or more. "
        "Unset: one is made and kept in DOCSEARCH_HOME; set it where several machines share a database.",
    )
    encryption_key: SecretStr | None = Field(
        default=None,
        description="Keys that secrets are encrypted with in the database, comma-separated: the first encrypts, all "
        "decrypt. Required with DATABASE_URL; make one with `docsearch keys new-encryption-key`. Unset: one is made "
        "and kept in DOCSEARCH_HOME.",
    )
    oidc_issuer: str | None = Field(
        default=None,
        description="Issuer of the session tokens that people sign in with, as https://clerk.example.com. Unset: API "
        "keys alone.",
    )
    oidc_audience: str | None = Field(
        default=None, description="Audience that tokens must be for. Unset: it is not looked at."
    )
    oidc_authorized_parties: str = Field(
        default="",
        description="Origins that tokens may have been issued to (azp), comma-separated. Unset: any.",
    )
    oidc_jwks_url: str | None = Field(
        default=None, description="Where the issuer publishes its keys. Unset: discovered from the issuer."
    )
    oidc_algorithms: str = Field(
        default="RS256",
        description="Signature algorithms that are accepted, comma-separated; asymmetric ones only.",
    )
    clerk_webhook_secret: SecretStr | None = Field(
        default=None,
        description="Secret of Clerk's webhook, whsec_…; several, comma-separated, while it changes.",
    )
    stripe_webhook_secret: SecretStr | None = Field(
        default=None,
        description="Secret of Stripe's webhook, whsec_…; several, comma-separated, while it changes.",
    )
    stripe_prices: str = Field(
        default="",
        description="Which plan each price of Stripe's buys, as price_123=PRO,price_456=ENTERPRISE.",
    )
    rate_limit_requests_per_minute: Annotated[int, Field(ge=1)] | None = Field(
        default=None, description="Requests a minute of one person, all their keys together. Unset: no limit."
    )
    rate_limit_requests_per_hour: Annotated[int, Field(ge=1)] | None = Field(
        default=None, description="Requests an hour of one person, all their keys together. Unset: no limit."
    )
    rate_limit_key_requests_per_minute: Annotated[int, Field(ge=1)] | None = Field(
        default=None, description="Requests a minute of one API key. Unset: no limit of its own."
    )
    rate_limit_key_requests_per_hour: Annotated[int, Field(ge=1)] | None = Field(
        default=None, description="Requests an hour of one API key. Unset: no limit of its own."
    )
    webhook_allowed_networks: str = Field(
        default="",
        description="Private networks that webhooks may be sent to, as 10.0.0.0/8; public addresses always may.",
    )
    answer_min_score: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.46,
        description="Score of the best hit below which an answer says that nothing was found. The default is measured "
        "for the bundled embedder; others want their own.",
    )
    model_allowed_networks: str | None = Field(
        default=None,
        description="Private networks that AI models may be asked in, with or without TLS, as 10.0.0.0/8; public "
        "addresses always may, with TLS. Unset: this machine itself on the embedded database, else none.",
    )
    administrators: str = Field(
        default="",
        description="E-mail addresses of those who may change the AI models, comma-separated; only verified ones "
        "count. The local owner always may.",
    )
    default_plan: Plan | None = Field(
        default=None,
        description="Plan of new people and teams: FREE, PRO or ENTERPRISE. Unset: ENTERPRISE on the embedded "
        "database, else FREE.",
    )
    embedding_price_per_million: Annotated[float, Field(ge=0)] = Field(
        default=0.0, description="US dollars for a million embedded tokens, for the usage log."
    )
    storage_url: str | None = Field(
        default=None,
        description="Where originals are kept: a folder, or s3://bucket/prefix. Unset: DOCSEARCH_HOME/originals.",
    )
    max_upload_bytes: Annotated[int, Field(ge=1)] = Field(
        default=100 * 1024 * 1024, description="The largest file that an upload may bring, in bytes."
    )
    embedding_provider: EmbeddingProvider = Field(
        default=EmbeddingProvider.LOCAL, description="Who embeds: local, openai, gemini or openai-compatible."
    )
    embedding_model: str | None = Field(
        default=None, description="Model name; unset: the provider's default."
    )
    embedding_base_url: AnyHttpUrl | None = Field(
        default=None, description="Base URL of the provider; required for openai-compatible."
    )
    embedding_api_key: SecretStr | None = Field(
        default=None, description="Key for an openai-compatible provider that wants one."
    )
    embedding_window_tokens: Annotated[int, Field(ge=32, le=32_000)] | None = Field(
        default=None, description="Longest input of the model in tokens; unset: the provider's known value."
    )
    openai_api_key: SecretStr | None = Field(default=None, description="Key for EMBEDDING_PROVIDER=openai.")
    gemini_api_key: SecretStr | None = Field(default=None, description="Key for EMBEDDING_PROVIDER=gemini.")
    fetch_allowed_networks: str = Field(
        default="",
        description="Private networks that documents may be fetched from by URL, as 10.0.0.0/8,192.168.7.0/24; "
        "public addresses always may.",
    )
    parse_timeout_s: Annotated[float, Field(gt=0)] = Field(
        default=120.0, description="Seconds that parsing one document may take."
    )
    parse_memory_mb: Annotated[int, Field(ge=128)] = Field(
        default=2048, description="Mebibytes that parsing one document may use."
    )
    worker_concurrency: Annotated[int, Field(ge=1, le=64)] = Field(
        default=16, description="Documents that one worker ingests at a time."
    )
    workflow_execution_timeout: Annotated[float, Field(gt=0, le=604_800)] = Field(
        default=3600.0,
        description="Seconds that a run of a workflow may work, waiting not counted; a workflow may say less.",
    )
    workflow_max_executions_per_minute: Annotated[int, Field(ge=1)] | None = Field(
        default=None,
        description="Workflows that one person or team may start in a minute, beside what their plan says. "
        "Unset: no limit of its own.",
    )
    workflow_max_concurrent_executions: Annotated[int, Field(ge=1)] | None = Field(
        default=None,
        description="Workflows that one person or team may have running at a time, beside what their plan says. "
        "Unset: no limit of its own.",
    )
    workflow_retry_attempts: Annotated[int, Field(ge=1, le=10)] = Field(
        default=3, description="Tries of a node whose failure may heal, the first included."
    )
    workflow_concurrency: Annotated[int, Field(ge=1, le=1000)] = Field(
        default=32, description="Workflows that one worker runs at a time; most of them wait for others."
    )
    workflow_allowed_networks: str = Field(
        default="",
        description="Private networks that workflows may send requests to, as 10.0.0.0/8; public addresses always may.",
    )
    workflow_retention_days: Annotated[int, Field(ge=1)] = Field(
        default=30, description="Days that finished executions are kept, with their logs."
    )
    public_url: AnyHttpUrl | None = Field(
        default=None,
        description="Where the service is reached from outside, as https://search.example.com: addresses of webhooks "
        "and of waiting workflows begin with it. Unset: http://HOST:PORT.",
    )
    log_level: str = Field(default="INFO", description="DEBUG, INFO, WARNING or ERROR.")
    log_format: LogFormat = Field(
        default=LogFormat.AUTO, description="json, console, or auto: console on a terminal, json elsewhere."
    )

    @field_validator("database_url", "migration_database_url")
    @classmethod
    def _known_scheme(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith(("postgresql://", "postgres://")):
            raise ValueError("must start with postgresql://")
        return value

    @field_validator("secret_key")
    @classmethod
    def _long_enough(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and len(value.get_secret_value()) < 32:
            raise ValueError("must have at least 32 characters; make one with: openssl rand -hex 32")
        return value

    @field_validator("log_level")
    @classmethod
    def _known_level(cls, value: str) -> str:
        level = value.upper()
        if level not in {"DEBUG", "INFO", "WARNING", "ERROR"}:
            raise ValueError("must be DEBUG, INFO, WARNING or ERROR")
        return level

    @field_validator("stripe_prices")
    @classmethod
    def _known_plans(cls, value: str) -> str:
        read_prices(value)
        return value

    @field_validator(
        "fetch_allowed_networks",
        "webhook_allowed_networks",
        "model_allowed_networks",
        "workflow_allowed_networks",
    )
    @classmethod
    def _known_networks(cls, value: str | None) -> str | None:
        read_networks(value or "")
        return value

    @property
    def allowed_networks(self) -> tuple[Network, ...]:
        return read_networks(self.fetch_allowed_networks)

    @property
    def webhook_networks(self) -> tuple[Network, ...]:
        return read_networks(self.webhook_allowed_networks)

    @property
    def workflow_networks(self) -> tuple[Network, ...]:
        return read_networks(self.workflow_allowed_networks)

    @property
    def model_networks(self) -> tuple[Network, ...]:
        if self.model_allowed_networks is not None:
            return read_networks(self.model_allowed_networks)
        return read_networks("127.0.0.0/8,::1/128") if self.embedded else ()

    @property
    def administrator_emails(self) -> frozenset[str]:
        return frozenset(address.lower() for address in read_list(self.administrators))

    @property
    def plan_prices(self) -> dict[str, str]:
        """The plan that each price of Stripe's buys."""
        return read_prices(self.stripe_prices)

    @property
    def outside_url(self) -> str:
        """Where others reach the service, without a slash at the end."""
        if self.public_url is not None:
            return str(self.public_url).rstrip("/")
        return f"http://{self.host}:{self.port}"

    @property
    def embedded(self) -> bool:
        return self.database_url is None

    @property
    def new_tier(self) -> str:
        """The plan that new people and teams get."""
        return self.default_plan or (Plan.ENTERPRISE if self.embedded else Plan.FREE)

    def signing_secret(self) -> bytes:
        """Return the secret behind API key hashes, making and keeping one where none is configured."""
        if self.secret_key is not None:
            return self.secret_key.get_secret_value().encode()
        return _kept_secret(self.home / "secret.key", lambda: secrets.token_hex(32))

    def encryption_keys(self) -> str:
        """Return the keys behind encrypted secrets, comma-separated, making and keeping one on an embedded database.

        Raises SettingsError where a database that others use too has no key of its own.
        """
        if self.encryption_key is not None:
            return self.encryption_key.get_secret_value()
        if not self.embedded:
            raise SettingsError(
                "ENCRYPTION_KEY is not set: secrets in the database of DATABASE_URL are encrypted with it. Make one "
                "with `docsearch keys new-encryption-key`, and give every process the same."
            )
        return _kept_secret(self.home / "encryption.key", lambda: Fernet.generate_key().decode()).decode()


def read_list(text: str) -> list[str]:
    """Return the parts of a comma-separated list, empty ones left out."""
    return [part.strip() for part in text.split(",") if part.strip()]


def read_prices(text: str) -> dict[str, str]:
    """Return the plan of each price in price_1=PRO,price_2=ENTERPRISE. Raises ValueError."""
    prices: dict[str, str] = {}
    for part in read_list(text):
        price, _, plan = (piece.strip() for piece in part.partition("="))
        if not price or plan not in set(Plan):
            raise ValueError("must look like price_123=PRO,price_456=ENTERPRISE")
        if price in prices:
            raise ValueError(f"lists {price} twice")
        prices[price] = plan
    return prices


def read_networks(text: str) -> tuple[Network, ...]:
    """Return the networks of a comma-separated list. Raises ValueError."""
    return tuple(ipaddress.ip_network(part.strip()) for part in text.split(",") if part.strip())


def _kept_secret(path: Path, make: Callable[[], str]) -> bytes:
    """Return the secret in path, made at the first call; of two processes at once both get the same."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        draft = path.with_name(f"{path.name}.{os.getpid()}")
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(make())
        with contextlib.suppress(FileExistsError):
            # A link appears whole or not at all, and never in the place of one that is there.
            os.link(draft, path)
        draft.unlink()
    return path.read_bytes().strip()


def load_settings(**overrides: Any) -> Settings:
    """Read the environment. Raises SettingsError naming every variable that is wrong."""
    try:
        return Settings(**overrides)
    except ValidationError as exc:
        raise SettingsError(_explain(exc)) from exc


def _explain(exc: ValidationError) -> str:
    # The values stay out: one of them may be a secret.
    parts = []
    for error in exc.errors(include_input=False, include_url=False):
        name = str(error["loc"][0]).upper() if error["loc"] else "environment"
        parts.append(f"{name}: {error['msg'].removeprefix('Value error, ')}")
    return "Configuration is not valid. " + "; ".join(parts)
