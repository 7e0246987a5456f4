"""/v1/hooks: webhooks that start workflows, and answers to those that wait.

Whoever knows an address may call it: that is what its token is for. An unknown token, and one of a workflow that is not
active, are answered alike.
"""

from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Annotated, Any

from litestar import HttpMethod, Request, Response, post, route
from litestar.di import NamedDependency
from litestar.params import PathParameter, QueryParameter

from db import workflow_steps
from db.events import Events
from db.executions import find_cause
from db.jobs import enqueue_run
from db.pool import Pool
from db.tenancy import as_system
from db.workflow_triggers import Hook, find_hook, note_fired
from service.engine.errors import EngineError
from service.engine.resume import read_resume_token
from service.engine.starting import StartLimits, start_execution
from service.engine.values import storable
from service.errors import Problem, not_found
from service.hooks.answering import Answerers, accepted
from service.hooks.receiving import MAX_BODY_BYTES, check_signature, read_body, read_config, shown_headers
from service.openapi import problems
from service.secrets import SecretBox
from service.settings import Settings

Token = Annotated[str, PathParameter(description="The token of the webhook's address.", max_length=200)]
_METHODS = [HttpMethod.GET, HttpMethod.POST, HttpMethod.PUT, HttpMethod.PATCH, HttpMethod.DELETE]
_RESPONSES = problems(400, 401, 402, 404, 405, 413, 422, 429, 500)
_MAX_KEY_CHARS = 255


@route(
    "/v1/hooks/{token:str}",
    http_method=_METHODS,
    tags=["webhooks in"],
    status_code=202,
    responses=_RESPONSES,
    request_max_body_size=None,  # counted as it streams in
    summary="Call a webhook",
)
async def call_hook(
    request: Request[Any, Any, Any],
    pool: NamedDependency[Pool],
    event_feed: NamedDependency[Events],
    secret_box: NamedDependency[SecretBox],
    deployment: NamedDependency[Settings],
    token: Token,
) -> Response[bytes]:
    """Start the workflow of this address, with the body, form or query as its first item."""
    hook = await _find(pool, token, test=False)
    return await _receive(request, pool, event_feed, secret_box, deployment, hook)


@route(
    "/v1/hooks/test/{token:str}",
    http_method=_METHODS,
    tags=["webhooks in"],
    status_code=202,
    responses=_RESPONSES,
    request_max_body_size=None,
    summary="Try a webhook",
)
async def try_hook(
    request: Request[Any, Any, Any],
    pool: NamedDependency[Pool],
    event_feed: NamedDependency[Events],
    secret_box: NamedDependency[SecretBox],
    deployment: NamedDependency[Settings],
    token: Token,
) -> Response[bytes]:
    """Run the workflow as it is drawn now, active or not, as a test: nobody is told of its end."""
    hook = await _find(pool, token, test=True)
    return await _receive(request, pool, event_feed, secret_box, deployment, hook)


@post(
    "/v1/hooks/resume/{token:str}",
    tags=["webhooks in"],
    status_code=202,
    responses=problems(400, 404, 409, 413, 422),
    request_max_body_size=None,
    summary="Answer a waiting workflow",
)
async def resume_run(
    request: Request[Any, Any, Any],
    pool: NamedDependency[Pool],
    deployment: NamedDependency[Settings],
    token: Token,
    node: Annotated[
        str | None, QueryParameter(max_length=200, description="The node that waits; unset: the first.")
    ] = None,
) -> Response[bytes]:
    """Give the body, or form, to a wait node of the run whose {{ execution.resume_url }} this is."""
    execution_id = read_resume_token(deployment.signing_secret(), token)
    if execution_id is None or "\x00" in execution_id + (node or ""):
        raise not_found("webhook")
    body = await _body(request)
    reply = _storable(
        read_body(request.method, request.headers.get("content-type", ""), body, _query(request))
    )
    async with as_system(pool) as conn:
        found = await workflow_steps.resume_reply(conn, execution_id, node, reply)
        if found is None:
            raise Problem(
                HTTPStatus.CONFLICT, "Nothing waits for a reply here: it has come, or is not asked for yet."
            )
        await enqueue_run(conn, execution_id)
    return accepted(execution_id)


