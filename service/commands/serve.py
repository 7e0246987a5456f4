"""`docsearch serve` and `docsearch worker`."""

from typing import Annotated

import typer

from service.commands.output import CommandFailed


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on. [HOST, 127.0.0.1]")] = None,
    port: Annotated[int | None, typer.Option(help="Port; 0 takes a free one. [PORT, 8000]")] = None,
    worker: Annotated[
        bool, typer.Option("--worker/--no-worker", help="Ingest documents in this process too.")
    ] = True,
    owner: Annotated[
        bool,
        typer.Option(
            "--owner/--no-owner", help="Make a local owner with a key and the handbook on first start."
        ),
    ] = True,
) -> None:
    """Start the API, the console page and a worker, on an embedded database or on DATABASE_URL.

    \b
    Examples:
      docsearch serve
      docsearch serve --port 8080
      docsearch serve --host 0.0.0.0 --no-worker --no-owner     an API replica; run `docsearch worker` beside it

    The first start sets everything up: database, schema, an owner with an API key, a handbook to search. Ctrl-C
    stops all of it; the next start finds everything as it was.
    """
    import asyncio

    from service.logs import configure_logging
    from service.serve import ServeOptions
    from service.serve import serve as run
    from service.settings import load_settings

    given = {"host": host, "port": port}
    settings = load_settings(**{name: value for name, value in given.items() if value is not None})
    configure_logging(settings)
    _run(lambda: asyncio.run(run(settings, ServeOptions(worker=worker, owner=owner))))


def worker() -> None:
    """Run a worker alone: it takes documents from the queue and makes them searchable.

    \b
    Example:
      DATABASE_URL=postgresql://… docsearch worker

    Run as many as you like, on as many machines; they share the queue. In production they read originals from the
    object store in STORAGE_URL, the same as the API's.
    """
    import asyncio

    from service.logs import configure_logging
    from service.serve import work
    from service.settings import load_settings

    settings = load_settings()
    configure_logging(settings)
    _run(lambda: asyncio.run(work(settings)))


def _run(start: object) -> None:
    """Call start, turning what a person can mend into one sentence."""
    from db.errors import DatabaseError
    from service.http import PortTaken
    from service.providers import ProviderNotConfigured

    try:
        start()  # type: ignore[operator]
    except (DatabaseError, PortTaken, ProviderNotConfigured) as exc:
        raise CommandFailed(str(exc)) from exc
    except OSError as exc:
        where = f" ({exc.filename})" if exc.filename else ""
        raise CommandFailed(f"The data folder cannot be used{where}: {exc.strerror or exc}.") from exc
