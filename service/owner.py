"""The local owner: the person whose machine this is, with a key kept beside the data, and something to search."""

import asyncio
import hashlib
import os
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from db import api_keys, users
from db.callers import find_caller
from db.pool import Pool
from ingest.originals import Originals
from ingest.parse.sniff import sniff_media_type
from ingest.receive import storage_key, store_file
from service.auth.caller import Caller
from service.auth.keys import display_prefix, hash_key, mint_key
from service.handbook import handbook_files
from service.intake.intake import Intake, register

KEY_FILE = "owner.key"


@dataclass(frozen=True, slots=True)
class Owner:
    user_id: str
    key: str
    is_new: bool
    """True until the handbook has been given to them."""


async def ensure_owner(pool: Pool, home: Path, secret: bytes) -> Owner:
    """Return the local owner with a working key, making either where it is missing."""
    async with pool.acquire() as conn, conn.transaction():
        user = await users.ensure_local_owner(conn)
        key = _kept_key(home)
        if key is None or await find_caller(conn, hash_key(secret, key)) is None:
            key = mint_key()
            await api_keys.insert_api_key(
                conn,
                user_id=user.id,
                name="local owner",
                key_hash=hash_key(secret, key),
                prefix=display_prefix(key),
                scopes=["admin"],
            )
            _keep_key(home, key)
    return Owner(user_id=user.id, key=key, is_new=not user.onboarding_completed)


def _kept_key(home: Path) -> str | None:
    try:
        return (home / KEY_FILE).read_text().strip()
    except FileNotFoundError:
        return None


def _keep_key(home: Path, key: str) -> None:
    """Write the key for its owner's eyes only; the file is never there half written or readable by others."""
    home.mkdir(parents=True, exist_ok=True)
    draft = home / f"{KEY_FILE}.new"
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(key + "\n")
    draft.replace(home / KEY_FILE)


async def give_handbook(pool: Pool, originals: Originals, owner: Owner) -> list[str]:
    """Queue the handbook for a new owner; return the ids of its documents. A repeat after a crash adds nothing."""
    caller = Caller(owner.user_id, users.LOCAL_OWNER_CLERK_ID, None, None, frozenset({"admin"}), {})
    ids = [await _give(pool, originals, caller, path) for path in handbook_files()]
    async with pool.acquire() as conn, conn.transaction():
        await users.complete_onboarding(conn, owner.user_id)
    return ids


async def _give(pool: Pool, originals: Originals, caller: Caller, path: Path) -> str:
    data = await asyncio.to_thread(path.read_bytes)
    digest = hashlib.sha256(data).hexdigest()
    # The same id for the same file and owner, so that an interrupted first start is picked up where it ended.
    document_id = _uuid_from(f"{caller.user_id}:{path.name}:{digest}")

    file = await store_file(
        originals,
        storage_key(document_id),
        _once(data),
        filename=path.name,
        declared=sniff_media_type(data[:8192], path.name, None),
        max_bytes=len(data),
    )
    intake = Intake(document_id, file, path.name, {"collection": "handbook"}, None, "file", None)
    return await register(pool, originals, caller, intake, f"handbook:{path.name}:{digest}")


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data


def _uuid_from(text: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_OID, text))
