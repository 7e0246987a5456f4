"""`docsearch models`: list, add, test and remove AI models, in the database itself."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from service.commands.output import CommandFailed, one_line, print_json, say, stdout_console

if TYPE_CHECKING:
    from db.ai_models import AIModelRow, Provider
    from db.pool import Conn
    from service.providers.chat.trial import Trial
    from service.settings import Settings

T = TypeVar("T")

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="""List, add, test and remove the AI models that answers are written with.

    Works on the database itself: DATABASE_URL, or the embedded one in DOCSEARCH_HOME, whether a server runs or not.
    """,
)

_PROVIDERS = ("OPENAI", "GEMINI", "GROQ", "ANTHROPIC", "CUSTOM")

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
Id = Annotated[str, typer.Argument(metavar="ID", help="The model's id, as `docsearch models list` shows it.")]


@app.command("list")
def list_models(as_json: AsJson = False) -> None:
    """List the models by name: never their keys.

    \b
    Examples:
      docsearch models list
      docsearch models list --json
    """
    from rich.table import Table

    from db import ai_models
    from service.settings import load_settings

    rows = _run(load_settings(), ai_models.list_models)
    if as_json:
        print_json({"data": [_to_json(row) for row in rows]})
        return
    table = Table()
    for column in ("id", "name", "provider", "model", "key", "requests", "tokens", "dollars", "status"):
        table.add_column(column, overflow="fold", no_wrap=column == "id")
    for row in rows:
        table.add_row(
            row.id,
            one_line(row.name),
            row.provider,
            one_line(row.model_id),
            "yes" if row.config.get("apiKey") else "–",
            f"{row.total_requests:,}",
            f"{row.total_tokens:,}",
            f"{row.total_cost:,.2f}",
            "active" if row.is_active else "out of use",
        )
    stdout_console().print(table)


@app.command("add")
def add(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What people see in lists.")],
    provider: Annotated[
        str, typer.Option("--provider", metavar="PROVIDER", help="OPENAI, GEMINI, GROQ, ANTHROPIC or CUSTOM.")
    ],
    model: Annotated[
        str, typer.Option("--model", metavar="MODEL", help="The provider's own name for it, as gpt-4o-mini.")
    ],
    key_stdin: Annotated[
        bool, typer.Option("--key-stdin", help="Read the provider's key from stdin; it is kept encrypted.")
    ] = False,
    endpoint: Annotated[
        str | None,
        typer.Option(
            "--endpoint", metavar="URL", help="Base URL; CUSTOM needs one. [default: the provider's]"
        ),
    ] = None,
    max_tokens: Annotated[
        int | None, typer.Option("--max-tokens", metavar="N", min=1, help="Tokens of an answer at most.")
    ] = None,
    temperature: Annotated[
        float | None, typer.Option("--temperature", metavar="X", min=0, max=2, help="From 0 to 2.")
    ] = None,
    context_tokens: Annotated[
        int | None,
        typer.Option(
            "--context-tokens",
            metavar="N",
            min=256,
            help="Prompt and answer together at most. [default: known of the model, else 8,192]",
        ),
    ] = None,
    input_price: Annotated[
        float | None,
        typer.Option("--input-price", metavar="DOLLARS", min=0, help="Of a million tokens of prompts."),
    ] = None,
    output_price: Annotated[
        float | None,
        typer.Option("--output-price", metavar="DOLLARS", min=0, help="Of a million tokens of answers."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Add a model and print its id. The key comes by stdin: a command line can be read by others.

    \b
    Examples:
      docsearch models add "GPT-4o mini" --provider OPENAI --model gpt-4o-mini --key-stdin < openai.key
      docsearch models add "Llama here" --provider CUSTOM --model llama3.2 --endpoint http://127.0.0.1:11434/v1

    \b
    Environment:
      DATABASE_URL            the database [the embedded one in DOCSEARCH_HOME]
      ENCRYPTION_KEY          the key that the provider's is encrypted with [DOCSEARCH_HOME/encryption.key]
      MODEL_ALLOWED_NETWORKS  private networks that models may be asked in
    """
    from db import ai_models
    from service.audit import audit_system
    from service.providers.chat.config import stored_config
    from service.secrets import SecretBox
    from service.settings import load_settings

    settings = load_settings()
    known = _checked_provider(provider)
    if not model.isascii() or not model.isprintable() or not model or " " in model:
        raise typer.BadParameter("it must be printable ASCII without spaces", param_hint="--model")
    if not one_line(name):
        raise typer.BadParameter("the name is empty", param_hint="NAME")
    _check_endpoint(known, endpoint, settings)
    fields = {
        "api_key": sys.stdin.read().strip() or None if key_stdin else None,
        "endpoint": endpoint,
        "max_tokens": max_tokens,
        "temperature": temperature,
        "context_tokens": context_tokens,
        "input_price_per_million": input_price,
        "output_price_per_million": output_price,
    }
    config = stored_config(fields, SecretBox(settings.encryption_keys()))

    async def insert(conn: "Conn") -> "AIModelRow":
        row = await ai_models.insert_model(
            conn, name=one_line(name), provider=known, model_id=model, config=config, is_active=True
        )
        if row is None:
            raise CommandFailed(f"There is a model {model} of {known} already; see `docsearch models list`.")
        await audit_system(
            conn, "operator", "ai_model.created", "ai_model", row.id, provider=known, model_id=model
        )
        return row

    made = _run(settings, insert)
    if as_json:
        print_json(_to_json(made))
    else:
        say(made.id)


