"""What leads items: merges, loops, waits, other workflows, ends."""

import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from service.workflows.n8n.node import Source, Target, chosen, listed, without_none

_UNITS = frozenset({"seconds", "minutes", "hours", "days"})


def merge(source: Source) -> Target:
    inputs = source.get("numberInputs")
    count = inputs if isinstance(inputs, int) and 2 <= inputs <= 10 else 2
    mode, field = _merge_mode(source)
    keeps = True if mode.startswith("combine") and _keeps_unpaired(source) else None
    data = {"mode": mode, "field": field, "inputs": count if count != 2 else None, "keepUnpaired": keeps}
    places = list(range(1, count + 1))
    if mode == "first" and (taken := _taken_input(source)) in places:
        # Ours takes the first: the one that n8n takes goes before the others.
        places = [1 if place == taken else place + (place < taken) for place in places]
    return Target("merge", without_none(data), inputs=tuple(f"input-{place}" for place in places))


def _keeps_unpaired(source: Source) -> bool:
    """Return whether items without a partner stay; says so where only some of them do in n8n."""
    join = source.get("joinMode") or source.get("join")
    if join not in (None, "keepMatches", "inner", "keepEverything", "outer"):
        source.note(f"joins by {join!r}, which there is not: only items with a partner go on")
    return join in {"keepEverything", "outer"} or source.get("options", "includeUnpaired") is True


def _taken_input(source: Source) -> int:
    """Return the number of the input whose items a merge passes on; says so where it is none."""
    given = source.get("useDataOfInput") or source.get("output") or 1
    if source.get("output") == "empty":
        source.note("gives an empty item when its branches are through: here it passes items on")
    text = str(given).removeprefix("input")
    return int(text) if text.isascii() and text.isdigit() else 1


def _merge_mode(source: Source) -> tuple[str, str | None]:
    mode = str(source.get("mode") or "append")
    how = str(source.get("combineBy") or source.get("combinationMode") or "combineByFields")
    match mode:
        case "append":
            return "append", None
        case "mergeByPosition" | "mergeByIndex":
            return "combineByPosition", None
        case "combine" if how in {"combineByPosition", "mergeByPosition"}:
            return "combineByPosition", None
        case "combine" if how in {"combineByFields", "mergeByFields"}:
            return "combineByField", _shared_field(source)
        case "mergeByKey":
            return "combineByField", str(source.get("propertyName1") or "") or None
        case "chooseBranch" | "passThrough" | "wait":
            return "first", None
        case _:
            source.note(f"merges in the mode {mode!r}, which there is not: it appends")
            return "append", None


def _shared_field(source: Source) -> str | None:
    names = [name.strip() for name in str(source.get("fieldsToMatchString") or "").split(",") if name.strip()]
    for pair in listed(source.get("mergeByFields", "values")):
        names.append(str(pair.get("field1") or ""))
        if pair.get("field2") not in (None, pair.get("field1")):
            source.note("combines by fields of two names: give them one with a set node before")
    if len(names) > 1:
        source.note("combines by several fields: the first is taken over")
    return names[0] if names else None


def loop(source: Source) -> Target:
    size = source.get("batchSize")
    data = {"batchSize": size} if isinstance(size, int) and 1 < size <= 1000 else {}
    if source.version >= 3:
        return Target("loop", data, outputs=("done", "item"))
    source.note(
        "ends by itself here: connect 'done' to what comes after the loop, in the place of an IF in it"
    )
    return Target("loop", data, outputs=("item", "done"))


def wait(source: Source) -> Target:
    match source.get("resume") or "timeInterval":
        case "timeInterval":
            old = source.version < 1.1
            unit = source.get("unit") or ("hours" if old else "seconds")
            amount = source.value("amount")
            data = {"amount": (1 if old else 5) if amount is None else amount}
            return Target("wait", data | {"unit": unit if unit in _UNITS else "seconds"})
        case "specificTime":
            return Target("wait", {"for": "until", "until": source.text("dateTime")})
        case "webhook":
            return _reply(source)
        case other:
            source.note(f"waits for {other!r}: it waits for a reply to {{{{ execution.resume_url }}}} here")
            return _reply(source)


def _reply(source: Source) -> Target:
    source.note(
        "gives the answer as {{ input.reply }}, beside the item: in n8n it is the item, with body and headers"
    )
    data: dict[str, Any] = {"for": "reply"}
    if source.get("limitWaitTime") is True and source.get("limitType") == "atSpecifiedTime":
        source.note("waits until a moment at most: give an amount here")
    elif source.get("limitWaitTime") is True:
        unit = source.get("resumeUnit")
        amount = source.value("resumeAmount")
        data |= {"amount": 1 if amount is None else amount, "unit": unit if unit in _UNITS else "hours"}
        source.note("goes on by 'timeout' where no answer comes in time: connect that to what follows")
    return Target("wait", data, outputs=("output",))


def respond(source: Source) -> Target:
    headers = {
        source.translator.text(str(one.get("name", ""))): source.translator.text(str(one.get("value", "")))
        for one in listed(source.get("options", "responseHeaders", "entries"))
    }
    status = source.get("options", "responseCode")
    body: object = None
    body_type = None
    match source.get("respondWith") or "firstIncomingItem":
        case "json":
            body = read_json(source, source.get("responseBody"))
        case "text":
            body, body_type = source.value("responseBody"), "text"
        case "noData":
            body, body_type = "", "text"
        case "firstIncomingItem":
            pass
        case "redirect":
            headers["Location"] = source.text("redirectURL")
            status, body, body_type = status or 307, "", "text"
        case other:
            source.note(f"answers with {other!r}: it answers with the item here")
    number = status if isinstance(status, int) else None
    data = {"status": number, "headers": headers or None, "body": body, "bodyType": body_type}
    return Target("respond", without_none(data))


def read_json(source: Source, given: object) -> object:
    """Return what a field of JSON says; one with expressions inside stays a text where it cannot be taken apart."""
    if not isinstance(given, str):
        return source.translator.value(given)
    text = source.translator.text(given)
    try:
        # Expressions in quotes stay expressions of their places.
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        pass
    try:
        return msgspec.json.decode(
            re.sub(r"(?<![\"\w])\{\{[^{}\"]*\}\}(?!\")", lambda m: f'"{m.group()}"', text)
        )
    except msgspec.DecodeError:
        return text


def execute_workflow(source: Source) -> Target:
    wanted = chosen(source.get("workflowId"))
    source.note("runs another workflow: import that as well, and give its id here")
    if source.get("mode") != "each":
        source.note("runs it once with all items in n8n, and once for each item here")
    data = {
        "workflowId": wanted if isinstance(wanted, str) and wanted else "to be chosen",
        "data": source.value("workflowInputs", "value") or None,
        "wait": False if source.get("options", "waitForSubWorkflow") is False else None,
    }
    return Target("workflow", without_none(data))


def no_op(source: Source) -> Target:
    """Return a node that passes on what comes in, as all that are disabled do."""
    return Target("set", disabled=True)


def stop_and_error(source: Source) -> Target:
    message = source.text("errorMessage") or source.text("errorObject") or "Stopped"
    return Target("stop", {"error": True, "message": message}, outputs=())


Converter = Callable[[Source], Target]
FLOW: Mapping[str, Converter] = {
    "merge": merge,
    "splitInBatches": loop,
    "wait": wait,
    "respondToWebhook": respond,
    "executeWorkflow": execute_workflow,
    "noOp": no_op,
    "stopAndError": stop_and_error,
}
