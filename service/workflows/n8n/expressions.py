"""n8n's expressions as ours, where they are paths: ={{ $json.customer.name }} → {{ input.customer.name }}.

What is more than a path is JavaScript, which is not evaluated here: it is left as it was, and said.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal

Shape = Literal["plain", "webhook", "http", "model"]
"""What a node's items look like in n8n: whether ours have the same fields."""

_STEP = re.compile(r"""\.([A-Za-z_]\w*)|\[\s*(\d+)\s*\]|\[\s*'([^'\\]*)'\s*\]|\[\s*"([^"\\]*)"\s*\]""")
_QUOTED = r"""(?:'([^'\\]*)'|"([^"\\]*)")"""
_HERE = re.compile(r"\$json|\$input\.item\.json|\$input\.first\(\)\.json")
_THERE = re.compile(
    rf"\$\(\s*{_QUOTED}\s*\)\.(item|first\(\)|last\(\))\.json|\$node\[\s*{_QUOTED}\s*\]\.json|\$node\.([A-Za-z_]\w*)\.json"
)
_LITERAL = re.compile(r"""-?\d+(?:\.\d+)?|true|false|'[^'\\{}]*'|"[^"\\{}]*\"""")
_WHOLE: Mapping[str, str] = {
    "$now": "now",
    "$now.toISO()": "now",
    "$workflow.id": "workflow.id",
    "$workflow.name": "workflow.name",
    "$execution.id": "execution.id",
    "$execution.resumeUrl": "execution.resume_url",
    "$input.all()": "items",
}
# Words of the language of expressions, which cannot stand behind a dot there.
_RESERVED = frozenset(
    {"and", "or", "not", "is", "in", "if", "else", "true", "false", "none", "True", "False", "None"}
)


class Untranslated(Exception):
    """It is more than a path."""


class Translator:
    """Translates what one node says; ids and shapes are by the names that n8n's expressions use."""

    def __init__(
        self,
        ids: Mapping[str, str],
        shapes: Mapping[str, Shape],
        here: Shape,
        report: Callable[[str], None],
    ) -> None:
        self._ids = ids
        self._shapes = shapes
        self._here = here
        self._report = report

    def value(self, value: Any) -> Any:
        """Return a JSON value with each expression in it translated."""
        match value:
            case str():
                return self.text(value)
            case dict():
                return {key: self.value(inner) for key, inner in value.items()}
            case list():
                return [self.value(inner) for inner in value]
            case _:
                return value

    def text(self, text: str) -> str:
        if not text.startswith("="):
            if "{{" in text:
                self._report(f"{_short(text)} is a plain text in n8n, and an expression here")
            return text
        return "".join(self._pieces(text[1:]))

    def _pieces(self, text: str) -> Iterator[str]:
        at = 0
        while (start := text.find("{{", at)) >= 0 and (end := text.find("}}", start)) >= 0:
            yield text[at:start]
            yield self._one(text[start + 2 : end].strip())
            at = end + 2
        yield text[at:]

    def _one(self, source: str) -> str:
        try:
            return "{{ " + self.expression(source) + " }}"
        except Untranslated:
            self._report(f"the expression {_short(source)} is more than a path: write it anew")
            return "{{ " + source + " }}"

    def expression(self, source: str) -> str:
        """Raises Untranslated."""
        if source in _WHOLE:
            return _WHOLE[source]
        if _LITERAL.fullmatch(source):
            return source
        if here := _HERE.match(source):
            root = "items[0]" if "first" in here.group() else "input"
            return _shaped(root, _steps(source[here.end() :]), self._here)
        if there := _THERE.match(source):
            return self._of_node(there, source[there.end() :])
        raise Untranslated

    def _of_node(self, found: "re.Match[str]", rest: str) -> str:
        single, double, which, old_single, old_double, attribute = found.groups()
        name = next(one for one in (single, double, old_single, old_double, attribute) if one is not None)
        if name not in self._ids:
            raise Untranslated
        node_id = self._ids[name]
        match which:
            case "first()":
                root = f"items_of('{node_id}')[0]"
            case "last()":
                root = f"items_of('{node_id}')[-1]"
            case _:
                root = f"nodes['{node_id}']"
        return _shaped(root, _steps(rest), self._shapes.get(name, "plain"))


def _short(text: str) -> str:
    line = " ".join(text.split())
    return repr(line if len(line) <= 80 else line[:79] + "…")


def _steps(rest: str) -> list[str | int]:
    """Return the steps of a path. Raises Untranslated for anything else."""
    steps: list[str | int] = []
    place = 0
    while place < len(rest):
        found = _STEP.match(rest, place)
        if found is None or rest[found.end() : found.end() + 1] == "(":
            raise Untranslated
        name, number, single, double = found.groups()
        steps.append(
            int(number) if number is not None else next(x for x in (name, single, double) if x is not None)
        )
        place = found.end()
    return steps


def _shaped(root: str, steps: list[str | int], shape: Shape) -> str:
    """Return the path in our items, which have some things in other places."""
    match shape, steps:
        case "webhook", ["body", *rest]:
            return root + _path(rest)
        case "webhook", [("headers" | "query") as part, str() as name, *rest]:
            return f"trigger.{part}" + _path([name.lower() if part == "headers" else name, *rest])
        case "webhook", [("headers" | "query") as part]:
            return f"trigger.{part}"
        case "webhook", ["params", *_]:
            raise Untranslated
        case "http", ["statusCode", *rest]:
            return f"{root}.status" + _path(rest)
        case "model", ["message", "content", *rest]:
            return f"{root}.text" + _path(rest)
        case "model", [("text" | "output" | "response"), *rest]:
            return f"{root}.text" + _path(rest)
        case _, rest:
            return root + _path(rest)


def _path(steps: list[str | int]) -> str:
    return "".join(_step(step) for step in steps)


def _step(step: str | int) -> str:
    if isinstance(step, int):
        return f"[{step}]"
    plain = step.isidentifier() and step.isascii() and not step.startswith("_") and step not in _RESERVED
    if plain:
        return f".{step}"
    if "'" in step or "\\" in step:
        raise Untranslated
    return f"['{step}']"
