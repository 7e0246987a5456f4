"""The keys that an OIDC issuer signs with: found, fetched with care, cached, and renewed when it rotates them."""

import asyncio
import contextlib
import ipaddress
import json
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import httpx
import structlog
from jwt import PyJWK
from jwt.exceptions import PyJWTError

from service.auth.errors import IdentityProviderUnavailable, TokenRefused

log = structlog.get_logger()

# What each algorithm verifies with (RFC 7518 section 3, RFC 8037): a key is used for no other. Symmetric
# algorithms and "none" are absent: a public key must never be taken for a secret.
_KEY_TYPES: Mapping[str, tuple[str, str | None]] = {
    **dict.fromkeys(("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"), ("RSA", None)),
    "ES256": ("EC", "P-256"),
    "ES384": ("EC", "P-384"),
    "ES512": ("EC", "P-521"),
    "EdDSA": ("OKP", "Ed25519"),
}
ALGORITHMS = frozenset(_KEY_TYPES)
"""What can be allowed."""

FRESH_S = 3600.0
"""How long keys are used without asking again."""
STALE_S = 12 * 3600.0
"""How long they are used while the issuer does not answer: an outage of its, not one of ours."""
REFETCH_S = 30.0
"""At most one fetch in this time is caused by key ids we do not know: anybody can make those up."""
RETRY_S = 5.0
"""How long after a failed fetch the next one may begin."""
TIMEOUT_S = 5.0
MAX_BYTES = 256 * 1024

# A set that holds private members by mistake is read without them.
_PUBLIC_MEMBERS = frozenset({"kty", "crv", "n", "e", "x", "y"})

Keys = Mapping[tuple[str | None, str], PyJWK]
"""By key id and algorithm."""


class _Failed(Exception):
    """The issuer could not be read; the message says why."""


