"""http: one request for each item, to any public address."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version
from typing import Annotated, Any, Literal
from urllib.parse import urlencode

import msgspec

from ingest.outbound import read_retry_after
from service.engine.credentials import open_credential
from service.engine.errors import NodeError
from service.engine.nodes.base import Call, Config, Emit, NodeType, emit
from service.engine.nodes.text import as_text
from service.engine.requests import MAX_REQUEST_BYTES, Reply, Request, host_of, send
from service.engine.run.log import HIDDEN, MIN_SECRET_CHARS

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]
DEFAULT_TIMEOUT_S = 60.0

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_RETRYABLE = frozenset({408, 425, 429})
_REFUSED = frozenset(
    {
        "host",
        "content-length",
        "transfer-encoding",
        "connection",
        "keep-alive",
        "te",
        "trailer",
        "upgrade",
        "expect",
    }
)
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # RFC 9110, 5.6.2
_VALUE = re.compile(r"[\t\x20-\x7e\xa0-\xff]*")
_STATUS = re.compile(r"[1-5]xx")
_MEDIA_TYPES = {
    "json": "application/json",
    "form": "application/x-www-form-urlencoded",
    "text": "text/plain; charset=utf-8",
}


class HttpConfig(Config, frozen=True, kw_only=True):
    url: Annotated[str, msgspec.Meta(min_length=1, max_length=8_000, description="Where to: http or https.")]
    method: Annotated[Method, msgspec.Meta(description="GET, POST, PUT, PATCH, DELETE, HEAD or OPTIONS.")] = (
        "GET"
    )
    headers: Annotated[
        dict[str, Any],
        msgspec.Meta(
            description="By name; not Host, Content-Length, Connection, Proxy-…. Secrets belong into a credential."
        ),
    ] = msgspec.field(default_factory=dict)
    query: Annotated[
        dict[str, Any],
        msgspec.Meta(
            description="What is added to the address; a list gives a parameter for each, null none."
        ),
    ] = msgspec.field(default_factory=dict)
    body: Annotated[Any, msgspec.Meta(description="What is sent. A text is sent as it is.")] = None
    body_type: Annotated[
        Literal["json", "form", "text"] | None,
        msgspec.Meta(description="json, form or text. Unset: text for a text, else JSON."),
    ] = None
    credential: Annotated[
        str | None, msgspec.Meta(description="Name of a credential of the same owner or team.")
    ] = None
    response_type: Annotated[
        Literal["auto", "json", "text"],
        msgspec.Meta(description="How the reply's body is read: json, text, or auto, by its Content-Type."),
    ] = "auto"
    timeout: Annotated[
        Annotated[float, msgspec.Meta(gt=0, le=600)] | None,
        msgspec.Meta(description="Seconds for all of it. Unset: 60, or what the node has."),
    ] = None
    follow_redirects: Annotated[
        bool,
        msgspec.Meta(
            description="Up to five; to another host without headers of yours and without credential."
        ),
    ] = True
    success_status: Annotated[
        tuple[int | str, ...],
        msgspec.Meta(max_length=50, description="Statuses that are no failure, as 404 or 4xx."),
    ] = ("2xx",)
    output_mode: Annotated[
        Literal["full", "body"],
        msgspec.Meta(description="What goes on: status, headers and body (full), or the body alone (body)."),
    ] = "full"


class Http(NodeType[HttpConfig]):
    name = "http"
    label = "HTTP request"
    description = "Sends a request to a public address, and goes on with the reply."
    config = HttpConfig
    has_effects = True

    def problems(self, data: Mapping[str, Any]) -> list[tuple[str, str]]:
        found = [] if data.get("url") else [("url", "is missing: where to send the request")]
        headers, statuses = data.get("headers"), data.get("successStatus")
        named = [_header_problem(header) for header in (headers if isinstance(headers, Mapping) else ())]
        found += [("headers", problem) for problem in named if problem is not None]
        found += [
            ("successStatus", f"{status!r} is no status, as 404 or 4xx")
            for status in (statuses if isinstance(statuses, list) else ())
            if isinstance(status, str) and not _STATUS.fullmatch(status)
        ]
        return found

    async def run(self, call: Call[HttpConfig]) -> Emit:
        config = call.config
        content, media_type = _content(config)
        headers = _headers(call, media_type)
        url = _address(config)
        secrets: tuple[str, ...] = ()
        if config.credential is not None:
            opened = await open_credential(call.services, call.run.space_id, config.credential, config.url)
            headers = _overlaid(headers, opened.headers)
            secrets = opened.secrets
        reply = await send(
            Request(config.method, url, headers, content),
            call.services.settings.workflow_networks,
            follow_redirects=config.follow_redirects,
            # Before the engine ends the turn, so that it is said what took so long.
            timeout_s=min(config.timeout or DEFAULT_TIMEOUT_S, call.timeout_s * 0.95),
        )
        if not _succeeds(reply.status, config.success_status):
            raise _status_error(config, reply)
        # Some repeat what they were sent. From here on it would be in items, logs and other workflows.
        reply = _without(reply, secrets)
        body = _read(reply, config.response_type)
        if config.output_mode == "body":
            return emit(body)
        # A cookie is a secret of whoever is signed in by it.
        shown = {name: value for name, value in reply.headers.items() if name != "set-cookie"}
        return emit({"status": reply.status, "headers": shown, "body": body})


def _without(reply: Reply, secrets: Sequence[str]) -> Reply:
    content, headers = reply.content, reply.headers
    for secret in secrets:
        if len(secret) >= MIN_SECRET_CHARS:
            for written in {secret.encode(), msgspec.json.encode(secret)[1:-1]}:
                content = content.replace(written, HIDDEN.encode())
            headers = {name: value.replace(secret, HIDDEN) for name, value in headers.items()}
    return replace(reply, content=content, headers=headers)


def _header_problem(name: str) -> str | None:
    if not _TOKEN.fullmatch(name):
        return f"{name!r} is no name of a header"
    if name.lower() in _REFUSED or name.lower().startswith("proxy-"):
        return f"{name} is set by the connection"
    return None


def _headers(call: Call[HttpConfig], media_type: str | None) -> dict[str, str]:
    headers = {
        "Accept": "application/json, text/*;q=0.9, */*;q=0.5",
        "Accept-Encoding": "identity",
        "User-Agent": f"docsearch/{version('docsearch')}",
    }
    if media_type is not None:
        headers["Content-Type"] = media_type
    if call.config.method not in _SAFE:
        headers["Idempotency-Key"] = call.idempotency_key
    given = {name: as_text(value) for name, value in call.config.headers.items() if value is not None}
    return _overlaid(headers, given)


def _overlaid(headers: Mapping[str, str], over: Mapping[str, str]) -> dict[str, str]:
    """Return headers with others in their place, whatever their case. Raises NodeError for what cannot be sent."""
    for name, value in over.items():
        problem = _header_problem(name)
        if problem is None and not _VALUE.fullmatch(value):
            problem = f"{name} has a value with a line break, or another character that no header may hold"
        if problem is not None:
            raise NodeError(f"headers: {problem}.", code="bad_config", field="data.headers")
    replaced = {name.lower() for name in over}
    return {name: value for name, value in headers.items() if name.lower() not in replaced} | dict(over)


def _address(config: HttpConfig) -> str:
    pairs = [
        (name, as_text(value))
        for name, given in config.query.items()
        for value in (given if isinstance(given, list) else [given])
        if value is not None
    ]
    url = config.url.partition("#")[0]
    if not pairs:
        return url
    return f"{url}{'&' if '?' in url else '?'}{urlencode(pairs, errors='replace')}"


def _content(config: HttpConfig) -> tuple[bytes | None, str | None]:
    """Return the body, and how it is written."""
    body = config.body
    if body is None:
        return None, None
    kind = config.body_type or ("text" if isinstance(body, str) else "json")
    if kind == "form" and isinstance(body, dict):
        pairs = {name: value if isinstance(value, list) else [value] for name, value in body.items()}
        body = urlencode(
            {name: [as_text(one) for one in many] for name, many in pairs.items()},
            doseq=True,
            errors="replace",
        )
    content = as_text(body).encode("utf-8", errors="replace")
    if len(content) > MAX_REQUEST_BYTES:
        raise NodeError(
            f"The body is larger than {MAX_REQUEST_BYTES:,} bytes.",
            code="request_too_large",
            field="data.body",
        )
    return content, _MEDIA_TYPES[kind]


def _succeeds(status: int, wanted: tuple[int | str, ...]) -> bool:
    return any(one in {status, str(status), f"{status // 100}xx"} for one in wanted)


def _status_error(config: HttpConfig, reply: Reply) -> NodeError:
    retryable = reply.status >= 500 or reply.status in _RETRYABLE
    return NodeError(
        f"{host_of(config.url)} answered with status {reply.status}.",
        code="http_status",
        retryable=retryable,
        retry_after_s=read_retry_after(reply.headers.get("retry-after")) if retryable else None,
    )


def _read(reply: Reply, wanted: Literal["auto", "json", "text"]) -> Any:
    """Return the body as JSON or text, null where there is none."""
    if not reply.content:
        return None
    media_type, _, parameters = reply.headers.get("content-type", "").partition(";")
    media_type = media_type.strip().lower()
    if wanted == "json" or (
        wanted == "auto" and (media_type.endswith("+json") or media_type == "application/json")
    ):
        try:
            return msgspec.json.decode(reply.content)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
            raise NodeError("The reply is no JSON.", code="unreadable_response") from exc
    if wanted == "auto" and not _is_text(media_type):
        raise NodeError(
            f"The reply is {media_type}, neither JSON nor text. A document node takes documents in by their url.",
            code="unreadable_response",
        )
    return _decode(reply.content, parameters)


def _is_text(media_type: str) -> bool:
    known = {
        "",
        "application/xml",
        "application/javascript",
        "application/x-www-form-urlencoded",
        "application/yaml",
    }
    return media_type in known or media_type.startswith("text/") or media_type.endswith("+xml")


_CHARSET = re.compile(
    r"utf-?8|utf-?16(le|be)?|us-ascii|ascii|latin-?1|iso-8859-(1[013-6]?|[2-9])|windows-125[0-8]|cp125[0-8]|koi8-[ru]"
    r"|gb2312|gbk|gb18030|big5|euc-(jp|kr)|shift_jis|iso-2022-jp"
)


def _decode(content: bytes, parameters: str) -> str:
    charset = re.search(r'charset="?([\w.\-]+)', parameters, re.IGNORECASE)
    name = charset[1].lower() if charset else "utf-8"
    # Not every codec of Python's: punycode takes a minute for what others do at once.
    return content.decode(name if _CHARSET.fullmatch(name) else "utf-8", errors="replace")
