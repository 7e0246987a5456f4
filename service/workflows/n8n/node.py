"""One node of n8n's on its way to be ours."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from service.workflows.n8n.expressions import Translator


@dataclass(frozen=True, slots=True)
class Source:
    """A node as n8n has it."""

    id: str
    """What we call it."""
    name: str
    type: str
    """Without the package: webhook, httpRequest, openAi."""
    version: float
    parameters: Mapping[str, Any]
    raw: Mapping[str, Any]
    translator: Translator
    note: Callable[[str], None]
    models: tuple["Source", ...] = ()
    """The model nodes that are plugged into it."""

    def text(self, *path: str, default: str = "") -> str:
        """Return a text of the parameters, translated; default where there is none."""
        value = self.get(*path)
        return self.translator.text(value) if isinstance(value, str) else default

    def value(self, *path: str) -> Any:
        return self.translator.value(self.get(*path))

    def get(self, *path: str) -> Any:
        return dig(self.parameters, *path)


@dataclass(frozen=True, slots=True)
class Target:
    """What becomes of a node: our type and data, and our handles by n8n's numbers; None for the only one."""

    type: str
    data: dict[str, Any] = field(default_factory=dict)
    outputs: tuple[str | None, ...] = (None,)
    inputs: tuple[str | None, ...] = (None,)
    disabled: bool = False


def dig(value: Any, *path: str) -> Any:
    """Return what a path leads to in objects, None where it leads nowhere."""
    for name in path:
        if not isinstance(value, Mapping):
            return None
        value = value.get(name)
    return value


def listed(value: Any) -> list[Mapping[str, Any]]:
    """Return the objects of a list, [] for what is none."""
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list) else []


def chosen(value: Any) -> Any:
    """Return what a resource locator stands for: {"__rl": true, "value": …}."""
    return value.get("value") if isinstance(value, Mapping) and "value" in value else value


def pairs(source: Source, *path: str, list_name: str = "parameters") -> dict[str, Any]:
    """Return names and translated values of one of n8n's lists of them."""
    return {
        source.translator.text(str(one.get("name", ""))): source.translator.value(one.get("value", ""))
        for one in listed(dig(source.get(*path), list_name))
        if one.get("name")
    }


def without_none(data: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in data.items() if value is not None}
