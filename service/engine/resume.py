"""Addresses at which waiting runs are answered: whoever has one may answer, so nobody can make one up.

A run has one, which answers its first wait for a reply (db/workflow_replies.py). It is a secret: note_secret(token)
keeps it out of the run's log, which viewers read.
"""

import hashlib
import hmac


def resume_token(secret: bytes, execution_id: str) -> str:
    return f"{execution_id}.{_signature(secret, execution_id)}"


def read_resume_token(secret: bytes, token: str) -> str | None:
    """Return the execution that a token is of, None for one that we have not made."""
    execution_id, _, signature = token.rpartition(".")
    genuine = hmac.compare_digest(signature.encode(), _signature(secret, execution_id).encode())
    return execution_id if genuine else None


def _signature(secret: bytes, execution_id: str) -> str:
    return hmac.new(secret, b"resume workflow " + execution_id.encode(), hashlib.sha256).hexdigest()[:40]
