"""Session tokens of an OpenID Connect issuer, such as Clerk: JWTs, verified against the keys that it publishes.

What a token says about how to verify it is believed only as far as it chooses among what we allow: the algorithm
from our list, the key from the issuer's set, each key for its own algorithms (RFC 8725).
"""

import re
import time
from collections.abc import Callable, Sequence
from typing import Any

import jwt
from jwt import exceptions

from service.auth.errors import TokenRefused
from service.auth.identity import Identity, read_identity
from service.auth.jwks import ALGORITHMS, SigningKeys

LEEWAY_S = 10
"""How far the issuer's clock may differ from ours."""
MAX_TOKEN_LENGTH = 8 * 1024

_SHAPE = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*")
# Other things that issuers sign with the same keys, such as logout tokens, name their kind (RFC 8725, 3.11).
_TYPES = frozenset({"jwt", "at+jwt", "application/jwt", "application/at+jwt"})
_REQUIRED = ["exp", "iat", "iss", "sub"]


class TokenVerifier:
    """Verifies the tokens of one issuer. Opened once a process, with `async with`."""

    def __init__(
        self,
        issuer: str,
        *,
        audience: str | None = None,
        authorized_parties: Sequence[str] = (),
        algorithms: Sequence[str] = ("RS256",),
        jwks_url: str | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """issuer is compared to the letter. Raises ValueError for what cannot be used safely.

        A token must be for audience where one is given. Where authorized_parties are given, `azp` must be one of
        them, and may be absent only when the audience has been checked: else nothing ties the token to us.
        """
        if refused := sorted(set(algorithms) - ALGORITHMS):
            raise ValueError(f"{', '.join(refused)}: there are {', '.join(sorted(ALGORITHMS))}")
        if not algorithms:
            raise ValueError("no algorithm is allowed")
        self._issuer = issuer
        self._audience = audience
        self._authorized_parties = frozenset(authorized_parties)
        self._algorithms = frozenset(algorithms)
        self._keys = SigningKeys(issuer, algorithms=algorithms, jwks_url=jwks_url, clock=clock)

    async def __aenter__(self) -> "TokenVerifier":
        await self._keys.__aenter__()
        return self

    async def __aexit__(self, *details: object) -> None:
        await self._keys.__aexit__(*details)

    async def verify(self, token: str) -> Identity:
        """Return whom the token is for. Raises TokenRefused, IdentityProviderUnavailable."""
        if len(token) > MAX_TOKEN_LENGTH:
            raise TokenRefused(f"The token is longer than {MAX_TOKEN_LENGTH} characters.")
        if not is_token_shaped(token):
            raise TokenRefused(_MALFORMED)
        key_id, algorithm = self._read_header(token)
        key = await self._keys.find(key_id, algorithm)
        claims = self._verify(token, key, algorithm)
        self._check_authorized_party(claims)
        if claims.get("sts") == "pending":
            # Clerk's: somebody is known, but has not done all that the application demands before they are let in.
            raise TokenRefused("The session is not complete yet: finish signing in.")
        return read_identity(claims)

    def _read_header(self, token: str) -> tuple[str | None, str]:
        """Return key id and algorithm. Keys that the header brings along (jwk, jku, x5c, x5u) are not looked at."""
        try:
            header = jwt.get_unverified_header(token)
        except exceptions.PyJWTError as exc:
            raise TokenRefused(_MALFORMED) from exc
        kind = header.get("typ", "JWT")
        if not isinstance(kind, str) or kind.lower() not in _TYPES:
            raise TokenRefused("The token is of a kind that does not sign anybody in.")
        algorithm = header.get("alg")
        if not isinstance(algorithm, str) or algorithm not in self._algorithms:
            raise TokenRefused(
                f"The token is not signed with an algorithm that is allowed here: "
                f"{', '.join(sorted(self._algorithms))}."
            )
        return header.get("kid"), algorithm

    def _verify(self, token: str, key: jwt.PyJWK, algorithm: str) -> dict[str, Any]:
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=[algorithm],
                issuer=self._issuer,
                audience=self._audience,
                leeway=LEEWAY_S,
                options={
                    "require": _REQUIRED,
                    "verify_aud": self._audience is not None,
                    "enforce_minimum_key_length": True,
                },
            )
        except exceptions.PyJWTError as exc:
            raise TokenRefused(self._explain(exc)) from exc
        return claims

    def _explain(self, exc: exceptions.PyJWTError) -> str:
        match exc:
            case exceptions.ExpiredSignatureError():
                return "The token has expired: sign in again."
            case exceptions.ImmatureSignatureError():
                return "The token is not valid yet: the clocks of its issuer and this service differ."
            case exceptions.InvalidIssuerError():
                return f"The token's issuer is not {self._issuer}."
            case exceptions.InvalidAudienceError():
                return "The token is for another audience."
            case exceptions.MissingRequiredClaimError():
                return f"The token lacks the claim {exc.claim}."
            case exceptions.InvalidSignatureError():
                return "The token's signature is wrong."
            case _:
                return _MALFORMED

    def _check_authorized_party(self, claims: dict[str, Any]) -> None:
        if not self._authorized_parties:
            return
        party = claims.get("azp")
        if party is None and self._audience is not None:
            return
        if party is None:
            raise TokenRefused("The token does not say which application it was made for (azp).")
        if party not in self._authorized_parties:
            raise TokenRefused("The token was made for another application.")


_MALFORMED = "The token is not a well-formed JWT."


def is_token_shaped(text: str) -> bool:
    """Say whether text looks like a JWT: three parts of base64url, of which a forger may leave the last empty."""
    return _SHAPE.fullmatch(text) is not None
