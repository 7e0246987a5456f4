"""What an operator is told about a refusal."""

from datetime import UTC, datetime

import pytest

from service.providers.refusals import Endpoint, retry_after_s

KEY = "sk-verysecret"
ENDPOINT = Endpoint("OpenAI", "http://127.0.0.1:1/v1", "some-model", "OPENAI_API_KEY", secret=KEY)
NOW = datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("status", "words", "expected", "retryable", "too_large"),
    [
        (
            401,
            f"Incorrect API key provided: {KEY}",
            "The key in OPENAI_API_KEY was refused by OpenAI",
            False,
            False,
        ),
        (403, "not allowed", "may not use some-model", False, False),
        (404, "", "no model some-model at http://127.0.0.1:1/v1: check EMBEDDING_MODEL", False, False),
        (408, "", "failed with status 408", True, False),
        (413, "", "status 413", False, True),
        (400, "This model's maximum context length is 8192 tokens", "status 400", False, True),
        (400, "unknown parameter", "unknown parameter", False, False),
        (429, "slow down", "limiting the rate", True, False),
        (
            429,
            "You exceeded your quota insufficient_quota",
            "quota of the key in OPENAI_API_KEY",
            False,
            False,
        ),
        (500, "oops", "failed with status 500: oops", True, False),
        (503, "", "failed with status 503.", True, False),
    ],
)
def test_each_status_has_its_sentence(status, words, expected, retryable, too_large):
    failure = ENDPOINT.refused(status, words, {})
    assert expected in failure.detail
    assert (failure.retryable, failure.too_large) == (retryable, too_large)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 429, 500])
def test_the_key_is_never_repeated(status):
    failure = ENDPOINT.refused(status, f"what is {KEY} supposed to be?", {})
    assert KEY not in failure.detail
    assert KEY not in repr(ENDPOINT)


def test_a_password_in_the_address_is_not_repeated():
    endpoint = Endpoint("It", "http://someone:hunter2@127.0.0.1:1/v1", "some-model", "EMBEDDING_API_KEY")
    for failure in (endpoint.unreachable(), endpoint.refused(404, "", {})):
        assert "http://127.0.0.1:1/v1" in failure.detail
        assert "hunter2" not in failure.detail
    assert "hunter2" not in repr(endpoint)


def test_a_long_explanation_is_cut():
    assert len(ENDPOINT.refused(500, "x" * 10_000, {}).detail) < 400


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({"Retry-After": "7"}, 7.0),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after": "20", "retry-after-ms": "250"}, 0.25),
        ({"retry-after": "Mon, 04 May 2026 03:02:31 GMT"}, 30.0),
        ({"retry-after": "Mon, 04 May 2026 03:00:00 GMT"}, 0.0),
        ({"retry-after": "soon"}, None),
    ],
)
def test_retry_after_is_read_in_all_its_forms(headers, expected):
    assert retry_after_s(headers, NOW) == expected
