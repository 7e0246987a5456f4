"""KEY=VALUE on the command line, with values as JSON has them."""

import json
from collections.abc import Sequence

import typer

Scalar = str | int | float | bool | None


def parse_pairs(pairs: Sequence[str], option: str) -> list[tuple[str, Scalar]]:
    """Return the key and value of each pair, in order. Raises typer.BadParameter for one without a key.

    A value that is a JSON number, true, false, null or a quoted string is that; anything else is the string
    itself, so year=2024 is a number, code=0042 a string, and code="42" a string as well.
    """
    return [_parse_pair(pair, option) for pair in pairs]


def _parse_pair(pair: str, option: str) -> tuple[str, Scalar]:
    key, separator, value = pair.partition("=")
    if not separator or not key.strip():
        raise typer.BadParameter(f"{pair!r} is not KEY=VALUE", param_hint=option)
    return key.strip(), _parse_value(value)


def _parse_value(text: str) -> Scalar:
    try:
        value = json.loads(text, parse_constant=_refuse)
    except ValueError:
        return text
    return value if value is None or isinstance(value, str | int | float | bool) else text


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
