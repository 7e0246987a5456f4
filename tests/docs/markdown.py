"""Reads the project's own documents: their links, headings, code."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).parents[2]
_FOLDERS = ("docs", "benchmarks", "service")


@dataclass(frozen=True, slots=True)
class Fence:
    """A block of code: its language, its text, and the line that it begins at."""

    language: str
    text: str
    line: int


def documents() -> list[Path]:
    """Return every Markdown file that speaks about the project; the handbook is data, not documentation."""
    nested = (path for folder in _FOLDERS for path in (ROOT / folder).rglob("*.md"))
    return sorted([*ROOT.glob("*.md"), *(path for path in nested if "handbook" not in path.parts)])


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def _tokens(path: Path) -> Iterator[Token]:
    for token in MarkdownIt("commonmark").enable("table").parse(path.read_text()):
        yield token
        yield from token.children or ()


def links(path: Path) -> list[str]:
    """Return the targets of links and pictures."""
    targets = [token.attrGet("href") or token.attrGet("src") for token in _tokens(path)]
    return [str(target) for target in targets if target]


def inline_code(path: Path) -> list[str]:
    return [token.content for token in _tokens(path) if token.type == "code_inline"]


def fences(path: Path) -> list[Fence]:
    return [
        Fence(token.info.strip(), token.content, (token.map or [0])[0] + 1)
        for token in _tokens(path)
        if token.type == "fence"
    ]


def anchors(path: Path) -> set[str]:
    """Return the fragments that GitHub makes of the headings."""
    tokens = list(_tokens(path))
    titles = [tokens[i + 1].content for i, token in enumerate(tokens) if token.type == "heading_open"]
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def table_rows(path: Path, header: str, nth: int = 0) -> list[str]:
    """Return the lines of the nth table whose first cell is header, without its head."""
    lines = path.read_text().splitlines()
    start = [i for i, line in enumerate(lines) if line.startswith(f"| {header} |")][nth]
    return list(takewhile(lambda line: line.startswith("|"), lines[start + 2 :]))


def shell_lines(path: Path) -> list[str]:
    """Return the commands in console and shell blocks: each whole, however many lines it takes, without prompt."""
    texts = [fence.text for fence in fences(path) if fence.language in {"console", "sh", "bash", "shell"}]
    return [command for text in texts for command in _commands(re.sub(r"\\\n\s*", " ", text))]


def _commands(text: str) -> Iterator[str]:
    pending = ""
    for line in text.splitlines():
        pending += line.removeprefix("$ ") + "\n"
        if _is_whole(pending):
            if pending.strip():
                yield pending.strip()
            pending = ""
    assert not pending, f"a quotation does not end: {pending}"


def _is_whole(text: str) -> bool:
    try:
        shlex.split(text, comments=True)
    except ValueError:
        return False
    return True
