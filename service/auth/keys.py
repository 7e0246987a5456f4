"""API keys: random, prefixed so that people and secret scanners know them, kept only as a keyed hash."""

import hashlib
import hmac
import re
import secrets

PREFIX = "dsk_"
_SHAPE = re.compile(r"dsk_[A-Za-z0-9_-]{43}")


def mint_key() -> str:
    """Return a new key of 256 random bits; it is shown once and never stored."""
    return PREFIX + secrets.token_urlsafe(32)


def is_key_shaped(text: str) -> bool:
    return _SHAPE.fullmatch(text) is not None


def hash_key(secret: bytes, key: str) -> str:
    """Return hex HMAC-SHA256: a stolen table of hashes is useless without the secret."""
    return hmac.new(secret, key.encode(), hashlib.sha256).hexdigest()


def display_prefix(key: str) -> str:
    """Return how a key begins: enough to tell it from others, 24 of its 256 bits."""
    return key[: len(PREFIX) + 4]
