"""`docsearch index`: the approximate vector index."""

import asyncio
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from service.commands.output import CommandFailed, print_json, say

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from db.pool import Conn
    from db.vector_index import IndexStatus

HELP = """Look after the vector index that large searches use.

Small scopes are searched exactly, without it. The worker builds it anew by itself when the data has
outgrown it; `rebuild` does it now.
"""

T = TypeVar("T")
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]

app = typer.Typer(help=HELP, no_args_is_help=True, rich_markup_mode=None)


@app.command()
def status(json: JsonOption = False) -> None:
    """Say what the index was built on, and how well it finds.

    \b
    Example:
      docsearch index status
    """
    from db import vector_index

    _show(_on_database(vector_index.status), json)


@app.command()
def rebuild(json: JsonOption = False) -> None:
    """Build the index for the rows there are now, and measure it.

    Searches and uploads go on meanwhile; a million vectors take some minutes.

    \b
    Example:
      docsearch index rebuild
    """
    from db import vector_index

    if _on_database(vector_index.rebuild) is None:
        raise CommandFailed("Another rebuild is under way; look again with `docsearch index status`.")
    _show(_on_database(vector_index.status), json)


def _on_database(work: "Callable[[Conn], Awaitable[T]]") -> "T":
    from db.pool import open_pool
    from service.commands.database import open_database
    from service.settings import load_settings

    async def run(dsn: str) -> "T":
        async with open_pool(dsn, size=2, statement_cache_size=0) as pool, pool.acquire() as conn:
            return await work(conn)

    with open_database(load_settings()) as dsn:
        return asyncio.run(run(dsn))


def _show(index: "IndexStatus", json: bool) -> None:
    from db.vector_index import needs_rebuild

    outgrown = needs_rebuild(index)
    if json:
        import msgspec

        print_json(msgspec.to_builtins(index) | {"needs_rebuild": outgrown})
        return
    say(f"vectors   {index.vectors:,}")
    say(f"index     {index.lists or 0:,} lists, {index.size_bytes / 2**20:,.1f} MiB")
    if index.recall is not None and index.probes is not None and index.rows_built is not None:
        say(f"built on  {index.rows_built:,} vectors")
        say(f"recall    {index.recall:.3f} of the ten nearest, looking into {index.probes} lists")
    say("It does not fit its data: `docsearch index rebuild`." if outgrown else "It fits its data.")
