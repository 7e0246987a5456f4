"""Session tokens: what signs somebody in, and every way of forging, stretching or reusing one that must not."""

import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Any

import jwt
import pytest

from service.auth.errors import IdentityProviderUnavailable, TokenRefused
from service.auth.jwks import FRESH_S, MAX_BYTES, REFETCH_S, RETRY_S, STALE_S
from service.auth.oidc import MAX_TOKEN_LENGTH, TokenVerifier, is_token_shaped
from tests.fakes.identity_server import (
    CONFIGURATION,
    JWKS,
    FakeIssuer,
    Page,
    SigningKey,
    ec_key,
    fake_issuer,
    rsa_key,
)


class Clock:
    """Seconds that pass only when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def pass_s(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def issuer() -> Iterator[FakeIssuer]:
    with fake_issuer() as running:
        yield running


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def verifier(issuer: FakeIssuer, clock: Clock) -> AsyncIterator[TokenVerifier]:
    async with TokenVerifier(issuer.issuer, clock=clock) as opened:
        yield opened


async def refusal(verifier: TokenVerifier, token: str) -> str:
    with pytest.raises(TokenRefused) as caught:
        await verifier.verify(token)
    assert token not in str(caught.value)
    return str(caught.value)


def part(value: Mapping[str, Any] | bytes) -> str:
    content = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def hmac_signed(header: Mapping[str, Any], claims: Mapping[str, Any], secret: bytes) -> str:
    signed = f"{part(header)}.{part(claims)}"
    return f"{signed}.{part(hmac.digest(secret, signed.encode(), hashlib.sha256))}"


async def test_a_good_token_says_who_it_is(issuer: FakeIssuer, verifier: TokenVerifier) -> None:
    token = issuer.mint(
        "user_ann",
        email="Ann@Example.com",
        email_verified=True,
        given_name="Ann",
        family_name="Lee",
        preferred_username="ann",
        picture="https://img.example.com/ann.png",
        sid="sess_1",
    )
    identity = await verifier.verify(token)
    assert (identity.subject, identity.email, identity.email_verified) == (
        "user_ann",
        "ann@example.com",
        True,
    )
    assert (identity.first_name, identity.last_name, identity.username) == ("Ann", "Lee", "ann")
    assert (identity.image_url, identity.session_id) == ("https://img.example.com/ann.png", "sess_1")
    assert (identity.expires_at - identity.issued_at).total_seconds() == 60


@pytest.mark.parametrize("claim", [None, False, "true", 1])
async def test_an_address_is_verified_only_when_the_issuer_says_true(
    issuer: FakeIssuer, verifier: TokenVerifier, claim: object
) -> None:
    identity = await verifier.verify(issuer.mint(email="ann@example.com", email_verified=claim))
    assert identity.email == "ann@example.com"
    assert not identity.email_verified


@pytest.mark.parametrize(
    "value", ["no address", "a@b@c", "ann\n@example.com", 7, "a" * 250 + "@b.com", "", "a@users.invalid"]
)
async def test_what_is_no_address_is_none(issuer: FakeIssuer, verifier: TokenVerifier, value: object) -> None:
    identity = await verifier.verify(issuer.mint(email=value, email_verified=True))
    assert identity.email is None
    assert not identity.email_verified


async def test_names_that_cannot_be_stored_are_left_out(issuer: FakeIssuer, verifier: TokenVerifier) -> None:
    token = issuer.mint(given_name="A\x00", family_name=["Lee"], username=" ", picture="javascript:alert(1)")
    identity = await verifier.verify(token)
    assert (identity.first_name, identity.last_name, identity.username) == (None, None, None)
    assert identity.image_url is None


def shifted(**seconds: int) -> Callable[[FakeIssuer], str]:
    def mint(issuer: FakeIssuer) -> str:
        times: dict[str, Any] = {name: int(time.time()) + value for name, value in seconds.items()}
        return issuer.mint(**times)

    return mint


@pytest.mark.parametrize(
    ("mint", "why"),
    [
        pytest.param(shifted(exp=-11), "expired", id="expired"),
        pytest.param(shifted(nbf=60), "not valid yet", id="not yet valid"),
        pytest.param(shifted(iat=60), "not valid yet", id="issued in the future"),
        pytest.param(lambda i: i.mint(iss="https://evil.example.com"), "issuer is not", id="wrong issuer"),
        pytest.param(lambda i: i.mint(iss=i.issuer + "/"), "issuer is not", id="nearly the issuer"),
        pytest.param(lambda i: i.mint(iss=[i.issuer]), "issuer is not", id="a list of issuers"),
        pytest.param(lambda i: i.mint(exp=None), "claim exp", id="no expiry"),
        pytest.param(lambda i: i.mint(iat=None), "claim iat", id="no time of issue"),
        pytest.param(lambda i: i.mint("", iss=i.issuer), "subject", id="empty subject"),
        pytest.param(lambda i: i.mint("a\x00b"), "subject", id="subject with NUL"),
        pytest.param(lambda i: i.mint("s" * 256), "subject", id="long subject"),
        pytest.param(lambda i: i.mint("local-owner"), "subject", id="the local owner"),
        pytest.param(lambda i: i.mint(sts="pending"), "not complete", id="half signed in"),
        pytest.param(lambda i: i.mint(exp="soon"), "well-formed", id="expiry in words"),
        pytest.param(lambda i: i.mint(exp=10**30), "times", id="expiry beyond all dates"),
        pytest.param(lambda i: i.mint(headers={"typ": "logout+jwt"}), "kind", id="logout token"),
        pytest.param(lambda i: i.mint(headers={"crit": ["exp"]}), "well-formed", id="unknown extension"),
        pytest.param(
            lambda i: i.mint(headers={"crit": ["x"], "x": 1}), "well-formed", id="critical extension"
        ),
        pytest.param(lambda i: i.mint(headers={"b64": False}), "well-formed", id="detached payload"),
    ],
)
async def test_a_token_with_wrong_claims_or_header_is_refused(
    issuer: FakeIssuer, verifier: TokenVerifier, mint: Callable[[FakeIssuer], str], why: str
) -> None:
    assert why in await refusal(verifier, mint(issuer))


@pytest.mark.parametrize("claim", ["iss", "sub"])
async def test_a_token_without_issuer_or_subject_is_refused(
    issuer: FakeIssuer, verifier: TokenVerifier, claim: str
) -> None:
    claims = issuer.claims()
    del claims[claim]
    token = jwt.encode(claims, issuer.keys[0].private, "RS256", {"kid": "first"})
    assert f"claim {claim}" in await refusal(verifier, token)


async def test_clocks_may_differ_by_some_seconds(issuer: FakeIssuer, verifier: TokenVerifier) -> None:
    now = int(time.time())
    await verifier.verify(issuer.mint(exp=now - 5))
    await verifier.verify(issuer.mint(iat=now + 5, nbf=now + 5))


async def test_an_unsigned_token_is_refused(issuer: FakeIssuer, verifier: TokenVerifier) -> None:
    for algorithm in ("none", "None", "NONE", "nOnE"):
        token = f"{part({'alg': algorithm, 'kid': 'first', 'typ': 'JWT'})}.{part(issuer.claims())}."
        assert is_token_shaped(token)
        assert "algorithm" in await refusal(verifier, token)


@pytest.mark.parametrize("algorithms", [["RS256"], ["RS256", "ES256", "PS256"]])
async def test_the_public_key_is_not_a_secret(issuer: FakeIssuer, algorithms: list[str]) -> None:
    key = issuer.keys[0]
    async with TokenVerifier(issuer.issuer, algorithms=algorithms) as verifier:
        for secret in (key.public_pem, key.public_pem.strip(), json.dumps(key.jwk).encode()):
            token = hmac_signed({"alg": "HS256", "kid": key.kid, "typ": "JWT"}, issuer.claims(), secret)
            assert "algorithm" in await refusal(verifier, token)


async def test_a_key_serves_only_its_own_algorithm(issuer: FakeIssuer) -> None:
    issuer.keys = [rsa_key("first"), ec_key("curve")]
    rsa, curve = issuer.keys
    async with TokenVerifier(issuer.issuer, algorithms=["RS256", "ES256", "PS256"]) as verifier:
        await verifier.verify(issuer.mint(key=rsa))
        await verifier.verify(issuer.mint(key=curve))
        mixed = [
            SigningKey(curve.kid, "RS256", rsa.private),
            SigningKey(rsa.kid, "ES256", curve.private),
            SigningKey(rsa.kid, "PS256", rsa.private),
        ]
        for key in mixed:
            assert f"not one for {key.algorithm}" in await refusal(verifier, issuer.mint(key=key))
    assert issuer.fetches[JWKS] == 1


async def test_an_algorithm_that_is_not_allowed_is_refused(
    issuer: FakeIssuer, verifier: TokenVerifier
) -> None:
    issuer.keys.append(ec_key("curve"))
    assert "algorithm" in await refusal(verifier, issuer.mint())


@pytest.mark.parametrize("algorithm", ["HS256", "none", "ES256K", "RSA-OAEP", ""])
def test_only_asymmetric_signatures_can_be_allowed(algorithm: str) -> None:
    with pytest.raises(ValueError, match="there are"):
        TokenVerifier("https://issuer.example.com", algorithms=["RS256", algorithm])


async def test_a_key_that_the_token_brings_along_is_not_believed(
    issuer: FakeIssuer, verifier: TokenVerifier
) -> None:
    forger = rsa_key("forger")
    with fake_issuer() as evil:
        evil.keys = [forger]
        url = evil.issuer + JWKS
        brought: list[dict[str, Any]] = [
            {"jwk": forger.jwk},
            {"jku": url},
            {"x5u": url},
            {"x5c": [base64.b64encode(forger.public_pem).decode()]},
        ]
        for headers in brought:
            for key_id in ("first", "forger"):
                token = issuer.mint(key=forger, headers=headers | {"kid": key_id})
                assert await refusal(verifier, token)
        assert not evil.fetches


async def test_a_changed_payload_or_signature_is_refused(issuer: FakeIssuer, verifier: TokenVerifier) -> None:
    header, _, signature = issuer.mint("user_ann").split(".")
    assert "signature" in await refusal(verifier, f"{header}.{part(issuer.claims('user_bob'))}.{signature}")
    other = issuer.mint("user_bob").split(".")
    assert "signature" in await refusal(verifier, f"{other[0]}.{other[1]}.{signature}")
    assert "signature" in await refusal(verifier, f"{other[0]}.{other[1]}.")


async def test_another_key_under_a_known_name_is_refused(issuer: FakeIssuer, verifier: TokenVerifier) -> None:
    impostor = SigningKey("first", "RS256", rsa_key("forger").private)
    assert "signature" in await refusal(verifier, issuer.mint(key=impostor))


@pytest.mark.parametrize(
    "token",
    [
        "",
        "a.b",
        "a.b.c",
        "a.b.c.d",
        "eyJ.eyJ.é",
        "\ud800.a.b",
        f"{part(b'[]')}.{part(b'{}')}.x",
        f"{part({'alg': 'RS256', 'kid': 7})}.e30.x",
        f"{part({'alg': ['RS256']})}.e30.x",
        f"{part(b'[' * 5000)}.e30.x",
    ],
)
async def test_what_is_no_token_is_refused_without_asking_anybody(
    issuer: FakeIssuer, verifier: TokenVerifier, token: str
) -> None:
    with pytest.raises(TokenRefused):
        await verifier.verify(token)
    assert not issuer.fetches


async def test_a_signed_payload_that_is_no_object_is_refused(
    issuer: FakeIssuer, verifier: TokenVerifier
) -> None:
    key = issuer.keys[0]
    for payload in (b"[]", b"7", b"\xff", b"[" * 3000):
        token = jwt.PyJWS().encode(payload, key.private, "RS256", {"kid": key.kid})
        assert "well-formed" in await refusal(verifier, token)


async def test_a_token_beyond_all_measure_is_refused(issuer: FakeIssuer, verifier: TokenVerifier) -> None:
    token = issuer.mint(padding="x" * MAX_TOKEN_LENGTH)
    assert str(MAX_TOKEN_LENGTH) in await refusal(verifier, token)
    assert not issuer.fetches


async def test_the_audience_is_checked_where_one_is_configured(issuer: FakeIssuer) -> None:
    async with TokenVerifier(issuer.issuer, audience="docsearch") as verifier:
        await verifier.verify(issuer.mint(aud="docsearch"))
        await verifier.verify(issuer.mint(aud=["other", "docsearch"]))
        assert "audience" in await refusal(verifier, issuer.mint(aud="other"))
        assert "audience" in await refusal(verifier, issuer.mint(aud=["other"]))
        assert "audience" in await refusal(verifier, issuer.mint(aud={"docsearch": 1}))
        assert "claim aud" in await refusal(verifier, issuer.mint())


async def test_the_audience_does_not_matter_where_none_is_configured(
    issuer: FakeIssuer, verifier: TokenVerifier
) -> None:
    await verifier.verify(issuer.mint(aud="whatever", azp="https://any.example.com"))


async def test_the_authorised_party_is_checked_where_some_are_configured(issuer: FakeIssuer) -> None:
    parties = ["https://app.example.com", "https://admin.example.com"]
    async with TokenVerifier(issuer.issuer, authorized_parties=parties) as verifier:
        await verifier.verify(issuer.mint(azp="https://admin.example.com"))
        assert "another application" in await refusal(
            verifier, issuer.mint(azp="https://app.example.com.evil.io")
        )
        assert "another application" in await refusal(verifier, issuer.mint(azp=""))
        assert "azp" in await refusal(verifier, issuer.mint())


async def test_without_azp_a_checked_audience_is_enough(issuer: FakeIssuer) -> None:
    async with TokenVerifier(
        issuer.issuer, audience="docsearch", authorized_parties=["https://app.example.com"]
    ) as verifier:
        await verifier.verify(issuer.mint(aud="docsearch"))
        assert "another application" in await refusal(verifier, issuer.mint(aud="docsearch", azp="evil"))


async def test_a_new_key_is_known_at_its_first_token(issuer: FakeIssuer, verifier: TokenVerifier) -> None:
    old = issuer.mint()
    await verifier.verify(old)
    issuer.keys = [rsa_key("second")]
    await verifier.verify(issuer.mint())
    assert issuer.fetches[JWKS] == 2
    assert "does not publish" in await refusal(verifier, old)


async def test_unknown_keys_make_us_ask_once_in_a_while_only(
    issuer: FakeIssuer, verifier: TokenVerifier, clock: Clock
) -> None:
    await verifier.verify(issuer.mint())
    forged = [issuer.mint(key=rsa_key("forger"), headers={"kid": f"forged {i}"}) for i in range(3)]
    for token in forged:
        assert "does not publish" in await refusal(verifier, token)
    assert issuer.fetches[JWKS] == 2
    clock.pass_s(REFETCH_S)
    for token in forged:
        await refusal(verifier, token)
    assert issuer.fetches[JWKS] == 3


async def test_a_herd_of_unknown_keys_asks_once(issuer: FakeIssuer, verifier: TokenVerifier) -> None:
    await verifier.verify(issuer.mint())
    issuer.hold.clear()
    token = issuer.mint(key=rsa_key("forger"))
    herd = [asyncio.create_task(verifier.verify(token)) for _ in range(100)]
    await asyncio.to_thread(issuer.arrived.acquire)
    issuer.hold.set()
    results = await asyncio.gather(*herd, return_exceptions=True)
    assert all(isinstance(result, TokenRefused) for result in results)
    assert issuer.fetches[JWKS] == 2


async def test_a_herd_at_the_start_asks_once(issuer: FakeIssuer, verifier: TokenVerifier) -> None:
    token = issuer.mint()
    await asyncio.gather(*(verifier.verify(token) for _ in range(100)))
    assert issuer.fetches == {CONFIGURATION: 1, JWKS: 1}


async def test_one_who_leaves_does_not_take_the_answer_from_the_others(
    issuer: FakeIssuer, verifier: TokenVerifier
) -> None:
    issuer.hold.clear()
    token = issuer.mint()
    leaver, waiter = (asyncio.create_task(verifier.verify(token)) for _ in range(2))
    await asyncio.to_thread(issuer.arrived.acquire)
    leaver.cancel()
    await asyncio.wait([leaver])
    issuer.hold.set()
    assert (await waiter).subject == "user_ann"
    assert issuer.fetches[JWKS] == 1


async def test_known_keys_outlive_an_outage_of_the_issuer(
    issuer: FakeIssuer, verifier: TokenVerifier, clock: Clock
) -> None:
    token = issuer.mint()
    await verifier.verify(token)
    issuer.go_down()
    clock.pass_s(FRESH_S)
    await verifier.verify(token)
    clock.pass_s(STALE_S - FRESH_S)
    with pytest.raises(IdentityProviderUnavailable):
        await verifier.verify(token)
    issuer.come_back()
    clock.pass_s(RETRY_S)
    await verifier.verify(token)


async def test_keys_are_renewed_while_nobody_waits(
    issuer: FakeIssuer, verifier: TokenVerifier, clock: Clock
) -> None:
    token = issuer.mint()
    await verifier.verify(token)
    while issuer.arrived.acquire(blocking=False):
        pass
    issuer.hold.clear()
    clock.pass_s(FRESH_S)
    await verifier.verify(token)
    await asyncio.to_thread(issuer.arrived.acquire)
    assert issuer.fetches[JWKS] == 2
    issuer.hold.set()


async def test_an_unknown_key_during_an_outage_is_not_the_senders_fault(
    issuer: FakeIssuer, verifier: TokenVerifier
) -> None:
    await verifier.verify(issuer.mint())
    issuer.go_down()
    with pytest.raises(IdentityProviderUnavailable):
        await verifier.verify(issuer.mint(key=rsa_key("second")))


async def test_an_outage_is_not_hammered(issuer: FakeIssuer, verifier: TokenVerifier, clock: Clock) -> None:
    issuer.go_down()
    for _ in range(20):
        with pytest.raises(IdentityProviderUnavailable):
            await verifier.verify(issuer.mint())
    assert issuer.fetches == {CONFIGURATION: 1}
    issuer.come_back()
    clock.pass_s(RETRY_S)
    await verifier.verify(issuer.mint())


BROKEN = [
    pytest.param(Page(b"", 500), id="error"),
    pytest.param(Page(b"", 302, {"location": "/elsewhere"}), id="redirect"),
    pytest.param(Page(b"<html>"), id="not JSON"),
    pytest.param(Page(b"[]"), id="not an object"),
    pytest.param(Page(b"[" * 100_000), id="deeply nested"),
    pytest.param(Page(b" " * (MAX_BYTES + 1)), id="too large"),
    pytest.param(Page(b"{}", headers={"content-encoding": "gzip"}), id="compressed, or said to be"),
    pytest.param(Page(b'{"keys": 7}'), id="no list of keys"),
    pytest.param(Page(b'{"keys": []}'), id="no keys"),
]


@pytest.mark.parametrize("page", BROKEN)
async def test_a_key_set_that_cannot_be_read_is_an_outage(
    issuer: FakeIssuer, verifier: TokenVerifier, page: Page
) -> None:
    issuer.pages = {JWKS: page, "/elsewhere": Page(issuer.jwks())}
    with pytest.raises(IdentityProviderUnavailable):
        await verifier.verify(issuer.mint())
    assert "/elsewhere" not in issuer.fetches


async def test_a_broken_answer_does_not_replace_good_keys(
    issuer: FakeIssuer, verifier: TokenVerifier, clock: Clock
) -> None:
    await verifier.verify(issuer.mint())
    issuer.pages = {JWKS: Page(b'{"keys": []}')}
    with pytest.raises(IdentityProviderUnavailable):
        await verifier.verify(issuer.mint(key=rsa_key("forger")))
    await verifier.verify(issuer.mint())


async def test_keys_that_are_not_for_signatures_are_ignored(
    issuer: FakeIssuer, verifier: TokenVerifier
) -> None:
    unfit = rsa_key("unfit")
    short = rsa_key("short", 1024)
    issuer.pages = {
        JWKS: Page(
            issuer.jwks(
                unfit.jwk | {"use": "enc"},
                unfit.jwk | {"kid": "derive", "key_ops": ["deriveKey"]},
                unfit.jwk | {"kid": "ops", "key_ops": 7},
                unfit.jwk | {"kid": "number", "n": "!"},
                unfit.jwk | {"kid": ["list"]},
                short.jwk,
                {"kty": "oct", "k": "c2VjcmV0", "kid": "secret", "alg": "HS256"},
            )
        )
    }
    await verifier.verify(issuer.mint())
    for key_id in ("unfit", "derive", "ops", "number"):
        token = issuer.mint(key=unfit, headers={"kid": key_id})
        assert "does not publish" in await refusal(verifier, token)
    signed = f"{part({'alg': 'RS256', 'kid': 'short'})}.{part(issuer.claims())}"
    forged = f"{signed}.{part(b'x' * 128)}"
    assert "does not publish" in await refusal(verifier, forged)


async def test_a_token_that_names_no_key_is_checked_against_the_only_one(
    issuer: FakeIssuer, verifier: TokenVerifier, clock: Clock
) -> None:
    def unnamed() -> str:
        return jwt.encode(issuer.claims(), issuer.keys[0].private, "RS256")

    await verifier.verify(unnamed())
    issuer.keys.append(rsa_key("second"))
    await verifier.verify(issuer.mint())
    assert "which of its issuer's keys" in await refusal(verifier, unnamed())


async def test_an_issuer_without_discovery_has_its_keys_where_clerk_has_them(
    issuer: FakeIssuer, verifier: TokenVerifier
) -> None:
    issuer.pages = {CONFIGURATION: Page(b"", 404)}
    await verifier.verify(issuer.mint())


async def test_a_configured_address_needs_no_discovery(issuer: FakeIssuer) -> None:
    issuer.pages = {"/keys": Page(issuer.jwks())}
    async with TokenVerifier(issuer.issuer, jwks_url=issuer.issuer + "/keys") as verifier:
        await verifier.verify(issuer.mint())
    assert issuer.fetches == {"/keys": 1}


@pytest.mark.parametrize(
    "configuration",
    [
        {"issuer": "https://other.example.com", "jwks_uri": "{issuer}" + JWKS},
        {"issuer": "{issuer}"},
        {"issuer": "{issuer}", "jwks_uri": 7},
        {"issuer": "{issuer}", "jwks_uri": "http://keys.example.com/jwks.json"},
        {"issuer": "{issuer}", "jwks_uri": "file:///etc/passwd"},
        {"issuer": "{issuer}", "jwks_uri": "https://[::1"},
    ],
)
async def test_discovery_that_leads_elsewhere_is_not_followed(
    issuer: FakeIssuer, verifier: TokenVerifier, configuration: dict[str, Any]
) -> None:
    text = json.dumps(configuration).replace("{issuer}", issuer.issuer)
    issuer.pages = {CONFIGURATION: Page(text.encode())}
    with pytest.raises(IdentityProviderUnavailable):
        await verifier.verify(issuer.mint())
    assert JWKS not in issuer.fetches


@pytest.mark.parametrize(
    "url",
    [
        "http://issuer.example.com",
        "http://127.0.0.1.example.com",
        "https://user:password@issuer.example.com",
        "ftp://issuer.example.com",
        "issuer.example.com",
        "",
    ],
)
def test_keys_are_fetched_over_https_only(url: str) -> None:
    with pytest.raises(ValueError, match="it must"):
        TokenVerifier(url)


@pytest.mark.parametrize("url", ["https://a.example.com", "http://localhost:9", "http://[::1]:9"])
def test_a_server_on_this_machine_may_do_without_tls(url: str) -> None:
    TokenVerifier(url)


async def test_an_issuer_that_answers_slowly_is_given_up(
    issuer: FakeIssuer, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.auth.jwks.TIMEOUT_S", 0.05)
    issuer.hold.clear()
    async with TokenVerifier(issuer.issuer, clock=clock) as verifier:
        with pytest.raises(IdentityProviderUnavailable):
            await verifier.verify(issuer.mint())
    issuer.hold.set()


async def test_closing_ends_a_fetch_under_way(issuer: FakeIssuer, clock: Clock) -> None:
    async with TokenVerifier(issuer.issuer, clock=clock) as verifier:
        await verifier.verify(issuer.mint())
        issuer.hold.clear()
        clock.pass_s(FRESH_S)
        await verifier.verify(issuer.mint())
    issuer.hold.set()


@pytest.mark.parametrize("text", ["dsk_" + "a" * 43, "a.b", "a..c", "a b.c.d", "a.b.c=", ""])
def test_what_is_not_shaped_like_a_token(text: str) -> None:
    assert not is_token_shaped(text)
