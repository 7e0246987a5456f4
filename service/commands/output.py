"""What every command prints with: results on stdout, the rest on stderr, one sentence an error."""

import json
import sys
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

_PIPE_WIDTH = 10_000
_KEPT_CONTROLS = frozenset("\n\t")
# Cc: terminal escapes. Cs: cannot be written as UTF-8. The bidirectional ones reorder what is read.
_REPLACED_CATEGORIES = frozenset({"Cc", "Cs"})
_BIDI_CONTROLS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


class CommandFailed(Exception):
    """The command cannot go on; the message is the one sentence that its user reads."""

    def __init__(self, message: str, *, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def printable(text: str) -> str:
    """Return text with every character that could drive a terminal replaced, one for one.

    Documents are other people's: an escape sequence in one must not reach the screen. The length stays, so
    that offsets into text are offsets into the result.
    """
    return "".join(_REPLACEMENT if _drives_terminal(character) else character for character in text)


_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


def _drives_terminal(character: str) -> bool:
    if character.isprintable() or character in _KEPT_CONTROLS:
        return character in _BIDI_CONTROLS
    return character in _BIDI_CONTROLS or unicodedata.category(character) in _REPLACED_CATEGORIES


def one_line(text: str) -> str:
    """Return text fit for one line of a table or a message."""
    return " ".join(printable(text).split())


def stdout_console() -> "Console":
    """Return the console for results: colours on a terminal only, no markup, no guessing at numbers."""
    from rich.console import Console

    # A pipe has no width: nothing is to be wrapped or cut for it.
    width = None if sys.stdout.isatty() else _PIPE_WIDTH
    return Console(markup=False, highlight=False, emoji=False, width=width)


def stderr_console() -> "Console":
    from rich.console import Console

    return Console(stderr=True, markup=False, highlight=False, emoji=False)


def say(message: str) -> None:
    """Print a line of plain text to stdout."""
    sys.stdout.write(message + "\n")


def print_error(message: str) -> None:
    """Print the sentence a command failed with to stderr."""
    sys.stderr.write(f"docsearch: {printable(message)}\n")


def print_json(value: object) -> None:
    """Print one JSON value to stdout; ASCII, so that it survives any locale and drives no terminal."""
    sys.stdout.write(json.dumps(value, indent=2, default=str) + "\n")
