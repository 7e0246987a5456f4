"""Commands that the documents show exist, with the options that are shown."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer.main

from service.cli import app
from tests.docs.markdown import documents, inline_code, name_of, shell_lines

_SEPARATORS = {"|", "||", "&&", ";", "&", ">", ">>", "<"}


def _commands(line: str) -> list[list[str]]:
    """Return the arguments of each docsearch that a shell line starts."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    lexer.commenters = "#"
    found: list[list[str]] = []
    current: list[str] | None = None
    for word in lexer:
        if word in _SEPARATORS:
            current = None
        elif current is not None:
            current.append(word)
        elif word == "docsearch" or word.endswith("/docsearch"):
            current = []
            found.append(current)
    return found


def _check(arguments: list[str]) -> None:
    command: Any = typer.main.get_command(app)
    words = iter(arguments)
    while hasattr(command, "commands"):
        word = next(words, None)
        if word is None or word.startswith("-"):
            words = iter([word] if word else [])
            break
        assert word in command.commands, f"docsearch has no command {word!r}"
        command = command.commands[word]
    options = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    for word in words:
        if re.match(r"--?[a-z]", word):
            assert word.partition("=")[0] in options | {"--help"}, f"{command.name} has no option {word!r}"


@pytest.mark.parametrize("path", documents(), ids=name_of)
def test_commands_in_code_blocks_exist(path: Path) -> None:
    for line in shell_lines(path):
        for arguments in _commands(line):
            _check(arguments)


@pytest.mark.parametrize("path", documents(), ids=name_of)
def test_commands_in_the_text_exist(path: Path) -> None:
    for code in inline_code(path):
        # A | inside is an enumeration, … stands for the rest: neither is a command line.
        if code.startswith("docsearch ") and "|" not in code and "…" not in code:
            _check(shlex.split(code)[1:])
