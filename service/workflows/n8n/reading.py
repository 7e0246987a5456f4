"""A workflow that n8n exported, as ours.

Nothing is lost unsaid: a node of a type that there is not stays, disabled, with all that n8n had of it under data.n8n.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from service.engine.definition import ERROR, MAX_CONNECTIONS, MAX_NAME_CHARS, MAX_NODES
from service.engine.expressions import shortened
from service.engine.sharing import strip_credentials
from service.errors import Problem
from service.workflows.n8n.connections import Link, read_links
from service.workflows.n8n.expressions import Shape, Translator
from service.workflows.n8n.node import Source, Target, dig, listed
from service.workflows.n8n.shapes import shapes_of
from service.workflows.n8n.triggers import timezone_of
from service.workflows.n8n.types import CONVERTERS, DRAWN_ONLY

MAX_NOTES = 500
_MAX_NOTE_CHARS = 300
_ON_ERROR = frozenset({"stopWorkflow", "continueRegularOutput", "continueErrorOutput"})


@dataclass(frozen=True, slots=True)
class Converted:
    name: str
    nodes: list[dict[str, Any]]
    connections: list[dict[str, Any]]
    settings: dict[str, Any] | None
    tags: list[str]
    notes: list[str]
    """What was not taken over as it was, a sentence each; of very many the first, and how many there are besides."""


def is_n8n(data: Mapping[str, Any]) -> bool:
    """Return whether it is of n8n: connections by name, and parameters where we have data."""
    connections = data.get("connections")
    return (
        "format" not in data
        and isinstance(connections, dict)
        and (bool(connections) or any("parameters" in node for node in listed(data.get("nodes"))))
    )


def convert_workflow(data: Mapping[str, Any]) -> Converted:
    """Raises Problem 422 for more nodes than there may be."""
    reading = _Reading.of(data)
    targets = {name: reading.target(name) for name in reading.by_name if reading.is_step(name)}
    nodes = [reading.node(name, target) for name, target in targets.items()]
    connections = reading.connections(targets)
    settings = _settings(data.get("settings"), reading.notes)
    if data.get("pinData"):
        reading.notes.add("Pinned data was left out.")
    tags = [tag.get("name") if isinstance(tag, dict) else tag for tag in data.get("tags") or []]
    return Converted(
        name=str(data.get("name") or "Imported workflow"),
        nodes=nodes,
        connections=connections,
        settings=settings,
        tags=[tag for tag in tags if isinstance(tag, str) and tag],
        notes=reading.notes.listed(),
    )


class Notes:
    """What is to be said of what was read, each once."""

    def __init__(self) -> None:
        self._said: dict[str, None] = {}
        self._left_out = 0

    def add(self, note: str) -> None:
        if note in self._said:
            return
        if len(self._said) < MAX_NOTES:
            self._said[note] = None
        else:
            self._left_out += 1

    def of(self, name: str, note: str) -> None:
        """Add what is to be said of one node; its name, and what is quoted of it, may be long."""
        self.add(f"{shortened(name)}: {shortened(note, _MAX_NOTE_CHARS)}.")

    def listed(self) -> list[str]:
        return [*self._said, *([f"And {self._left_out:,} more."] if self._left_out else [])]


@dataclass(frozen=True, slots=True)
class _Reading:
    by_name: Mapping[str, Mapping[str, Any]]
    ids: Mapping[str, str]
    links: Sequence[Link]
    shapes: Mapping[str, Shape]
    """Of what each node gives."""
    notes: Notes = field(default_factory=Notes)

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> "_Reading":
        drawn = [node for node in listed(data.get("nodes")) if _type(node) not in DRAWN_ONLY]
        if len(drawn) > MAX_NODES:
            raise Problem(
                HTTPStatus.UNPROCESSABLE_ENTITY, f"nodes: has {len(drawn)} entries; {MAX_NODES} are the most."
            )
        by_name = {str(node.get("name") or node.get("id")): node for node in drawn}
        links = [link for link in read_links(data.get("connections")) if link.source in by_name]
        if len(links) > MAX_CONNECTIONS:
            raise Problem(
                HTTPStatus.UNPROCESSABLE_ENTITY,
                f"connections: has {len(links)} entries; {MAX_CONNECTIONS} are the most.",
            )
        kinds = {name: _type(node) for name, node in by_name.items()}
        return cls(by_name, _ids(by_name), links, shapes_of(kinds, links))

    def is_step(self, name: str) -> bool:
        """Return whether it is a node of ours, and not a model plugged into one that is."""
        plugs = [link for link in self.links if link.source == name and link.kind != "main"]
        return not (plugs and all(self._takes_models(link.target) for link in plugs))

    def _takes_models(self, name: str) -> bool:
        return name in self.by_name and _type(self.by_name[name]) in {"chainLlm", "agent"}

    def target(self, name: str) -> Target:
        raw = self.by_name[name]
        source = self._source(name)
        converter = CONVERTERS.get(source.type) if _is_known(raw) else None
        if converter is None:
            kind = shortened(str(raw.get("type")))
            self.notes.of(name, f"there is no node type for {kind!r}. It is kept, disabled, as n8n had it")
            return Target(str(raw.get("type") or "unknown"), {"n8n": _kept(raw)}, disabled=True)
        return converter(source)

    def _source(self, name: str, *, plugged: bool = False) -> Source:
        """Return a node as its converter takes it; what is plugged into one that is plugged in is nobody's concern."""
        raw = self.by_name[name]

        def note(text: str) -> None:
            self.notes.of(name, text)

        version, parameters = raw.get("typeVersion"), raw.get("parameters")
        models = [
            link.source
            for link in self.links
            if link.target == name and link.kind == "ai_languageModel" and link.source != name
        ]
        for link in self.links:
            if link.target == name and link.kind not in {"main", "ai_languageModel"}:
                note(
                    f"{shortened(link.source)!r} was plugged into it by {shortened(link.kind)}, which there is not"
                )
        return Source(
            id=self.ids[name],
            name=name,
            type=_type(raw),
            version=float(version) if isinstance(version, int | float) else 1.0,
            parameters=parameters if isinstance(parameters, dict) else {},
            raw=raw,
            translator=Translator(self.ids, self.shapes, self._shape_into(name), note),
            note=note,
            models=() if plugged else tuple(self._source(one, plugged=True) for one in models[:1]),
        )

    def _shape_into(self, name: str) -> Shape:
        """Return what the items that come into a node look like; plain where they are of several kinds."""
        before = {link.source for link in self.links if link.target == name and link.kind == "main"}
        shapes = {self.shapes[one] for one in before}
        return shapes.pop() if len(shapes) == 1 else "plain"

    def node(self, name: str, target: Target) -> dict[str, Any]:
        raw = self.by_name[name]
        position = raw.get("position")
        made: dict[str, Any] = {
            "id": self.ids[name],
            "type": target.type,
            "name": shortened(name, MAX_NAME_CHARS - 1),
            "data": target.data,
        }
        if isinstance(position, list) and len(position) == 2:
            made["position"] = {"x": position[0], "y": position[1]}
        if target.disabled or raw.get("disabled") is True:
            made["disabled"] = True
        for flag in ("retryOnFail", "executeOnce", "alwaysOutputData"):
            if raw.get(flag) is True:
                made[flag] = True
        if raw.get("retryOnFail") is True:
            made["maxTries"] = _between(raw.get("maxTries"), 3, 1, 10)
            made["waitBetweenTries"] = _between(raw.get("waitBetweenTries"), 1000, 0, 300_000)
        on_error = raw.get("onError")
        if on_error in _ON_ERROR and on_error != "stopWorkflow":
            made["onError"] = on_error
        elif raw.get("continueOnFail") is True:
            made["onError"] = "continueRegularOutput"
        if isinstance(raw.get("notes"), str) and raw["notes"]:
            made["notes"] = raw["notes"]
        return made

    def connections(self, targets: Mapping[str, Target]) -> list[dict[str, Any]]:
        made: list[dict[str, Any]] = []
        for link in self.links:
            source, target = targets.get(link.source), targets.get(link.target)
            if link.kind != "main" or source is None or target is None:
                continue
            one: dict[str, Any] = {"source": self.ids[link.source], "target": self.ids[link.target]}
            leaves = self._leaves_by(link, source)
            if leaves is not None:
                one["sourceHandle"] = leaves
            if link.input < len(target.inputs) and (enters := target.inputs[link.input]) is not None:
                one["targetHandle"] = enters
            if one not in made:
                made.append(one)
        return made

    def _leaves_by(self, link: Link, source: Target) -> str | None:
        if link.output < len(source.outputs):
            return source.outputs[link.output]
        if self.by_name[link.source].get("onError") == "continueErrorOutput":
            return ERROR  # n8n puts it behind the others
        if not source.disabled:
            self.notes.of(link.source, f"its output {link.output} does not exist here; see its connections")
        return None


