"""`docsearch ingest`: bring the server up to date with files and folders."""

import asyncio
import os
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.commands.output import (
    CommandFailed,
    one_line,
    print_error,
    print_json,
    stderr_console,
    stdout_console,
)
from service.commands.pairs import parse_pairs

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

    from service.commands.discover import Found
    from service.commands.sync import Options, Outcome

_STYLES = {"ready": "green", "unchanged": "dim", "queued": "cyan", "skipped": "dim", "failed": "bold red"}
# Names of skipped files that the summary spells out; --json has them all.
_NAMED_AT_MOST = 10


def ingest(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="PATH", exists=True, help="Files and folders; folders are read with all below them."
        ),
    ],
    metadata: Annotated[
        list[str] | None,
        typer.Option(
            "--metadata",
            "-m",
            metavar="KEY=VALUE",
            help="Metadata for every file, to filter by. Repeat for more.",
        ),
    ] = None,
    team_id: Annotated[
        str | None,
        typer.Option("--team-id", metavar="ID", help="Team that the documents belong to, not just you."),
    ] = None,
    concurrency: Annotated[
        int, typer.Option("--concurrency", metavar="N", min=1, max=64, help="Files uploaded at a time.")
    ] = 4,
    no_wait: Annotated[
        bool, typer.Option("--no-wait", help="Leave when all is uploaded, not when all is ready.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, for programs.")] = False,
) -> None:
    """Upload files and folders, and wait until they can be searched.

    Run it again whenever you like: only what is new or changed is uploaded. A changed file replaces its
    document once the new one is ready. Interrupted, it continues where it was. In folders, hidden files and
    formats that are not supported are left out, and named in the summary.

    \b
    Examples:
      docsearch ingest handbook/
      docsearch ingest report.pdf notes.md --metadata year=2024 --metadata team=ops
      docsearch ingest ~/papers --json | jq '.files[] | select(.status == "failed")'

    \b
    Environment:
      DOCSEARCH_URL      the server [the one running here, else http://127.0.0.1:8000]
      DOCSEARCH_API_KEY  the key to sign in with [the local owner's]
      DOCSEARCH_HOME     where the local server keeps its address and key [.docsearch]

    The exit code is 0 only when every file is ready.
    """
    from service.commands.discover import find_files
    from service.commands.sync import Options

    options = Options(
        team_id=team_id,
        metadata=dict(parse_pairs(metadata or [], "--metadata")),
        concurrency=concurrency,
        wait=not no_wait,
    )
    found = find_files(paths, _supported_suffixes())
    if not found.files and not found.unreadable:
        raise CommandFailed(_nothing_found(found))
    try:
        outcomes = _run(found, options, as_json=as_json)
    except KeyboardInterrupt:
        print_error("Interrupted. What is uploaded stays; run the same command again to continue.")
        raise typer.Exit(130) from None
    if as_json:
        print_json(to_json(outcomes))
    else:
        _print_summary(outcomes)
    if any(outcome.status == "failed" for outcome in outcomes):
        raise typer.Exit(1)


def to_json(outcomes: Sequence["Outcome"]) -> dict[str, Any]:
    counts: Counter[str] = Counter(outcome.status for outcome in outcomes)
    files = [
        {
            # A name that is not UTF-8 on disk is shown, not reproduced.
            "path": os.fsencode(outcome.path).decode("utf-8", "replace"),
            "status": outcome.status,
            "document_id": outcome.document_id,
            "error": outcome.error,
        }
        for outcome in outcomes
    ]
    return {"files": files} | {
        status: counts[status] for status in ("ready", "unchanged", "queued", "failed", "skipped")
    }


def _supported_suffixes() -> Collection[str]:
    from ingest.parse.sniff import SUPPORTED_MEDIA_TYPES

    return {suffix for suffixes in SUPPORTED_MEDIA_TYPES.values() for suffix in suffixes}


