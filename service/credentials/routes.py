"""/v1/credentials: secrets that workflows use by name."""

from http import HTTPStatus
from typing import Annotated, Any

import msgspec
from litestar import Router, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import JSONBody, PathParameter

from db import credentials
from db.pool import Pool
from db.tenancy import as_caller, as_service
from service.audit import audit
from service.auth.caller import Caller
from service.credentials.schemas import Credential, CredentialList, CredentialPatch, Kind, NewCredential
from service.engine.credentials import KINDS, read_value
from service.errors import Problem, not_found
from service.openapi import problems
from service.secrets import SecretBox
from service.text import one_line

CredentialId = Annotated[str, PathParameter(description="The credential's id.", max_length=100)]
_MAX_VALUE_BYTES = 16 * 1024


@post("/", responses=problems(404, 409, 422), summary="Keep a credential")
async def create_credential(
    caller: NamedDependency[Caller],
    pool: NamedDependency[Pool],
    secret_box: NamedDependency[SecretBox],
    data: JSONBody[NewCredential],
) -> Credential:
    """Keep a secret, encrypted, for nodes that name it; a team's is made by its administrators."""
    if data.team_id is not None:
        caller.require("credentials:manage", data.team_id)
    async with as_caller(pool, caller.subject) as conn:
        row = await credentials.insert_credential(
            conn,
            user_id=caller.user_id,
            team_id=data.team_id,
            name=one_line(data.name, "name"),
            kind=data.kind,
            hosts=[host.lower() for host in data.hosts],
            sealed=_seal(secret_box, data.kind, data.value),
        )
        async with as_service(conn):
            await audit(conn, caller, "credential.created", "credential", row.id, team_id=row.team_id)
    return Credential.from_row(row)


@get("/", responses=problems(), summary="List credentials")
async def list_credentials(caller: NamedDependency[Caller], pool: NamedDependency[Pool]) -> CredentialList:
    """Return the caller's credentials and those of teams whose workflows they may change, without their values."""
    async with as_caller(pool, caller.subject) as conn:
        rows = await credentials.list_credentials(conn, _readable(caller))
    return CredentialList(data=[Credential.from_row(row) for row in rows])


@get("/{credential_id:str}", responses=problems(404), summary="Get a credential")
async def get_credential(
    caller: NamedDependency[Caller], pool: NamedDependency[Pool], credential_id: CredentialId
) -> Credential:
    """Return a credential without its value."""
    return Credential.from_row(await _find(pool, caller, credential_id))


@patch("/{credential_id:str}", responses=problems(404, 409, 422), summary="Change a credential")
async def update_credential(
    caller: NamedDependency[Caller],
    pool: NamedDependency[Pool],
    secret_box: NamedDependency[SecretBox],
    credential_id: CredentialId,
    data: JSONBody[CredentialPatch],
) -> Credential:
    """Change name, hosts or value. Nodes name it, so a new name has to be put into them."""
    row = await _find_own(pool, caller, credential_id)
    async with as_caller(pool, caller.subject) as conn:
        changed = await credentials.update_credential(
            conn,
            caller.spaces,
            row.id,
            name=None if data.name is msgspec.UNSET else one_line(data.name, "name"),
            hosts=None if data.hosts is msgspec.UNSET else [host.lower() for host in data.hosts],
            sealed=None if data.value is msgspec.UNSET else _seal(secret_box, row.kind, data.value),
        )
        if not changed:
            raise not_found("credential")
        async with as_service(conn):
            await audit(conn, caller, "credential.changed", "credential", row.id, team_id=row.team_id)
    return Credential.from_row(await _find(pool, caller, credential_id))


@delete("/{credential_id:str}", responses=problems(404), summary="Delete a credential")
async def delete_credential(
    caller: NamedDependency[Caller], pool: NamedDependency[Pool], credential_id: CredentialId
) -> None:
    """Forget a secret; nodes that name it fail from now on."""
    row = await _find_own(pool, caller, credential_id)
    async with as_caller(pool, caller.subject) as conn:
        if not await credentials.delete_credential(conn, caller.spaces, row.id):
            raise not_found("credential")
        async with as_service(conn):
            await audit(conn, caller, "credential.deleted", "credential", row.id, team_id=row.team_id)


def _readable(caller: Caller) -> list[str]:
    return [caller.user_id, *caller.teams_with("workflows:write")]


async def _find(pool: Pool, caller: Caller, credential_id: str) -> credentials.Credential:
    if "\x00" in credential_id:
        raise not_found("credential")
    async with as_caller(pool, caller.subject) as conn:
        row = await credentials.find_shown(conn, _readable(caller), credential_id)
    if row is None:
        raise not_found("credential")
    return row


async def _find_own(pool: Pool, caller: Caller, credential_id: str) -> credentials.Credential:
    row = await _find(pool, caller, credential_id)
    if row.team_id is not None:
        caller.require("credentials:manage", row.team_id)
    return row


def _seal(secret_box: SecretBox, kind: Kind, value: dict[str, Any]) -> str:
    try:
        read = read_value(kind, value)
        encoded = msgspec.json.encode(read)
    except (msgspec.ValidationError, UnicodeEncodeError):
        # Not what was wrong with it: that may repeat some of it.
        wanted = ", ".join(KINDS[kind].__struct_fields__)
        raise Problem(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            f"value: of kind {kind} it has {wanted}, each a text, and nothing else.",
        ) from None
    texts = msgspec.to_builtins(read).values()
    if len(encoded) > _MAX_VALUE_BYTES or not all(text and text.isprintable() for text in texts):
        raise Problem(
            HTTPStatus.UNPROCESSABLE_ENTITY, "value: a part of it is empty, too long, or not printable."
        )
    return secret_box.seal(encoded.decode())


credentials_router = Router(
    "/v1/credentials",
    tags=["workflows"],
    route_handlers=[
        create_credential,
        list_credentials,
        get_credential,
        update_credential,
        delete_credential,
    ],
)
