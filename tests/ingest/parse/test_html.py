"""HTML pages: what is text, in what order, and what is furniture."""

from pathlib import Path

import pytest

from ingest.parse.html import html_to_text
from tests.ingest.parse.files import blocks_of, parse_bytes

PAGE = """<!DOCTYPE html>
<html><head><title>Fees &amp; charges</title><meta name="author" content="Ann">
<style>p { color: red }</style><script>var hidden = "<p>no</p>";</script></head>
<body>
<nav><ul><li><a href="/">Home</a></li><li>About</li></ul></nav>
<header><p>Acme Bank</p></header>
<main>
<h1>Fees</h1>
<p>Cards are <em>free</em> for
the first year.<br>Then they cost 5&nbsp;&euro;.</p>
<h2>Transfers</h2>
<ul><li>within the EU: free<ul><li>instant: 1 EUR</li></ul></li><li><p>abroad: 12 EUR</p></li></ul>
<ol start="3"><li>third</li><li>fourth</li></ol>
<table><caption>Limits</caption>
<thead><tr><th>Country</th><th>Limit</th></tr></thead>
<tbody><tr><td>Spain</td><td><b>900</b> EUR</td></tr><tr><td>Peru</td><td>300 EUR</td></tr></tbody></table>
<pre><code>GET /fees
  Accept: text/html
</code></pre>
<div>Loose text<div>in divs</div>after</div>
<img src="x.png" alt="A fee chart">
</main>
<footer>© Acme</footer>
<script>alert(1)</script>
</body></html>"""


def test_structure(tmp_path: Path) -> None:
    parsed = parse_bytes(tmp_path, PAGE, "text/html")
    assert blocks_of(parsed) == [
        ("paragraph", "Acme Bank"),
        ("h1", "Fees"),
        ("paragraph", "Cards are free for the first year.\nThen they cost 5 €."),
        ("h2", "Transfers"),
        ("list_item", "- within the EU: free"),
        ("list_item", "- instant: 1 EUR"),
        ("list_item", "- abroad: 12 EUR"),
        ("list_item", "3. third"),
        ("list_item", "4. fourth"),
        ("paragraph", "Limits"),
        ("table_row", "Country | Limit"),
        ("table_row", "Spain | 900 EUR"),
        ("table_row", "Peru | 300 EUR"),
        ("code", "GET /fees\n  Accept: text/html"),
        ("paragraph", "Loose text"),
        ("paragraph", "in divs"),
        ("paragraph", "after"),
        ("paragraph", "A fee chart"),
        ("paragraph", "© Acme"),
    ]
    assert (parsed.title, parsed.metadata) == ("Fees & charges", {"author": "Ann"})


def test_navigation_that_is_most_of_the_page_is_the_page(tmp_path: Path) -> None:
    parsed = parse_bytes(tmp_path, "<nav><h1>Contents</h1><p>Chapter one</p></nav><p>end</p>", "text/html")
    assert [text for _, text in blocks_of(parsed)] == ["Contents", "Chapter one", "end"]


def test_layout_tables_are_read_as_text(tmp_path: Path) -> None:
    inner = "<table><tr><td>a</td><td>b</td></tr></table>"
    page = f"<table><tr><td><h1>Title</h1><p>Text.</p></td><td>{inner}</td></tr></table>"
    parsed = parse_bytes(tmp_path, page, "text/html")
    assert blocks_of(parsed) == [("h1", "Title"), ("paragraph", "Text."), ("table_row", "a | b")]


@pytest.mark.parametrize(
    "page",
    [
        '<meta charset="iso-8859-1"><p>Größe 5 €'.encode("cp1252"),
        '<meta http-equiv="Content-Type" content="text/html; charset=windows-1252"><p>Größe 5 €'.encode(
            "cp1252"
        ),
        '<?xml version="1.0" encoding="utf-8"?><html><p>Größe 5 €</p></html>'.encode(),
        "<p>Größe 5 €".encode("utf-16"),
        '<meta charset="utf-8"><p>Größe 5 €'.encode("cp1252"),
        '<meta charset="no-such-thing"><p>Größe 5 €'.encode(),
    ],
)
def test_encodings(tmp_path: Path, page: bytes) -> None:
    assert parse_bytes(tmp_path, page, "text/html").text == "Größe 5 €"


@pytest.mark.parametrize("tag", ["div", "span", "b", "ul", "blockquote", "table"])
def test_a_hundred_thousand_nested_elements_are_read(tmp_path: Path, tag: str) -> None:
    page = f"<{tag}>" * 100_000 + "the bottom" + f"</{tag}>" * 100_000
    assert "the bottom" in parse_bytes(tmp_path, page, "text/html").text


def test_broken_markup_is_read(tmp_path: Path) -> None:
    parsed = parse_bytes(
        tmp_path, "<p>one<p>two<table><td>x<tr><td>y</table></b></div>three < four", "text/html"
    )
    assert [text for _, text in blocks_of(parsed)] == ["one", "two", "x", "y", "three < four"]


def test_fragments_become_text() -> None:
    assert html_to_text("<div>a <b>b</b></div><div>c</div>") == "a b\nc"