@app.command("test")
def try_it(model_id: Id, as_json: AsJson = False) -> None:
    """Ask a model one short question, and say how fast it answered, or why it did not.

    \b
    Example:
      docsearch models test 0d3f7c1e-5a57-4f39-9d3c-9d5e6f0a1b2c
    """
    from service.settings import load_settings

    settings = load_settings()
    row = _run(settings, lambda conn: _find(conn, model_id))
    trial = asyncio.run(_try(row, settings))
    failure, end = trial.failure, trial.finished
    tokens = None if end is None else end.prompt_tokens + end.completion_tokens
    if as_json:
        print_json(
            {
                "ok": end is not None,
                "latency_ms": trial.latency_ms,
                "first_token_ms": trial.first_token_ms,
                "tokens": tokens,
                "error": None if failure is None else {"code": failure.code, "detail": failure.detail},
            }
        )
    elif failure is None:
        say(f"Answered in {trial.latency_ms:,} ms, the first word after {trial.first_token_ms or 0:,} ms.")
    if failure is not None:
        raise CommandFailed(failure.detail)


@app.command("remove")
def remove(model_id: Id) -> None:
    """Remove a model that no conversation was held with.

    \b
    Example:
      docsearch models remove 0d3f7c1e-5a57-4f39-9d3c-9d5e6f0a1b2c
    """
    from db import ai_models
    from service.audit import audit_system
    from service.settings import load_settings

    async def delete(conn: "Conn") -> None:
        try:
            if not await ai_models.delete_model(conn, model_id):
                raise _unknown(model_id)
        except ai_models.ModelInUse as exc:
            raise CommandFailed(
                "Conversations were held with this model, and name it: take it out of use over HTTP with is_active."
            ) from exc
        await audit_system(conn, "operator", "ai_model.deleted", "ai_model", model_id)

    _run(load_settings(), delete)
    say(f"Removed {model_id}.")


def _run(settings: "Settings", work: "Callable[[Conn], Awaitable[T]]") -> T:
    """Run work in a transaction of its own."""
    from db.pool import open_pool
    from db.tenancy import as_system
    from service.commands.database import open_database

    async def run(dsn: str) -> T:
        async with (
            open_pool(dsn, size=1, statement_cache_size=settings.database_statement_cache_size) as pool,
            as_system(pool) as conn,
        ):
            return await work(conn)

    with open_database(settings) as dsn:
        return asyncio.run(run(dsn))


async def _find(conn: "Conn", model_id: str) -> "AIModelRow":
    from db import ai_models

    row = await ai_models.find_model(conn, model_id)
    if row is None:
        raise _unknown(model_id)
    return row


async def _try(row: "AIModelRow", settings: "Settings") -> "Trial":
    from service.providers.chat import open_model
    from service.providers.chat.trial import try_model
    from service.secrets import SecretBox

    model = open_model(row, SecretBox(settings.encryption_keys()), settings)
    try:
        return await try_model(model)
    finally:
        await model.aclose()


def _checked_provider(name: str) -> "Provider":
    for known in _PROVIDERS:
        if name.upper() == known:
            return known  # type: ignore[return-value]
    raise typer.BadParameter(f"{name!r}: there are {', '.join(_PROVIDERS)}", param_hint="--provider")


def _check_endpoint(provider: str, endpoint: str | None, settings: "Settings") -> None:
    from ingest.outbound import AddressRefused
    from service.providers.chat.config import checked_endpoint

    if endpoint is None:
        if provider == "CUSTOM":
            raise typer.BadParameter("CUSTOM needs the base URL of its server", param_hint="--endpoint")
        return
    try:
        checked_endpoint(endpoint, settings.model_networks)
    except AddressRefused as exc:
        raise typer.BadParameter(str(exc), param_hint="--endpoint") from exc


def _unknown(model_id: str) -> CommandFailed:
    return CommandFailed(f"There is no model {model_id!r}; `docsearch models list` shows those there are.")


def _to_json(row: "AIModelRow") -> dict[str, Any]:
    return {
        "id": row.id,
        "name": row.name,
        "provider": row.provider,
        "model_id": row.model_id,
        "is_active": row.is_active,
        "has_key": bool(row.config.get("apiKey")),
        "total_requests": row.total_requests,
        "total_tokens": row.total_tokens,
        "total_cost": row.total_cost,
    }