def _type(raw: Mapping[str, Any]) -> str:
    return str(raw.get("type") or "").rpartition(".")[2]


def _is_known(raw: Mapping[str, Any]) -> bool:
    """Return whether a type is one of n8n's own: others may be called the same."""
    return str(raw.get("type") or "").startswith(("n8n-nodes-base.", "@n8n/n8n-nodes-langchain."))


def _kept(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Return a node as n8n had it, without what is secret."""
    [kept] = strip_credentials([dict(raw)])
    return {name: value for name, value in kept.items() if name not in {"position", "name"}}


def _ids(names: Mapping[str, Any]) -> dict[str, str]:
    """Return an id for each name: the name in small letters, made unique."""
    taken: dict[str, str] = {}
    for name in names:
        plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:60] or "node"
        candidate, number = plain, 2
        while candidate in taken.values():
            candidate, number = f"{plain}-{number}", number + 1
        taken[name] = candidate
    return taken


def _between(value: Any, default: int, least: int, most: int) -> int:
    return max(least, min(most, int(value))) if isinstance(value, int | float) else default


def _settings(given: Any, notes: Notes) -> dict[str, Any] | None:
    settings: dict[str, Any] = {}
    zone, timeout = timezone_of(given), dig(given, "executionTimeout")
    if zone:
        settings["timezone"] = zone
    if isinstance(timeout, int | float) and timeout > 0:
        settings["executionTimeout"] = min(timeout, 7 * 86_400)
    if dig(given, "errorWorkflow"):
        notes.add("The workflow that is run on errors was left out: import it, and set errorWorkflow.")
    return settings or None