def _nothing_found(found: "Found") -> str:
    if not found.skipped:
        return "There is no file to ingest here."
    names = ", ".join(
        f"{one_line(item.path.name)} ({item.reason})" for item in found.skipped[:_NAMED_AT_MOST]
    )
    more = ", …" if len(found.skipped) > _NAMED_AT_MOST else ""
    return f"There is no file to ingest here; left out: {names}{more}."


def _run(found: "Found", options: "Options", *, as_json: bool) -> list["Outcome"]:
    """Return every outcome, those of what was found and left out included."""
    from service.commands.client import find_server, open_client
    from service.commands.sync import Outcome, sync_files

    server = find_server()
    failed = [
        Outcome(item.path, "failed", error=f"cannot be read: {item.reason}") for item in found.unreadable
    ]
    skipped = [Outcome(item.path, "skipped", error=item.reason) for item in found.skipped]

    async def run() -> list[Outcome]:
        with _show_progress(len(found.files), wait=options.wait, as_json=as_json) as reporter:
            for outcome in failed:
                reporter.tell(outcome)
            async with open_client(server) as client:
                return await sync_files(client, found.files, options, reporter)

    return [*asyncio.run(run()), *failed, *skipped]


class _Display:
    """Shows two bars while a terminal watches, and a line for each file that is done."""

    def __init__(self, progress: "Progress", lines: "Console | None", files: int, *, wait: bool) -> None:
        self._progress = progress
        self._lines = lines
        self._uploading = progress.add_task("Uploading", total=files)
        self._processing = progress.add_task("Processing", total=files, visible=wait)

    def uploaded(self) -> None:
        self._progress.advance(self._uploading)

    def finished(self, outcome: "Outcome") -> None:
        self._progress.advance(self._processing)
        self.tell(outcome)

    def stalled(self) -> None:
        message = "Documents are waiting, and nobody works on them: is a worker running (`docsearch worker`)?"
        self._progress.console.print(message, style="yellow", soft_wrap=True)

    def tell(self, outcome: "Outcome") -> None:
        if self._lines is None:
            return
        from rich.text import Text

        line = Text.assemble((f"{outcome.status:<10}", _STYLES[outcome.status]), one_line(str(outcome.path)))
        line.append(_note(outcome), "red" if outcome.error else "dim")
        self._lines.print(line, soft_wrap=True)


def _note(outcome: "Outcome") -> str:
    if outcome.error:
        return f"  {one_line(outcome.error)}"
    counts = [
        f"{count} {noun}{'' if count == 1 else 's'}"
        for count, noun in ((outcome.pages, "page"), (outcome.chunks, "chunk"))
        if count
    ]
    return f"  {', '.join(counts)}" if counts else ""


@contextmanager
def _show_progress(files: int, *, wait: bool, as_json: bool) -> Iterator[_Display]:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    lines = None if as_json else stdout_console()
    # On a terminal the bars and the lines share one console, which keeps them apart; when the lines go
    # elsewhere, the bars are stderr's.
    bars = lines if lines is not None and lines.is_terminal else stderr_console()
    progress = Progress(
        TextColumn("{task.description:<10}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=bars,
        transient=True,
        disable=not bars.is_terminal,
    )
    with progress:
        yield _Display(progress, lines, files, wait=wait)


def _print_summary(outcomes: Sequence["Outcome"]) -> None:
    from rich.table import Table

    console = stdout_console()
    counts: Counter[str] = Counter(outcome.status for outcome in outcomes)
    table = Table(show_header=False)
    table.add_column("status")
    table.add_column("files", justify="right")
    for status, style in _STYLES.items():
        if counts[status]:
            table.add_row(status, str(counts[status]), style=style)
    console.print(table)
    skipped = [outcome for outcome in outcomes if outcome.status == "skipped"]
    for outcome in skipped[:_NAMED_AT_MOST]:
        console.print(f"left out: {one_line(str(outcome.path))} ({outcome.error})", soft_wrap=True)
    if len(skipped) > _NAMED_AT_MOST:
        console.print(f"left out: {len(skipped) - _NAMED_AT_MOST} more; --json names them all")
