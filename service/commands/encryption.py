"""`docsearch keys rotate-encryption`: stored secrets under a new key, while the service runs."""

import asyncio
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from service.commands.output import CommandFailed, print_json, say

if TYPE_CHECKING:
    from db.sealed import Place
    from service.rotation import Rotated
    from service.secrets import SecretBox


def rotate_encryption(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> None:
    """Encrypt every stored secret anew with the first key of ENCRYPTION_KEY, while the service runs.

    All processes must have both keys before, the new one in front; the old one can go when this has gone through.
    It may be interrupted, and run again at any time.

    \b
    Example:
      ENCRYPTION_KEY=$NEW,$OLD docsearch keys rotate-encryption

    \b
    Environment:
      DATABASE_URL    the database [the embedded one in DOCSEARCH_HOME]
      ENCRYPTION_KEY  the new key, the old ones [DOCSEARCH_HOME/encryption.key]
    """
    from service.commands.database import open_database
    from service.secrets import SecretBox, SecretUnreadable
    from service.settings import load_settings

    settings = load_settings()
    box = SecretBox(settings.encryption_keys())
    with open_database(settings) as dsn:
        rotated = asyncio.run(_rotate(dsn, box))
    if as_json:
        print_json({place: asdict(counts) for place, counts in rotated.items()})
    else:
        for place, counts in rotated.items():
            say(
                f"{place:<25} {counts.resealed:,} resealed, {counts.current:,} current, "
                f"{counts.unreadable:,} unreadable"
            )
    if any(counts.unreadable for counts in rotated.values()):
        raise CommandFailed(str(SecretUnreadable()))


async def _rotate(dsn: str, box: "SecretBox") -> "dict[Place, Rotated]":
    from db.pool import open_pool
    from service.rotation import rotate

    async with open_pool(dsn, size=1, statement_cache_size=0) as pool:
        return await rotate(pool, box)
