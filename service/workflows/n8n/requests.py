"""n8n's HTTP Request, in the forms that it has had."""

from typing import Any

from service.workflows.n8n.flow import read_json
from service.workflows.n8n.node import Source, Target, dig, listed, pairs, without_none

_BODY_TYPES = {"json": "json", "form-urlencoded": "form", "raw": "text"}


def http_request(source: Source) -> Target:
    new = source.version >= 3
    data: dict[str, Any] = {
        "url": source.text("url"),
        "method": str(source.get("method" if new else "requestMethod") or "GET").upper(),
    }
    data |= _new_parts(source) if new else _old_parts(source)
    timeout = source.get("options", "timeout")
    if isinstance(timeout, int | float) and timeout > 0:
        data["timeout"] = min(600.0, timeout / 1000)
    follows = source.get("options", "redirect", "redirect", "followRedirects")
    if follows is False or source.get("options", "followRedirect") is False:
        data["followRedirects"] = False
    if dig(source.raw, "credentials") or source.get("authentication") not in (None, "none"):
        source.note("sends credentials: make one of them here, and name it as credential")
    if source.get("options", "batching") or source.get("options", "pagination"):
        source.note("asks in batches or pages: a loop does that here")
    if not source.get("options", "response", "response", "fullResponse"):
        data["outputMode"] = "body"
    if source.get("options", "response", "response", "neverError"):
        data["successStatus"] = ["2xx", "3xx", "4xx", "5xx"]
    return Target("http", without_none(data))


def _new_parts(source: Source) -> dict[str, Any]:
    parts: dict[str, Any] = {}
    if source.get("sendQuery"):
        parts["query"] = _pairs_or_json(source, "queryParameters", "jsonQuery", source.get("specifyQuery"))
    if source.get("sendHeaders"):
        parts["headers"] = _pairs_or_json(
            source, "headerParameters", "jsonHeaders", source.get("specifyHeaders")
        )
    if source.get("sendBody"):
        kind = str(source.get("contentType") or "json")
        if kind not in _BODY_TYPES:
            source.note(f"sends a body of the kind {kind!r}, which there is not: it is left out")
            return parts
        parts["bodyType"] = _BODY_TYPES[kind] if kind != "json" else None
        if kind == "raw":
            parts["body"] = source.value("body")
            media = source.text("rawContentType")
            if media:
                parts["headers"] = {"Content-Type": media} | (parts.get("headers") or {})
        else:
            parts["body"] = _pairs_or_json(source, "bodyParameters", "jsonBody", source.get("specifyBody"))
    return parts


def _pairs_or_json(source: Source, named: str, written: str, how: Any) -> Any:
    if how in {"json", "string"}:
        given = source.get(written) if how == "json" else source.get("body")
        return read_json(source, given)
    return pairs(source, named)


def _old_parts(source: Source) -> dict[str, Any]:
    written = bool(source.get("jsonParameters"))
    parts = {
        ours: _old_part(source, theirs, written)
        for ours, theirs in (
            ("query", "queryParameters"),
            ("headers", "headerParameters"),
            ("body", "bodyParameters"),
        )
    }
    if parts["body"] is not None:
        kind = str(source.get("options", "bodyContentType") or source.get("bodyContentType") or "json")
        parts["bodyType"] = {"form-urlencoded": "form", "raw": "text"}.get(kind)
    return parts


def _old_part(source: Source, name: str, written: bool) -> Any:
    if written:
        given = source.get(f"{name}Json")
        return read_json(source, given) if given else None
    ui = source.get(f"{name}Ui")
    return pairs(source, f"{name}Ui", list_name="parameter") if listed(dig(ui, "parameter")) else None
