"""Addresses of endpoints, as they are checked when somebody gives one."""

import ipaddress

import pytest

from service.errors import Problem
from service.webhooks.endpoints import checked_url

OFFICE = (ipaddress.ip_network("10.1.0.0/16"),)


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/hook",
        "https://example.com:8443/a?b=c",
        "https://8.8.8.8/",
        "https://bücher.example/",
    ],
)
def test_public_addresses_over_tls_are_taken(url: str) -> None:
    assert checked_url(url, ()) == url
    assert checked_url(url, OFFICE) == url


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/",
        "http://8.8.8.8/",
        "https://127.0.0.1/",
        "https://10.1.2.3/",
        "https://169.254.169.254/",
        "https://2130706433/",
        "https://0x7f.1/",
        "https://[::1]/",
        "https://[::ffff:10.0.0.1]/",
        "https://[64:ff9b:1::a00:1]/",
        "https://user:password@example.com/",
        "https://example.com:0/",
        "ftp://example.com/",
        "example.com",
        "https://exa mple.com/",
        "https://example.com/\x00",
        "https://example.com/\ud800",
    ],
)
def test_the_rest_is_refused_with_a_sentence(url: str) -> None:
    with pytest.raises(Problem) as caught:
        checked_url(url, ())
    assert caught.value.status_code == 422
    assert caught.value.detail.startswith("url: ")


def test_an_allowed_network_may_be_reached_without_tls() -> None:
    for url in ("http://10.1.2.3:9000/", "https://10.1.2.3/", "http://receiver.internal/"):
        assert checked_url(url, OFFICE) == url
    for url in ("http://8.8.8.8/", "http://10.2.0.1/", "https://10.2.0.1/"):
        with pytest.raises(Problem):
            checked_url(url, OFFICE)
