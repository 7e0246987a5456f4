"""An HTTP request."""

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Annotated, Any, Literal
from urllib.parse import urlencode, urlsplit, urlunsplit

import msgspec
from msgspec import Meta

from service.engine.credentials import credential_headers
from service.engine.errors import NodeError
from service.engine.nodes.base import Call, Config, Emit, NodeType, emit
from service.engine.outbound import Reply

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]
_HARMLESS = frozenset({"GET", "HEAD", "OPTIONS"})
_OURS = frozenset(
    {"host", "content-length", "transfer-encoding", "connection", "te", "upgrade", "expect", "trailer"}
)
_RETRYABLE = frozenset({408, 425, 429})
_MAX_URL_CHARS = 8_000


class HttpConfig(Config, frozen=True, kw_only=True):
    url: Annotated[str, Meta(min_length=1, max_length=_MAX_URL_CHARS, description="http or https address.")]
    method: Annotated[Method, Meta(description="What to do there.")] = "GET"
    headers: Annotated[dict[str, str], Meta(description="Headers, without secrets.")] = {}
    query: Annotated[
        dict[str, Any], Meta(description="Added to the address; a list gives a name several times.")
    ] = {}
    body: Annotated[Any, Meta(description="What is sent.")] = None
    body_type: Annotated[
        Literal["json", "form", "text"], Meta(description="As JSON, as a form, or a text as it is.")
    ] = "json"
    credential: Annotated[str | None, Meta(description="Name of a credential that is sent along.")] = None
    response_type: Annotated[
        Literal["auto", "json", "text"], Meta(description="How the reply is read; auto: by its Content-Type.")
    ] = "auto"
    follow_redirects: Annotated[bool, Meta(description="Go where a redirect leads, five times at most.")] = (
        True
    )
    success_status: Annotated[
        list[int] | None, Meta(description="Statuses that are no failure; unset: 200 to 299.")
    ] = None
    timeout: Annotated[float, Meta(gt=0, le=300, description="Seconds for all of it.")] = 30.0


class Http(NodeType[HttpConfig]):
    name = "http"
    label = "HTTP request"
    description = "Sends a request and gives its status, headers and body. Private addresses are not reached."
    config = HttpConfig
    has_effects = True

    async def run(self, call: Call[HttpConfig]) -> Emit:
        config = call.config
        url = _with_query(config.url, config.query)
        body, content_type = _encoded(config)
        headers = _checked(config.headers)
        names = {name.lower() for name in headers}
        if content_type is not None and "content-type" not in names:
            headers["Content-Type"] = content_type
        if config.method not in _HARMLESS and "idempotency-key" not in names:
            headers["Idempotency-Key"] = call.idempotency_key
        secret: Mapping[str, str] = {}
        if config.credential:
            secret = await credential_headers(call.services, call.run.space_id, config.credential, url)
        reply = await call.services.http.send(
            config.method,
            url,
            headers=headers,
            secret_headers=secret,
            body=body,
            timeout_s=min(config.timeout, call.timeout_s),
            follow_redirects=config.follow_redirects,
        )
        _require_success(config, reply)
        return emit(
            {
                "status": reply.status,
                "headers": dict(reply.headers),
                "body": _read_body(config, reply),
                "url": reply.url,
            }
        )


def _with_query(url: str, query: Mapping[str, Any]) -> str:
    if not query:
        return url
    pairs = [
        (name, _text(one))
        for name, value in query.items()
        for one in (value if isinstance(value, list) else [value])
        if one is not None
    ]
    parts = urlsplit(url)
    joined = "&".join(part for part in (parts.query, urlencode(pairs)) if part)
    return urlunsplit(parts._replace(query=joined))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _encoded(config: HttpConfig) -> tuple[bytes | None, str | None]:
    if config.body is None:
        return None, None
    match config.body_type:
        case "json":
            return msgspec.json.encode(config.body), "application/json"
        case "text":
            return _text(config.body).encode(), "text/plain; charset=utf-8"
        case "form":
            if not isinstance(config.body, dict):
                raise NodeError("A form's body is an object.", code="bad_config", field="data.body")
            pairs = [(name, _text(value)) for name, value in config.body.items()]
            return urlencode(pairs).encode(), "application/x-www-form-urlencoded"


def _checked(headers: Mapping[str, str]) -> dict[str, str]:
    for name, value in headers.items():
        lower = name.lower()
        if lower in _OURS or lower.startswith("proxy-"):
            raise NodeError(
                f"The header {name[:60]!r} is not yours to set.", code="bad_config", field="data.headers"
            )
        if (
            not name
            or not (name + value).isascii()
            or not (name + value).isprintable()
            or " " in name
            or ":" in name
        ):
            raise NodeError(
                f"The header {name[:60]!r} holds a character that none may.",
                code="bad_config",
                field="data.headers",
            )
    return dict(headers)


def _require_success(config: HttpConfig, reply: Reply) -> None:
    wanted = config.success_status
    if reply.status in wanted if wanted is not None else 200 <= reply.status < 300:
        return
    said = reply.body[:300].decode("utf-8", "replace").strip()
    raise NodeError(
        f"{urlsplit(reply.url).hostname} answered with status {reply.status}"
        + (f": {said}" if said else "."),
        code="http_status",
        retryable=reply.status >= 500 or reply.status in _RETRYABLE,
        retry_after_s=_retry_after_s(reply.headers.get("retry-after")),
    )


def _retry_after_s(value: str | None) -> float | None:
    """Return the delay of a Retry-After header, in seconds or as a date (RFC 9110, 10.2.3)."""
    text = (value or "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:10])
    try:
        date = parsedate_to_datetime(text)
    except ValueError:
        return None
    aware = date if date.tzinfo else date.replace(tzinfo=UTC)
    return max((aware - datetime.now(UTC)).total_seconds(), 0.0)


def _read_body(config: HttpConfig, reply: Reply) -> Any:
    media_type = reply.headers.get("content-type", "").partition(";")[0].strip().lower()
    as_json = config.response_type == "json" or (
        config.response_type == "auto" and (media_type == "application/json" or media_type.endswith("+json"))
    )
    if as_json and reply.body.strip():
        try:
            return msgspec.json.decode(reply.body)
        except (msgspec.DecodeError, RecursionError) as exc:
            if config.response_type == "json":
                raise NodeError(f"The reply is no JSON: {exc}", code="bad_json") from exc
    return reply.body.decode(_charset(reply), "replace")


def _charset(reply: Reply) -> str:
    given = reply.headers.get("content-type", "").lower().partition("charset=")[2].strip(' "')
    try:
        "".encode(given or "utf-8")
    except LookupError:
        return "utf-8"
    return given or "utf-8"
