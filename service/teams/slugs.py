"""A slug of a name: what stands in addresses."""

import re
import unicodedata
from collections.abc import Collection

MAX_LENGTH = 48


def make_slug(name: str) -> str:
    """Return small Latin letters, digits and hyphens of a name; "team" where it has none."""
    ascii_only = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "-", ascii_only).strip("-")[: MAX_LENGTH - 6].strip("-")
    return slug or "team"


def first_free(slug: str, taken: Collection[str]) -> str:
    """Return the slug, or the first of slug-2, slug-3, … that is not taken."""
    number = 1
    while (candidate := slug if number == 1 else f"{slug}-{number}") in taken:
        number += 1
    return candidate
