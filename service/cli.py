"""The `docsearch` command: composes the commands, and turns every failure into one sentence and an exit code.

Command modules import what is heavy inside their functions, so that `docsearch --help` answers at once.
"""

import errno
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from service.commands import db, evaluate, index, ingest, keys, mcp, models, search, serve, users, workflow
from service.commands.output import CommandFailed, print_error

HELP = """Search your documents, with exact citations, on the PostgreSQL you already run.

\b
Start here:
  docsearch serve                        start everything on this machine
  docsearch ingest handbook/ notes.md    upload files and folders
  docsearch search "how do I roll back?" ask, and get cited passages

\b
Environment:
  DOCSEARCH_URL      server that ingest, search, workflow and mcp talk to
                     [the local one]
  DOCSEARCH_API_KEY  key they sign in with [the local owner's]
  DOCSEARCH_HOME     folder of the local database and keys [.docsearch]
  DATABASE_URL       PostgreSQL that serve, worker, eval, keys, users, models,
                     db and index use [an embedded one in DOCSEARCH_HOME]

Every command has its own --help, with examples. Results go to stdout, progress and errors to stderr; the exit
code is 0 only when all of it worked.
"""


class DocsearchGroup(TyperGroup):
    """Reports every expected failure of every command in the same way."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except (typer.Exit, typer.Abort, typer.TyperException):
            raise
        except Exception as exc:
            failure = explain(exc)
            if failure is None:
                raise
            print_error(str(failure))
            raise typer.Exit(failure.exit_code) from exc


def explain(exc: Exception) -> CommandFailed | None:
    """Return what to tell the user about an expected failure, None for a mistake of ours."""
    if isinstance(exc, ExceptionGroup):  # tasks that ran together: what the first of them met stands for all
        return explain(exc.exceptions[0])
    if isinstance(exc, CommandFailed):
        return exc
    if isinstance(exc, OSError) and exc.filename and exc.errno != errno.EPIPE:
        return CommandFailed(f"{exc.filename}: {exc.strerror or exc}.")
    # Imported only now: on the good path nobody waits for them.
    from db.errors import DatabaseError
    from ingest.errors import IngestError
    from search.errors import SearchError
    from service.providers.errors import ProviderNotConfigured
    from service.settings import SettingsError

    expected = (DatabaseError, IngestError, SearchError, ProviderNotConfigured, SettingsError)
    return CommandFailed(str(exc)) if isinstance(exc, expected) else None


app = typer.Typer(
    name="docsearch",
    cls=DocsearchGroup,
    help=HELP,
    add_completion=False,
    pretty_exceptions_enable=False,
    # Plain help: it can be copied, it pipes, and rendering it does not load rich.
    rich_markup_mode=None,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"docsearch {version('docsearch')}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def root(
    ctx: typer.Context,
    _version: Annotated[
        bool,
        typer.Option("--version", help="Print the version and exit.", callback=_print_version, is_eager=True),
    ] = False,
) -> None:
    if ctx.invoked_subcommand is None:
        typer.echo(ctx.get_help())


app.command("serve")(serve.serve)
app.command("worker")(serve.worker)
app.command("ingest")(ingest.ingest)
app.command("search")(search.search)
app.command("mcp")(mcp.mcp)
app.command("eval")(evaluate.evaluate)
app.add_typer(keys.app, name="keys")
app.add_typer(users.app, name="users")
app.add_typer(models.app, name="models")
app.add_typer(workflow.app, name="workflow")
app.add_typer(db.app, name="db")
app.add_typer(index.app, name="index")


def main() -> None:
    app(prog_name="docsearch")


if __name__ == "__main__":
    main()
