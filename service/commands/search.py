"""`docsearch search`: ask, and read ranked, cited passages."""

import asyncio
import json
import sys
from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.commands.output import one_line, print_error, printable, stdout_console
from service.commands.pairs import parse_pairs

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from service.commands.reply import Hit, SearchReply


class Mode(StrEnum):
    HYBRID = "hybrid"
    SEMANTIC = "semantic"
    LEXICAL = "lexical"


def search(
    query: Annotated[
        str, typer.Argument(metavar="QUERY", help='What to look for, in plain words; "-" reads stdin.')
    ],
    mode: Annotated[
        Mode, typer.Option("--mode", help="Meaning and words together, meaning alone, or words alone.")
    ] = Mode.HYBRID,
    top_k: Annotated[
        int, typer.Option("--top-k", "-k", metavar="N", min=1, help="Passages to return at most.")
    ] = 10,
    filters: Annotated[
        list[str] | None,
        typer.Option(
            "--filter", "-f", metavar="KEY=VALUE", help="Only documents with this metadata. Repeat: all hold."
        ),
    ] = None,
    filter_json: Annotated[
        str | None,
        typer.Option(
            "--filter-json",
            metavar="JSON",
            help="A filter as the API has it: eq ne gt gte lt lte in nin contains startswith endswith empty not and "
            "or.",
        ),
    ] = None,
    document_ids: Annotated[
        list[str] | None,
        typer.Option("--document-id", metavar="ID", help="Only in this document. Repeat for more."),
    ] = None,
    team_id: Annotated[
        str | None, typer.Option("--team-id", metavar="ID", help="Only in this team's documents.")
    ] = None,
    min_score: Annotated[
        float | None,
        typer.Option(
            "--min-score", metavar="SCORE", min=0, max=1, help="Leave out passages that score less."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the API's reply as it is.")] = False,
) -> None:
    """Search your documents, and print the best passages with where they stand.

    A passage is cited by document, page, and the characters [start–end] of the document's extracted text.

    \b
    Examples:
      docsearch search "how do I roll back a release?"
      docsearch search "retention period" --mode lexical --top-k 3
      docsearch search "revenue" --filter year=2024 --filter team=ops
      docsearch search "revenue" --filter-json '{"type": "gte", "key": "year", "value": 2023}'
      docsearch search "error budget" --json | jq '.hits[0].text'
      echo "who is on call?" | docsearch search -

    \b
    Environment:
      DOCSEARCH_URL      the server [the one running here, else http://127.0.0.1:8000]
      DOCSEARCH_API_KEY  the key to sign in with [the local owner's]
      DOCSEARCH_HOME     where the local server keeps its address and key [.docsearch]
    """
    body: dict[str, Any] = {"query": _read_query(query), "top_k": top_k, "mode": mode.value}
    conditions = _combine_filters(filters or [], filter_json)
    if conditions is not None:
        body["filters"] = conditions
    optional = {"document_ids": document_ids or None, "team_id": team_id, "min_score": min_score}
    body |= {name: value for name, value in optional.items() if value is not None}
    try:
        reply = asyncio.run(_ask(body))
    except KeyboardInterrupt:
        print_error("Interrupted.")
        raise typer.Exit(130) from None
    if as_json:
        sys.stdout.write(reply.decode("utf-8", "replace").rstrip("\n") + "\n")
        return
    from service.commands.reply import read_reply

    print_reply(stdout_console(), read_reply(reply))


def _read_query(query: str) -> str:
    text = sys.stdin.read() if query == "-" else query
    if not text.strip():
        raise typer.BadParameter("the query is empty", param_hint="QUERY")
    # An argument that is not UTF-8 arrives with lone surrogates, which no JSON can carry.
    return text.strip().encode("utf-8", "replace").decode("utf-8")


def _combine_filters(pairs: Sequence[str], filter_json: str | None) -> dict[str, Any] | None:
    """Return one filter in which all of them hold, None for no filter."""
    conditions: list[dict[str, Any]] = [
        {"type": "eq", "key": key, "value": value} for key, value in parse_pairs(pairs, "--filter")
    ]
    if filter_json is not None:
        try:
            condition = json.loads(filter_json)
        except ValueError as exc:
            raise typer.BadParameter(f"not JSON: {exc}", param_hint="--filter-json") from exc
        if not isinstance(condition, dict):
            raise typer.BadParameter(
                'must be an object such as {"type": "eq", …}', param_hint="--filter-json"
            )
        conditions.append(condition)
    if len(conditions) > 1:
        return {"type": "and", "filters": conditions}
    return conditions[0] if conditions else None


async def _ask(body: dict[str, Any]) -> bytes:
    from service.commands.client import find_server, open_client

    async with open_client(find_server()) as client:
        return await client.search(body)


def print_reply(console: "Console", reply: "SearchReply") -> None:
    """Print each hit as a heading line, its citation and its text."""
    if not reply.hits:
        console.print("Nothing found.")
        return
    for rank, hit in enumerate(reply.hits, start=1):
        _print_hit(console, rank, hit)
    took = f"{reply.took_ms.total:.0f} ms" if reply.took_ms is not None else "–"
    noun = "passage" if len(reply.hits) == 1 else "passages"
    console.print(f"{len(reply.hits)} {noun}, {reply.mode}, {took}", style="dim")


def _print_hit(console: "Console", rank: int, hit: "Hit") -> None:
    from rich.padding import Padding
    from rich.text import Text

    title = Text.assemble(
        (f"{rank}. ", "bold"),
        (one_line(hit.title) or "Untitled", "bold cyan"),
        (f"  {hit.score:.3f}", "green"),
    )
    console.print(title, soft_wrap=True)
    console.print(Text(f"   {cite(hit)}", "dim"), soft_wrap=True)
    text = highlighted(hit)
    if console.is_terminal:
        console.print(Padding(text, (0, 0, 1, 3)))
    else:
        # Into a file or a pipe go the text's own lines, indented so that none passes for a hit of its own.
        for line in text.split("\n", allow_blank=True):
            console.print(Text("   ") + line if line else line, soft_wrap=True)
        console.print()


def cite(hit: "Hit") -> str:
    """Return where the passage stands: page, characters of the document's text, headings, document."""
    parts = []
    if hit.page_start is not None:
        same = hit.page_end is None or hit.page_end == hit.page_start
        parts.append(f"p. {hit.page_start}" if same else f"pp. {hit.page_start}–{hit.page_end}")
    parts.append(f"[{hit.char_start}–{hit.char_end}]")
    if hit.headings:
        parts.append(" › ".join(one_line(heading) for heading in hit.headings))
    parts.append(one_line(hit.document_id))
    return " · ".join(parts)


def highlighted(hit: "Hit") -> "Text":
    """Return the passage with its highlights as styles; nothing in it drives rich or the terminal."""
    from rich.text import Text

    # rich drops some control characters and so would shift the highlights: replaced, they cannot.
    text = Text(printable(hit.text))
    for start, end in hit.highlights:
        if 0 <= start < end <= len(hit.text):
            text.stylize("bold yellow", start, end)
    return text
