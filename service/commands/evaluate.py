"""`docsearch eval`: how well search finds, on a collection whose queries were judged by people."""

import asyncio
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.commands.output import CommandFailed, print_error, print_json, stderr_console, stdout_console
from service.commands.search import Mode

if TYPE_CHECKING:
    from search.evaluate import DataSet, Quality
    from service.settings import Settings


@dataclass(frozen=True, slots=True)
class Report:
    """What was measured on what; modes in the order they were run."""

    data: str
    documents: int
    queries: int
    modes: Mapping[str, "Quality"]


def evaluate(
    data: Annotated[
        Path,
        typer.Option(
            "--data",
            metavar="DIR",
            exists=True,
            file_okay=False,
            help="Folder with corpus.jsonl, queries.jsonl and qrels/test.tsv, as BEIR has them.",
        ),
    ],
    modes: Annotated[
        list[Mode] | None,
        typer.Option("--mode", help="Measure only this mode. Repeat for more. [default: all]"),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(
            "--limit", metavar="N", min=1, help="Use only the first N judged queries, for a quick look."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, for programs.")] = False,
) -> None:
    """Measure search on a collection with judged queries: quality and latency, for each mode.

    The corpus goes through the real pipeline, one document each, into the space of a scratch user, who is removed
    in the end. Every judged query goes through the real search, and documents are ranked by their best chunk.
    Works beside a running server and without one.

    \b
    Examples:
      docsearch eval --data beir/scifact
      docsearch eval --data beir/scifact --mode hybrid --limit 50
      docsearch eval --data beir/scifact --json | jq '.modes.hybrid["ndcg@10"]'

    \b
    Environment:
      DATABASE_URL        the database [the embedded one in DOCSEARCH_HOME]
      DOCSEARCH_HOME      folder of the embedded database [.docsearch]
      EMBEDDING_PROVIDER  who embeds corpus and queries [local]
    """
    from search.errors import MalformedData
    from search.evaluate import load_data_set
    from service.logs import configure_logging
    from service.settings import load_settings

    # stdout is the result's; of the log, only what is wrong is of interest here.
    settings = load_settings(**({} if os.environ.get("LOG_LEVEL") else {"log_level": "WARNING"}))
    configure_logging(settings)
    try:
        data_set = load_data_set(data.resolve())
    except MalformedData as exc:
        raise CommandFailed(str(exc)) from exc
    if limit is not None:
        data_set = replace(data_set, queries=dict(islice(data_set.queries.items(), limit)))
    try:
        report = _measure(settings, data_set, list(dict.fromkeys(modes or Mode)))
    except KeyboardInterrupt:
        print_error("Interrupted; the scratch documents are removed.")
        raise typer.Exit(130) from None
    if as_json:
        print_json(to_json(report))
    else:
        _print_table(report)


def to_json(report: Report) -> dict[str, Any]:
    return {
        "data": report.data,
        "documents": report.documents,
        "queries": report.queries,
        "modes": {mode: _figures(quality) for mode, quality in report.modes.items()},
    }


def _figures(quality: "Quality") -> dict[str, float]:
    return {
        "ndcg@10": round(quality.ndcg_at_10, 4),
        "recall@100": round(quality.recall_at_100, 4),
        "mrr@10": round(quality.mrr_at_10, 4),
        "p50_ms": round(quality.p50_ms, 2),
        "p95_ms": round(quality.p95_ms, 2),
    }


def _measure(settings: "Settings", data_set: "DataSet", modes: Sequence[Mode]) -> Report:
    from service.commands.database import open_database

    with open_database(settings) as dsn, _progress() as start:
        return asyncio.run(_measure_on(settings, dsn, data_set, modes, start))


async def _measure_on(
    settings: "Settings", dsn: str, data_set: "DataSet", modes: Sequence[Mode], start: "StartTask"
) -> Report:
    import search.evaluate
    import search.query
    from service.commands.scratch import ingest_corpus, scratch_user
    from service.runtime import open_ingestor, open_runtime

    async with open_runtime(settings, dsn) as runtime, scratch_user(runtime.pool) as user_id:
        async with open_ingestor(runtime) as ingestor:
            advance = start("Ingesting", len(data_set.corpus))
            corpus_ids = await ingest_corpus(ingestor, user_id, data_set.corpus, advance)
        measured = {}
        for mode in modes:
            measured[mode.value] = await search.evaluate.evaluate(
                runtime.pool,
                runtime.embedder,
                (user_id,),
                data_set,
                corpus_ids,
                search.query.Mode(mode.value),
                progress=start(f"Searching, {mode.value}", len(data_set.queries)),
            )
    return Report(data_set.name, len(data_set.corpus), len(data_set.queries), measured)


StartTask = Callable[[str, int], Callable[[], None]]
"""Begins a task of so many steps, and returns what to call after each."""


@contextmanager
def _progress() -> Iterator[StartTask]:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = stderr_console()
    bars = Progress(
        TextColumn("{task.description:<20}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        disable=not console.is_terminal,
    )

    def start(description: str, steps: int) -> Callable[[], None]:
        task = bars.add_task(description, total=steps)
        return lambda: bars.advance(task)

    with bars:
        yield start


def _print_table(report: Report) -> None:
    from rich.table import Table

    console = stdout_console()
    console.print(f"{report.data}: {report.documents} documents, {report.queries} queries")
    table = Table()
    table.add_column("mode")
    for column in ("nDCG@10", "recall@100", "MRR@10", "p50", "p95"):
        table.add_column(column, justify="right")
    for mode, quality in report.modes.items():
        table.add_row(
            mode,
            f"{quality.ndcg_at_10:.3f}",
            f"{quality.recall_at_100:.3f}",
            f"{quality.mrr_at_10:.3f}",
            f"{quality.p50_ms:.1f} ms",
            f"{quality.p95_ms:.1f} ms",
        )
    console.print(table)
