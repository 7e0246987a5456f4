"""`docsearch search` prints what the server found, and nothing that a document could do to a terminal."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from service.commands.reply import Hit, read_reply
from service.commands.search import cite, highlighted, print_reply
from tests.fakes.docsearch_server import KEY, FakeDocsearch, Refusal
from tests.service.commands.conftest import Run


def hit(**changes: Any) -> dict[str, Any]:
    return {
        "chunk_id": "c1",
        "document_id": "d1",
        "title": "Handbook",
        "text": "Deleted documents are kept for 30 days.",
        "page_start": 3,
        "page_end": 3,
        "char_start": 120,
        "char_end": 159,
        "headings": ["Administration", "Retention"],
        "score": 0.8731,
        "scores": {"semantic": 0.9, "lexical": 0.8},
        "highlights": [[0, 7], [22, 26]],
        "metadata": {},
    } | changes


def answer(*hits: dict[str, Any]) -> bytes:
    took = {"embed": 4.0, "retrieve": 5.0, "total": 9.6}
    reply = {"query": "q", "mode": "hybrid", "plan": "exact", "took_ms": took, "hits": list(hits)}
    return json.dumps(reply).encode()


def test_passages_are_ranked_and_cited(fake: FakeDocsearch, run: Run) -> None:
    fake.reply = answer(
        hit(),
        hit(
            text="Deleted documents are kept for 30 days.\n1. Not a hit of its own.",
            title="Notes",
            page_start=None,
            page_end=None,
            headings=[],
            score=0.5,
        ),
    )
    result = run("search", "how long?")
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "1. Handbook  0.873",
        "   p. 3 · [120–159] · Administration › Retention · d1",
        "   Deleted documents are kept for 30 days.",
        "",
        "2. Notes  0.500",
        "   [120–159] · d1",
        "   Deleted documents are kept for 30 days.",
        "   1. Not a hit of its own.",
        "",
        "2 passages, hybrid, 10 ms",
    ]


def test_json_is_the_reply_as_it_came(fake: FakeDocsearch, run: Run) -> None:
    fake.reply = b'{"hits": [],   "new field": "\xc3\xa9"}'
    assert run("search", "q", "--json").stdout == '{"hits": [],   "new field": "é"}\n'


def test_only_what_was_asked_for_is_sent(fake: FakeDocsearch, run: Run) -> None:
    fake.reply = answer()
    assert run("search", "  two words ").stdout == "Nothing found.\n"
    assert fake.requests[0].json() == {"query": "two words", "top_k": 10, "mode": "hybrid"}


def test_every_option_reaches_the_server(fake: FakeDocsearch, run: Run) -> None:
    fake.reply = answer()
    condition = {"type": "gte", "key": "year", "value": 2023}
    options = ["--mode", "lexical", "-k", "3", "-f", "team=ops", "--filter-json", json.dumps(condition)]
    options += ["--document-id", "d1", "--document-id", "d2", "--team-id", "t", "--min-score", "0.25"]
    assert run("search", "q", *options).exit_code == 0
    assert fake.requests[0].json() == {
        "query": "q",
        "top_k": 3,
        "mode": "lexical",
        "filters": {"type": "and", "filters": [{"type": "eq", "key": "team", "value": "ops"}, condition]},
        "document_ids": ["d1", "d2"],
        "team_id": "t",
        "min_score": 0.25,
    }


def test_one_filter_needs_no_and(fake: FakeDocsearch, run: Run) -> None:
    fake.reply = answer()
    run("search", "q", "--filter", "year=2024")
    assert fake.requests[0].json()["filters"] == {"type": "eq", "key": "year", "value": 2024}


def test_a_dash_reads_the_query_from_stdin(fake: FakeDocsearch, run: Run) -> None:
    fake.reply = answer()
    run("search", "-", stdin="who is on call?\n")
    assert fake.requests[0].json()["query"] == "who is on call?"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["search", " "], "the query is empty"),
        (["search", "q", "--filter-json", "{"], "not JSON"),
        (["search", "q", "--filter-json", "[]"], "must be an object"),
        (["search", "q", "--filter", "=1"], "is not KEY=VALUE"),
        (["search", "q", "--mode", "psychic"], "psychic"),
        (["search", "q", "--top-k", "0"], "--top-k"),
    ],
)
def test_a_wrong_question_is_a_usage_error(run: Run, arguments: list[str], words: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert words in result.stderr


def test_a_refusal_is_one_sentence(fake: FakeDocsearch, run: Run) -> None:
    fake.refuse("POST /v1/search", Refusal(422, "filters: there is no operator 'like'."))
    result = run("search", "q")
    assert result.exit_code == 1
    assert result.stderr == "docsearch: filters: there is no operator 'like'.\n"


def test_a_key_that_is_not_accepted_names_the_variable(
    fake: FakeDocsearch, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCSEARCH_API_KEY", "dsk_other")
    result = run("search", "q")
    assert result.exit_code == 1
    assert "does not accept this API key; look at DOCSEARCH_API_KEY" in result.stderr


def test_another_kind_of_server_is_recognised(fake: FakeDocsearch, run: Run) -> None:
    fake.reply = b"<html>hello</html>"
    result = run("search", "q")
    assert result.exit_code == 1
    assert "not one of a docsearch server" in result.stderr


def test_the_local_server_and_its_owner_are_found(
    fake: FakeDocsearch, run: Run, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.reply = answer()
    (home / "server.json").write_text(json.dumps({"url": fake.url}))
    (home / "owner.key").write_text(KEY + "\n")
    monkeypatch.delenv("DOCSEARCH_URL")
    monkeypatch.delenv("DOCSEARCH_API_KEY")
    assert run("search", "q").exit_code == 0


def test_without_a_server_or_a_key_one_sentence_says_so(run: Run, home: Path) -> None:
    result = run("search", "q")
    assert result.exit_code == 1
    assert result.stderr == (
        f"docsearch: No docsearch server runs with its files in {home}. Start one with `make serve`, "
        "or set DOCSEARCH_URL and DOCSEARCH_API_KEY.\n"
    )


def test_the_owners_key_is_not_sent_to_another_machine(
    run: Run, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "owner.key").write_text("dsk_secret\n")
    monkeypatch.setenv("DOCSEARCH_URL", "https://docsearch.example.com")
    result = run("search", "q")
    assert result.exit_code == 1
    assert "There is no API key for https://docsearch.example.com." in result.stderr


HOSTILE = "[bold red]x[/bold red] :smile: \x1b]8;;http://evil\x07link\x9b31m \u202eltr \x0c end"


def test_document_text_is_neither_markup_nor_terminal_escapes(fake: FakeDocsearch, run: Run) -> None:
    fake.reply = answer(
        hit(text=HOSTILE, title=HOSTILE, headings=[HOSTILE], document_id=HOSTILE, highlights=[])
    )
    shown = run("search", "q").stdout
    assert shown.count("[bold red]x[/bold red] :smile:") == 4
    assert not set(shown) & set("\x1b\x07\x9b\u202e\x0c")


def test_highlights_stay_in_place_behind_control_characters() -> None:
    text = "\x0c\x1b\x07😀\tDeleted"
    [found] = read_reply(answer(hit(text=text, highlights=[[5, 12], [40, 50]]))).hits
    shown = highlighted(found)
    assert [shown.plain[span.start : span.end] for span in shown.spans] == ["Deleted"]


def test_on_a_terminal_the_passage_is_coloured_and_in_a_pipe_it_is_not() -> None:
    parsed = read_reply(answer(hit()))
    terminal, pipe = io.StringIO(), io.StringIO()
    print_reply(Console(file=terminal, force_terminal=True, color_system="standard", width=60), parsed)
    print_reply(Console(file=pipe), parsed)
    assert "\x1b[1;33mDeleted\x1b[0m" in terminal.getvalue()
    assert "\x1b" not in pipe.getvalue()


def test_pages_are_cited_as_a_range_only_where_they_differ() -> None:
    def citation(**changes: Any) -> str:
        reading: Hit = read_reply(answer(hit(headings=[], **changes))).hits[0]
        return cite(reading)

    assert citation(page_end=4) == "pp. 3–4 · [120–159] · d1"
    assert citation(page_end=None) == "p. 3 · [120–159] · d1"
    assert citation(page_start=None, page_end=None) == "[120–159] · d1"