class SigningKeys:
    """One issuer's keys. Used inside `async with`, which holds the connection to the issuer."""

    def __init__(
        self,
        issuer: str,
        *,
        algorithms: Sequence[str],
        jwks_url: str | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Raises ValueError for an address that may not be fetched."""
        check_endpoint(issuer if jwks_url is None else jwks_url)
        self._issuer = issuer
        self._algorithms = tuple(algorithms)
        self._configured_url = jwks_url
        self._discovered_url: str | None = None
        self._clock = clock
        self._client: httpx.AsyncClient | None = None
        self._keys: Keys = {}
        self._fetched_at = -math.inf
        self._failed_at: float | None = None
        """When the last fetch failed; None when it did not."""
        self._missed_at = -math.inf
        self._fetching: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "SigningKeys":
        # A redirect would let whoever controls a page of the issuer's site name the keys.
        self._client = httpx.AsyncClient(follow_redirects=False, timeout=TIMEOUT_S)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._fetching is not None:
            self._fetching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._fetching
        if self._client is not None:
            await self._client.aclose()

    async def find(self, key_id: str | None, algorithm: str) -> PyJWK:
        """Return the key for a token's header. Raises TokenRefused, IdentityProviderUnavailable."""
        at_hand = self._keys
        age = self._clock() - self._fetched_at
        if age >= STALE_S:
            await self._fetch_or_fail()
        elif age >= FRESH_S and self._may_retry():
            # Nobody waits for a renewal while the keys at hand are good enough.
            self._begin_fetch()
        found = self._look_up(key_id, algorithm)
        if found is None and self._keys is at_hand:
            await self._refetch_for_unknown()
            found = self._look_up(key_id, algorithm)
        if found is not None:
            return found
        if self._failed_at is not None:
            raise IdentityProviderUnavailable(_UNAVAILABLE)
        raise TokenRefused("The token is signed with a key that its issuer does not publish.")

    def _look_up(self, key_id: str | None, algorithm: str) -> PyJWK | None:
        if key_id is not None:
            found = self._keys.get((key_id, algorithm))
            if found is None and any(known == key_id for known, _ in self._keys):
                raise TokenRefused(f"The token's key is not one for {algorithm}.")
            return found
        candidates = [key for (_, allowed), key in self._keys.items() if allowed == algorithm]
        if len(candidates) > 1:
            raise TokenRefused("The token does not say which of its issuer's keys it is signed with.")
        return candidates[0] if candidates else None

    async def _refetch_for_unknown(self) -> None:
        """Ask the issuer again, unless it was asked for such a reason just now."""
        if self._fetching is None:
            now = self._clock()
            if now - self._missed_at < REFETCH_S or not self._may_retry():
                return
            self._missed_at = now
        await self._fetch()

    def _may_retry(self) -> bool:
        return self._failed_at is None or self._clock() - self._failed_at >= RETRY_S

    async def _fetch_or_fail(self) -> None:
        if self._fetching is not None or self._may_retry():
            await self._fetch()
        if self._clock() - self._fetched_at >= STALE_S:
            raise IdentityProviderUnavailable(_UNAVAILABLE)

    async def _fetch(self) -> None:
        """Fetch, or wait for the fetch under way. A caller who leaves does not end it for the others."""
        await asyncio.shield(self._begin_fetch())

    def _begin_fetch(self) -> asyncio.Task[None]:
        if self._fetching is None:
            self._fetching = asyncio.create_task(self._renew(), name="signing keys")
            self._fetching.add_done_callback(self._fetch_ended)
        return self._fetching

    def _fetch_ended(self, _task: asyncio.Task[None]) -> None:
        self._fetching = None

    async def _renew(self) -> None:
        try:
            async with asyncio.timeout(TIMEOUT_S):
                keys = await self._get_keys()
        except (_Failed, httpx.HTTPError, httpx.InvalidURL, TimeoutError) as exc:
            self._failed_at = self._clock()
            self._discovered_url = None
            log.warning(
                "signing_keys_unavailable", issuer=self._issuer, reason=str(exc) or type(exc).__name__
            )
            return
        self._keys = keys
        self._fetched_at = self._clock()
        self._failed_at = None

    async def _get_keys(self) -> Keys:
        keys = read_keys(await self._get_json(await self._jwks_url()), self._algorithms)
        if not keys:
            raise _Failed(f"the issuer has no key for {', '.join(self._algorithms)}")
        return keys

    async def _jwks_url(self) -> str:
        if self._configured_url is not None:
            return self._configured_url
        if self._discovered_url is None:
            self._discovered_url = await self._discover()
        return self._discovered_url

    async def _discover(self) -> str:
        """Return where the keys are (OpenID Connect Discovery 1.0), or where Clerk has them without it."""
        base = self._issuer.rstrip("/")
        try:
            document = await self._get_json(f"{base}/.well-known/openid-configuration")
        except _NotThere:
            return f"{base}/.well-known/jwks.json"
        url = document.get("jwks_uri")
        if document.get("issuer") != self._issuer:
            raise _Failed("the issuer's configuration is that of another issuer")
        if not isinstance(url, str):
            raise _Failed("the issuer's configuration does not say where its keys are")
        try:
            check_endpoint(url)
        except ValueError as exc:
            raise _Failed(f"the issuer's keys are at an address that may not be fetched: {exc}") from exc
        return url

    async def _get_json(self, url: str) -> dict[str, Any]:
        if self._client is None:
            raise RuntimeError("SigningKeys is used outside of its `async with`")
        body = bytearray()
        # Not compressed, so that the limit holds for what is unpacked as well.
        headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
        async with self._client.stream("GET", url, headers=headers) as response:
            if response.status_code in _ABSENT:
                raise _NotThere(f"{url} answered with status {response.status_code}")
            if response.status_code != httpx.codes.OK:
                raise _Failed(f"{url} answered with status {response.status_code}")
            async for part in response.aiter_raw():
                body += part
                if len(body) > MAX_BYTES:
                    raise _Failed(f"{url} answered with more than {MAX_BYTES} bytes")
        try:
            document = json.loads(body)
        except (ValueError, RecursionError) as exc:
            raise _Failed(f"{url} did not answer with JSON") from exc
        if not isinstance(document, dict):
            raise _Failed(f"{url} did not answer with a JSON object")
        return document


class _NotThere(_Failed):
    """The issuer answers, and has nothing at the address."""


_ABSENT = frozenset({400, 401, 403, 404, 405, 410})
_UNAVAILABLE = "The identity provider does not answer, so the token cannot be checked. Try again in a moment."


def check_endpoint(url: str) -> None:
    """Raise ValueError unless url is https, or http to this very machine, and holds no password."""
    parts = urlsplit(url)
    if not parts.hostname or parts.scheme not in {"https", "http"}:
        raise ValueError("it must be an https URL")
    if parts.username is not None or parts.password is not None:
        raise ValueError("it must not hold a user name or password")
    if parts.scheme == "http" and not _is_loopback(parts.hostname):
        raise ValueError("it must be an https URL; http is for this machine alone")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def read_keys(document: Mapping[str, Any], algorithms: Iterable[str]) -> Keys:
    """Return the usable keys of a JSON Web Key Set (RFC 7517), each under every allowed algorithm it may serve."""
    keys: dict[tuple[str | None, str], PyJWK] = {}
    entries = document.get("keys")
    allowed = tuple(algorithms)
    for entry in entries if isinstance(entries, list) else []:
        if not isinstance(entry, dict) or not _is_for_signatures(entry):
            continue
        key_id = entry.get("kid")
        for algorithm in allowed:
            key = _read_key(entry, algorithm)
            if key is not None and (key_id is None or isinstance(key_id, str)):
                keys.setdefault((key_id, algorithm), key)
    return keys


def _is_for_signatures(entry: Mapping[str, Any]) -> bool:
    operations = entry.get("key_ops")
    if operations is not None and not (isinstance(operations, list) and "verify" in operations):
        return False
    return bool(entry.get("use", "sig") == "sig")


def _read_key(entry: Mapping[str, Any], algorithm: str) -> PyJWK | None:
    kind, curve = _KEY_TYPES[algorithm]
    if entry.get("kty") != kind or entry.get("alg", algorithm) != algorithm:
        return None
    if curve is not None and entry.get("crv") != curve:
        return None
    try:
        key = PyJWK({name: entry[name] for name in _PUBLIC_MEMBERS & entry.keys()}, algorithm)
        # Too short a key can be factored: it is as good as none.
        return None if key.Algorithm.check_key_length(key.key) else key
    except (PyJWTError, ValueError, TypeError, ArithmeticError):
        return None
