"""What leads items: merges, loops, waits, other workflows, ends."""

import re
from collections.abc import Callable, Mapping

import msgspec

from service.workflows.n8n.node import Source, Target, chosen, listed, without_none

_UNITS = frozenset({"seconds", "minutes", "hours", "days"})


def merge(source: Source) -> Target:
    inputs = source.get("numberInputs")
    count = inputs if isinstance(inputs, int) and 2 <= inputs <= 10 else 2
    mode, field = _merge_mode(source)
    data = {"mode": mode, "field": field, "inputs": count if count != 2 else None}
    return Target("merge", without_none(data), inputs=tuple(f"input-{place + 1}" for place in range(count)))


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
            return Target("wait", {"for": "reply"}, outputs=("output",))
        case other:
            source.note(f"waits for {other!r}: it waits for a reply to {{{{ execution.resume_url }}}} here")
            return Target("wait", {"for": "reply"}, outputs=("output",))


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
    waits = source.get("options", "waitForSubWorkflow")
    return Target(
        "workflow",
        {"workflowId": wanted if isinstance(wanted, str) and wanted else "to be chosen"}
        | ({"wait": False} if waits is False else {}),
    )


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
