"""What a webhook brings: checked, read, and made into the first item of a run."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from db.credentials import find_credential
from db.pool import Pool
from db.workflow_triggers import Hook
from service.engine.credentials import Hmac as HmacValue
from service.engine.credentials import open_value
from service.engine.errors import NodeError
from service.engine.nodes.trigger import TriggerConfig
from service.errors import Problem
from service.secrets import SecretBox

MAX_BODY_BYTES = 1024 * 1024
_MAX_KEY_CHARS = 255
_MAX_HEADER_BYTES = 16 * 1024
_HIDDEN_HEADERS = frozenset({"authorization", "cookie", "proxy-authorization"})


def read_config(hook: Hook) -> TriggerConfig:
    """Return how the trigger is set up. Raises 422: it was saved as a draft and is not complete."""
    known = {field.encode_name for field in msgspec.structs.fields(TriggerConfig)}
    try:
        return msgspec.convert({k: v for k, v in hook.config.items() if k in known}, TriggerConfig)
    except msgspec.ValidationError as exc:
        raise Problem(
            HTTPStatus.UNPROCESSABLE_ENTITY, f"The webhook's trigger is not set up properly: {exc}."
        ) from exc


async def check_signature(
    pool: Pool,
    secret_box: SecretBox,
    hook: Hook,
    config: TriggerConfig,
    headers: Mapping[str, str],
    body: bytes,
) -> None:
    """Raise 401 for a request that is not signed as the trigger asks for."""
    if config.hmac is None:
        return
    if not body:
        # One signature, of nothing, would be good for any query.
        raise Problem(
            HTTPStatus.UNAUTHORIZED,
            "This webhook is signed, and only a body is: send one. What is in the address is not signed.",
        )
    wanted = config.hmac
    async with pool.acquire() as conn:
        row = await find_credential(conn, hook.space_id, wanted.credential)
    try:
        value = None if row is None else open_value(secret_box, row)
    except NodeError:
        value = None
    if not isinstance(value, HmacValue):
        raise Problem(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "The webhook's credential is missing: it is of kind hmac, and named in hmac.",
        )
    given = headers.get(wanted.header.lower(), "").strip()
    digest = hmac.new(value.secret.encode(), body, hashlib.sha256).digest()
    if not _matches(given.removeprefix(wanted.prefix), digest, wanted.encoding):
        raise Problem(
            HTTPStatus.UNAUTHORIZED, f"{wanted.header}: missing, or not the signature of this body."
        )


def _matches(given: str, digest: bytes, encoding: str) -> bool:
    try:
        signature = bytes.fromhex(given) if encoding == "hex" else base64.b64decode(given, validate=True)
    except (ValueError, binascii.Error):
        return False
    return hmac.compare_digest(signature, digest)


def read_body(method: str, content_type: str, body: bytes, query: Mapping[str, Any]) -> Any:
    """Return what the run is started with. Raises 400 for JSON that is none.

    Of a webhook that is signed there is always a body: check_signature sees to that.
    """
    media_type = content_type.partition(";")[0].strip().lower()
    if not body:
        return dict(query) if method in {"GET", "HEAD", "DELETE"} else {}
    if media_type == "application/x-www-form-urlencoded":
        return dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
    if media_type == "application/json" or media_type.endswith("+json") or not media_type:
        try:
            return _as_item(msgspec.json.decode(body))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
            if media_type:
                raise Problem(HTTPStatus.BAD_REQUEST, f"The body is no JSON: {exc}") from exc
    return {"text": body.decode("utf-8", "replace")}


def _as_item(value: Any) -> Any:
    if isinstance(value, dict) or (isinstance(value, list) and all(isinstance(one, dict) for one in value)):
        return value
    return {"body": value}


def read_key(config: TriggerConfig, headers: Mapping[str, str], data: Any) -> str | None:
    """Return what is the same in a repeat: where a field is named that is signed, what is in it, and no header.

    Raises 400 for a body without the field, and for what is too long to be kept.
    """
    field = None if config.hmac is None else config.hmac.idempotency_field
    if field is None:
        # An empty one is none: senders have an unset variable there.
        where, key = "Idempotency-Key", headers.get("idempotency-key") or None
    else:
        where, found = field, data.get(field) if isinstance(data, dict) else None
        key = str(found) if isinstance(found, str | int) and not isinstance(found, bool) else ""
        if not key:
            raise Problem(
                HTTPStatus.BAD_REQUEST, f"{field}: the body has to have it, a text or a whole number."
            )
    if key is not None and (len(key) > _MAX_KEY_CHARS or not key.isprintable()):
        raise Problem(HTTPStatus.BAD_REQUEST, f"{where}: {_MAX_KEY_CHARS} printable characters at most.")
    return key


def shown_headers(headers: Mapping[str, str], config: TriggerConfig) -> dict[str, str]:
    """Return the headers that a workflow sees: none that is a secret of the sender's."""
    hidden = _HIDDEN_HEADERS | ({config.hmac.header.lower()} if config.hmac else set())
    shown: dict[str, str] = {}
    size = 0
    for name, value in headers.items():
        size += len(name) + len(value)
        if name not in hidden and size <= _MAX_HEADER_BYTES:
            shown[name] = value
    return shown
