"""A page to read the API by, made from the OpenAPI document: no script, nothing from anywhere else."""

from collections.abc import Iterator
from html import escape
from typing import Any

from litestar import Request
from litestar.openapi.plugins import OpenAPIRenderPlugin

_STYLE = """
:root { color-scheme: light dark; font: 16px/1.55 system-ui, sans-serif; }
body { max-width: 56rem; margin: 2rem auto; padding: 0 1rem; }
code, pre { font-family: ui-monospace, monospace; font-size: .9em; }
h2 { margin-top: 2.5rem; border-bottom: 1px solid #8884; }
details { border: 1px solid #8884; border-radius: 8px; padding: .6rem 1rem; margin: .6rem 0; }
summary { cursor: pointer; }
summary b { display: inline-block; min-width: 4.5em; }
table { border-collapse: collapse; width: 100%; }
td, th { text-align: left; vertical-align: top; padding: .25rem .8rem .25rem 0; border-top: 1px solid #8883; }
"""


class ReferencePage(OpenAPIRenderPlugin):
    """Renders every operation with its parameters, bodies and replies."""

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        return "".join(_page(openapi_schema)).encode()


def _page(schema: dict[str, Any]) -> Iterator[str]:
    info = schema["info"]
    yield f"<!doctype html><html lang=en><meta charset=utf-8><title>{escape(info['title'])} API</title>"
    yield f"<meta name=viewport content='width=device-width, initial-scale=1'><style>{_STYLE}</style>"
    yield f"<h1>{escape(info['title'])} API <small>{escape(info['version'])}</small></h1>"
    yield f"<p>{escape(info.get('description') or '')}</p>"
    yield "<p>Authenticate with <code>Authorization: Bearer dsk_…</code>. "
    yield "For programs: <a href='/schema/openapi.json'>openapi.json</a>.</p>"
    for tag in schema.get("tags", []):
        yield f"<h2>{escape(tag['name'])}</h2>"
        for path, item in schema["paths"].items():
            for method, operation in item.items():
                if isinstance(operation, dict) and tag["name"] in operation.get("tags", []):
                    yield from _operation(schema, method, path, operation)


def _operation(schema: dict[str, Any], method: str, path: str, operation: dict[str, Any]) -> Iterator[str]:
    yield f"<details><summary><b>{method.upper()}</b> <code>{escape(path)}</code> "
    yield f"{escape(operation.get('summary') or '')}</summary>"
    yield f"<p>{escape(operation.get('description') or '')}</p>"
    if parameters := operation.get("parameters"):
        yield "<h4>Parameters</h4><table>"
        for parameter in parameters:
            yield _row(
                parameter["name"],
                f"{parameter['in']}, {_type(schema, parameter.get('schema', {}))}",
                parameter.get("description") or "",
                required=parameter.get("required", False),
            )
        yield "</table>"
    for media_type, body in (operation.get("requestBody") or {}).get("content", {}).items():
        yield f"<h4>Body <code>{escape(media_type)}</code></h4>"
        yield from _properties(schema, body["schema"])
    yield "<h4>Replies</h4><table>"
    for status, response in operation.get("responses", {}).items():
        yield _row(status, ", ".join(response.get("content", {})), response.get("description") or "")
    yield "</table>"
    for status, response in operation.get("responses", {}).items():
        if status.startswith("2"):
            for media_type, body in response.get("content", {}).items():
                yield f"<h4>{escape(status)} <code>{escape(media_type)}</code></h4>"
                yield from _properties(schema, body.get("schema", {}))
    yield "</details>"


def _properties(schema: dict[str, Any], node: dict[str, Any]) -> Iterator[str]:
    resolved = _resolve(schema, node)
    properties = resolved.get("properties")
    if not properties:
        yield f"<p>{escape(_type(schema, node))}</p>"
        return
    required = resolved.get("required", [])
    yield "<table>"
    for name, value in properties.items():
        description = _resolve(schema, value).get("description") or ""
        yield _row(name, _type(schema, value), description, required=name in required)
    yield "</table>"


def _row(name: str, kind: str, description: str, *, required: bool = False) -> str:
    mark = " <b title='required'>*</b>" if required else ""
    return f"<tr><td><code>{escape(name)}</code>{mark}<td>{escape(kind)}<td>{escape(description)}"


def _type(schema: dict[str, Any], node: dict[str, Any]) -> str:
    if "$ref" in node:
        return str(node["$ref"]).rsplit("/", 1)[-1]
    for many in ("oneOf", "anyOf"):
        if many in node:
            return " or ".join(_type(schema, part) for part in node[many])
    if "enum" in node:
        return " | ".join(str(value) for value in node["enum"])
    kind = node.get("type", "any")
    kinds = [str(part) for part in kind] if isinstance(kind, list) else [str(kind)]
    if "array" in kinds:
        return f"list of {_type(schema, node.get('items', {}))}"
    return " or ".join(kinds)


def _resolve(schema: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    reference = node.get("$ref")
    if reference is None:
        return node
    found: dict[str, Any] = schema["components"]["schemas"][str(reference).rsplit("/", 1)[-1]]
    return found
