"""Markdown as a reader sees it."""

from pathlib import Path

from ingest.parse.markdown import MAX_NESTING
from tests.ingest.parse.files import blocks_of, parse_bytes

SOURCE = """\
---
title: "Deploy guide"
tags: [ops, release]
authors:
  - Ann
  - Ben
nested:
  key: value
---
# Deploying

Read **this** first; see [the docs](https://example.com/docs) and `make deploy`.
It is &lt;short&gt;.

## Steps

1. Build
2. Push
   - to staging
   - to production

   Wait for it.

| Stage   | Owner |
|---------|-------|
| staging | Ann   |
| production | Ben \\| Cid |

```python
def deploy():
    return 1
```

Setext
------

> A quote with ![a chart](chart.png).

<details><summary>More</summary>Hidden <b>text</b>.</details>

<!-- a comment -->
"""


def test_structure(tmp_path: Path) -> None:
    parsed = parse_bytes(tmp_path, SOURCE, "text/markdown")
    assert blocks_of(parsed) == [
        ("h1", "Deploying"),
        ("paragraph", "Read this first; see the docs and make deploy. It is <short>."),
        ("h2", "Steps"),
        ("list_item", "1. Build"),
        ("list_item", "2. Push"),
        ("list_item", "- to staging"),
        ("list_item", "- to production"),
        ("paragraph", "Wait for it."),
        ("table_row", "Stage | Owner"),
        ("table_row", "staging | Ann"),
        ("table_row", "production | Ben | Cid"),
        ("code", "def deploy():\n    return 1"),
        ("h2", "Setext"),
        ("paragraph", "A quote with a chart."),
        ("paragraph", "More\nHidden text."),
    ]


def test_front_matter_becomes_metadata(tmp_path: Path) -> None:
    parsed = parse_bytes(tmp_path, SOURCE, "text/markdown")
    assert parsed.title == "Deploy guide"
    assert parsed.metadata["tags"] == "ops, release"
    assert parsed.metadata["authors"] == "Ann, Ben"


def test_the_first_heading_is_the_title_without_front_matter(tmp_path: Path) -> None:
    assert parse_bytes(tmp_path, "intro\n\n# The *title*\n", "text/markdown").title == "The title"


def test_a_rule_is_not_front_matter(tmp_path: Path) -> None:
    parsed = parse_bytes(tmp_path, "---\n\nJust text.\n", "text/markdown")
    assert "Just text." in parsed.text


def test_what_is_nested_too_deep_is_kept_as_plain_text(tmp_path: Path) -> None:
    parsed = parse_bytes(tmp_path, "> " * (MAX_NESTING * 3) + "the bottom\n", "text/markdown")
    assert "the bottom" in parsed.text
