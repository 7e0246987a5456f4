"""The templates that come along: a JSON file each, in seeds/. db/seed.py writes them."""

from functools import lru_cache
from importlib.resources import files

import msgspec

from db.seed import SeededTemplate


@lru_cache(maxsize=1)
def seeded_templates() -> tuple[SeededTemplate, ...]:
    """Return them by the names of their files."""
    found = sorted(
        (
            file
            for file in files("service.templates").joinpath("seeds").iterdir()
            if file.name.endswith(".json")
        ),
        key=lambda file: file.name,
    )
    return tuple(msgspec.json.decode(file.read_bytes(), type=SeededTemplate) for file in found)
