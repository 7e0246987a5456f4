"""Secrets that have to be read again, such as what signs webhooks: kept encrypted, under keys that can be rotated.

ENCRYPTION_KEY holds one Fernet key or several, separated by commas: the first encrypts, all decrypt. A rotation
puts a new key first, reseals what is stored (`docsearch keys rotate-encryption`), and takes the old key out.
"""

import base64

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from service.settings import SettingsError

# Says that a stored value is sealed; one without it is plain, as the web application writes them.
PREFIX = "enc:"


class SecretUnreadable(Exception):
    """A sealed value was sealed with a key that is not among ours, or was damaged."""

    def __init__(self) -> None:
        super().__init__(
            "A stored secret cannot be decrypted: put the key that it was encrypted with back into ENCRYPTION_KEY, "
            "after the current one, and run `docsearch keys rotate-encryption`; or set the secret anew."
        )


class SecretBox:
    """Seals text with the first of its keys and opens it with any of them. Shows neither keys nor secrets."""

    def __init__(self, keys: str) -> None:
        """Read comma-separated Fernet keys. Raises SettingsError, which does not repeat them."""
        given = [key.strip() for key in keys.split(",")]
        boxes = [_fernet(key, number, len(given)) for number, key in enumerate(given, start=1)]
        self._current = boxes[0]
        self._all = MultiFernet(boxes)

    def __repr__(self) -> str:
        return "SecretBox()"

    def seal(self, text: str) -> str:
        return PREFIX + self._current.encrypt(text.encode()).decode("ascii")

    def open(self, sealed: str) -> str:
        """Return the text that was sealed, and a plain value as it is. Raises SecretUnreadable."""
        if not sealed.startswith(PREFIX):
            return sealed
        try:
            return self._all.decrypt(_token(sealed)).decode()
        except InvalidToken as exc:
            raise SecretUnreadable from exc

    def is_current(self, sealed: str) -> bool:
        """Return whether the value is sealed with the first key, so that it needs no other."""
        if not sealed.startswith(PREFIX):
            return False
        try:
            self._current.decrypt(_token(sealed))
        except InvalidToken:
            return False
        return True

    def reseal(self, sealed: str) -> str:
        """Return the value sealed with the first key, unchanged where it is already. Raises SecretUnreadable."""
        return sealed if self.is_current(sealed) else self.seal(self.open(sealed))


def _token(sealed: str) -> bytes:
    return sealed.removeprefix(PREFIX).encode()


def _fernet(key: str, number: int, count: int) -> Fernet:
    try:
        # Fernet reads what stands before the first padding: of two keys without a comma it would take one.
        raw = base64.b64decode(key.replace("-", "+").replace("_", "/"), validate=True)
        return Fernet(base64.urlsafe_b64encode(raw))
    except ValueError:
        # Not from exc: what a parser says of a key may quote it.
        which = "it" if count == 1 else f"key {number} of {count}"
        raise SettingsError(
            f"ENCRYPTION_KEY: {which} must be 32 random bytes in base64; make one with "
            "`docsearch keys new-encryption-key`."
        ) from None
