"""Signatures after Standard Webhooks (https://www.standardwebhooks.com), which receivers verify with its libraries."""

import base64
import secrets
from collections.abc import Sequence
from datetime import datetime

from standardwebhooks import Webhook

_PREFIX = "whsec_"
# The specification wants 24 to 64 bytes.
_SECRET_BYTES = 32


def new_secret() -> str:
    return _PREFIX + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode("ascii")


def signed_headers(
    keys: Sequence[str], *, message_id: str, sent_at: datetime, body: str
) -> list[tuple[str, str]]:
    """Return the three headers that a receiver verifies; sent_at is UTC, that of this attempt.

    While a secret is being rotated there are two keys and two signatures, of which a receiver needs one.
    """
    signatures = [Webhook(key).sign(message_id, sent_at, body) for key in keys]
    return [
        ("webhook-id", message_id),
        ("webhook-timestamp", str(int(sent_at.timestamp()))),
        ("webhook-signature", " ".join(signatures)),
    ]
