"""The rotation of ENCRYPTION_KEY: everything sealed is sealed anew under the first key, while the service runs.

Each value is compared and swapped by itself: nothing is locked for long, what others write meanwhile stays, and a
rotation that was interrupted goes on where it was, for what is current already is left alone.
"""

from dataclasses import dataclass

from db.pool import Pool
from db.sealed import PLACES, Place, Sealed, find_sealed, list_sealed, swap_sealed
from service.secrets import SecretBox, SecretUnreadable

_BATCH = 500


@dataclass(slots=True)
class Rotated:
    """How many values of one place were sealed anew, were current before, and could not be read."""

    resealed: int = 0
    current: int = 0
    unreadable: int = 0


async def rotate(pool: Pool, box: SecretBox) -> dict[Place, Rotated]:
    """Seal everything with the first key of box; what none of its keys opens is counted and left."""
    return {place: await _rotate_place(pool, box, place) for place in PLACES}


async def _rotate_place(pool: Pool, box: SecretBox, place: Place) -> Rotated:
    done = Rotated()
    after_id = ""
    while True:
        async with pool.acquire() as conn:
            batch = await list_sealed(conn, place, after_id=after_id, limit=_BATCH)
        if not batch:
            return done
        for sealed in batch:
            await _rotate_value(pool, box, place, sealed, done)
        after_id = batch[-1].id


async def _rotate_value(pool: Pool, box: SecretBox, place: Place, sealed: Sealed, done: Rotated) -> None:
    value: str | None = sealed.value
    while value is not None and not box.is_current(value):
        try:
            new = box.reseal(value)
        except SecretUnreadable:
            done.unreadable += 1
            return
        async with pool.acquire() as conn:
            if await swap_sealed(conn, place, sealed.id, old=value, new=new):
                done.resealed += 1
                return
            value = await find_sealed(conn, place, sealed.id)
    if value is not None:
        done.current += 1