async def _find(pool: Pool, token: str, *, test: bool) -> Hook:
    if not token.isascii() or not token.isprintable():
        raise not_found("webhook")
    async with pool.acquire() as conn:
        hook = await find_hook(conn, token, test=test)
    if hook is None:
        raise not_found("webhook")
    return hook


async def _receive(
    request: Request[Any, Any, Any],
    pool: Pool,
    events: Events,
    secret_box: SecretBox,
    settings: Settings,
    hook: Hook,
) -> Response[bytes]:
    config = read_config(hook)
    method = config.method or "POST"
    if method not in {"ANY", request.method}:
        raise Problem(HTTPStatus.METHOD_NOT_ALLOWED, f"This webhook is called by {method}.")
    body = await _body(request)
    headers = {name.lower(): value for name, value in request.headers.items()}
    await check_signature(pool, secret_box, hook, config, headers, body)
    data = _storable(read_body(request.method, headers.get("content-type", ""), body, _query(request)))
    trigger = {
        "method": request.method,
        "query": _query(request),
        "headers": shown_headers(headers, config),
    }
    key = headers.get("idempotency-key") or None  # an empty one is none: senders have an unset variable there
    execution_id = await _start(pool, hook, data, trigger, key, StartLimits.of(settings))
    answerers = Answerers(pool, events)
    match config.response_mode:
        case "lastNode":
            return await answerers.by_output(execution_id)
        case "respondNode":
            return await answerers.by_response(execution_id)
        case "immediately":
            return accepted(execution_id)


async def _start(
    pool: Pool, hook: Hook, data: Any, trigger: dict[str, Any], key: str | None, limits: StartLimits
) -> str:
    """Start the run, or return the one that the same Idempotency-Key has started."""
    if key is not None and (len(key) > _MAX_KEY_CHARS or not key.isprintable()):
        raise Problem(
            HTTPStatus.BAD_REQUEST, f"Idempotency-Key: {_MAX_KEY_CHARS} printable characters at most."
        )
    cause = None if key is None else f"hook:{hook.trigger_id}:{int(hook.is_test)}:{key}"
    async with as_system(pool) as conn:
        try:
            started = await start_execution(
                conn,
                workflow_id=hook.workflow_id,
                user_id=hook.user_id,
                triggered_by="webhook",
                data=data,
                trigger=trigger,
                start_node=hook.node_id,
                cause=cause,
                plan={"mode": "test"} if hook.is_test else None,
                limits=limits,
            )
        except EngineError as exc:
            raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, str(exc)) from exc
        if started is None and cause is not None:
            started = await find_cause(conn, cause)
        elif not hook.is_test:
            await note_fired(conn, hook.trigger_id)
    if started is None:
        raise not_found("webhook")
    return started


async def _body(request: Request[Any, Any, Any]) -> bytes:
    parts: list[bytes] = []
    size = 0
    async for part in _stream(request):
        size += len(part)
        if size > MAX_BODY_BYTES:
            raise Problem(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                f"A webhook takes {MAX_BODY_BYTES:,} bytes; upload larger things as documents.",
                max_bytes=MAX_BODY_BYTES,
            )
        parts.append(part)
    return b"".join(parts)


def _stream(request: Request[Any, Any, Any]) -> AsyncIterator[bytes]:
    return request.stream()


def _query(request: Request[Any, Any, Any]) -> dict[str, Any]:
    """Return the query; a name that comes several times is a list."""
    found: dict[str, Any] = {}
    for name, value in request.query_params.multi_items():
        if name in found:
            found[name] = [*(found[name] if isinstance(found[name], list) else [found[name]]), value]
        else:
            found[name] = value
    return found


def _storable(data: Any) -> Any:
    try:
        return storable(data, "The body")
    except EngineError as exc:
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, str(exc)) from exc


hooks_routes = [call_hook, try_hook, resume_run]
