"""Connections to addresses that others name: what counts as public, and that only what was checked is connected to."""

import asyncio
import ipaddress
import socket
from collections import deque
from collections.abc import AsyncIterator, Callable

import httpcore
import pytest

from ingest.outbound import (
    AddressRefused,
    GuardedBackend,
    NameUnresolved,
    Network,
    check_url,
    is_allowed,
    literal_address,
    unwrap,
    wire_url,
)

LOOPBACK = ipaddress.ip_network("127.0.0.0/8")
PUBLIC = "198.41.0.4"

Answers = Callable[..., None]


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> Answers:
    """Say what the system's resolver answers for a name: each argument is one answer, the last one stays."""
    known: dict[str, deque[list[str]]] = {}

    def getaddrinfo(host: str, port: int, *_: object, **__: object) -> list[object]:
        answers = known[host]
        addresses = answers.popleft() if len(answers) > 1 else answers[0]
        if not addresses:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        family = {4: socket.AF_INET, 6: socket.AF_INET6}
        return [
            (family[ipaddress.ip_address(one).version], socket.SOCK_STREAM, 6, "", (one, port))
            for one in addresses
        ]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return lambda name, *answers: known.update({name: deque(answers)})


@pytest.fixture
async def port() -> AsyncIterator[int]:
    """The port of somebody who listens on 127.0.0.1."""
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()


async def connect(host: str, port: int = 80, *allowed: Network) -> None:
    stream = await GuardedBackend(allowed).connect_tcp(host, port, timeout=5)
    await stream.aclose()


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",
        "0.1.2.3",
        "10.0.0.1",
        "100.64.0.1",
        "127.0.0.1",
        "127.255.255.254",
        "169.254.169.254",
        "172.16.0.1",
        "192.0.0.1",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.0.1",
        "198.18.0.1",
        "203.0.113.1",
        "224.0.0.1",
        "239.255.255.250",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::7f00:1",  # IPv4-compatible
        "::808:808",
        "::ffff:10.0.0.1",  # IPv4-mapped
        "::ffff:0:7f00:1",  # SIIT
        "64:ff9b::7f00:1",  # NAT64
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::7f00:1",  # NAT64 of one's own network, RFC 8215
        "64:ff9b:1::808:808",
        "100::1",
        "2001:0:7f00:1::1",  # Teredo
        "2001:0:808:808:0:0:f7f7:f7f7",
        "2001:db8::1",
        "2002:7f00:1::",  # 6to4
        "2002:a00:1::1",
        "3fff::1",
        "5f00::1",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "fec0::1",
        "ff02::1",
        "ff0e::1",
    ],
)
def test_what_is_not_a_public_host_is_not_allowed(address: str) -> None:
    assert not is_allowed(ipaddress.ip_address(address), ())


@pytest.mark.parametrize(
    "address",
    ["8.8.8.8", PUBLIC, "192.0.0.9", "2606:4700::1", "2a00:1450::1", "::ffff:8.8.8.8", "64:ff9b::808:808"],
)
def test_public_hosts_are_allowed(address: str) -> None:
    assert is_allowed(ipaddress.ip_address(address), ())


def test_an_allowed_network_opens_itself_alone_however_it_is_written() -> None:
    allowed = (ipaddress.ip_network("10.1.0.0/16"), ipaddress.ip_network("fd00:1::/32"))
    for address in ("10.1.2.3", "::ffff:10.1.2.3", "fd00:1::5"):
        assert is_allowed(ipaddress.ip_address(address), allowed), address
    for address in ("10.2.0.1", "127.0.0.1", "fd00:2::5"):
        assert not is_allowed(ipaddress.ip_address(address), allowed), address


def test_carried_addresses_are_unwrapped() -> None:
    assert str(unwrap(ipaddress.ip_address("::ffff:10.0.0.1"))) == "10.0.0.1"
    assert str(unwrap(ipaddress.ip_address("2002:a00:1::"))) == "10.0.0.1"
    assert str(unwrap(ipaddress.ip_address("64:ff9b::a00:1"))) == "10.0.0.1"
    assert str(unwrap(ipaddress.ip_address("2606:4700::1"))) == "2606:4700::1"


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("2130706433", "127.0.0.1"),
        ("0x7f.1", "127.0.0.1"),
        ("0x7f000001", "127.0.0.1"),
        ("017700000001", "127.0.0.1"),
        ("0177.0.0.1", "127.0.0.1"),
        ("127.1", "127.0.0.1"),
        ("10.1", "10.0.0.1"),
        ("::1", "::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("example.com", None),
        ("localhost", None),
        ("1.example.com", None),
        ("256.1.1.1", None),
        ("①②⑦.0.0.1", None),
    ],
)
def test_a_literal_is_read_as_the_resolver_reads_it(host: str, address: str | None) -> None:
    assert literal_address(host) == (None if address is None else ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "0177.0.0.1", "127.1", "0", "::1", "::ffff:127.0.0.1"],
)
async def test_our_own_machine_is_refused_however_it_is_spelt(host: str, port: int) -> None:
    with pytest.raises(AddressRefused):
        await connect(host, port)


async def test_an_allowed_network_is_connected_to(port: int) -> None:
    await connect("127.0.0.1", port, LOOPBACK)


async def test_one_private_address_among_public_ones_refuses_the_name(resolver: Answers) -> None:
    for answer in ([PUBLIC, "10.0.0.1"], ["10.0.0.1", PUBLIC], ["2606:4700::1", "::1"]):
        resolver("mixed.example", answer)
        with pytest.raises(AddressRefused):
            await connect("mixed.example")


async def test_a_name_that_changes_its_mind_is_checked_each_time(resolver: Answers, port: int) -> None:
    resolver("rebound.example", ["127.0.0.1"], ["10.0.0.1"])
    await connect("rebound.example", port, LOOPBACK)
    with pytest.raises(AddressRefused):
        await connect("rebound.example", port, LOOPBACK)


async def test_the_connection_goes_to_the_address_that_was_checked(resolver: Answers, port: int) -> None:
    # A second look-up would find a forbidden address; there is none.
    resolver("once.example", ["127.0.0.1"], ["192.168.0.1"])
    stream = await GuardedBackend([LOOPBACK]).connect_tcp("once.example", port, timeout=5)
    assert stream.get_extra_info("server_addr") == ("127.0.0.1", port)
    await stream.aclose()


async def test_a_name_without_an_address_says_so(resolver: Answers) -> None:
    resolver("nowhere.example", [])
    with pytest.raises(NameUnresolved, match=r"nowhere\.example cannot be resolved"):
        await connect("nowhere.example")


async def test_a_resolver_that_does_not_answer_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(*_: object, **__: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", never)
    with pytest.raises(httpcore.ConnectTimeout):
        await GuardedBackend().connect_tcp("slow.example", 80, timeout=0.01)


async def test_unix_sockets_are_refused() -> None:
    with pytest.raises(AddressRefused):
        await GuardedBackend().connect_unix_socket("/run/docker.sock")


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com:0/",
        "http://example.com:65536/",
        "http://example.com:-1/",
        "http://example.com:port/",
        "https://user@example.com/",
        "https://:@example.com/",
        "https://user:password@example.com/",
        "http://[::1/",
        "http:///path",
        "unix:/run/docker.sock",
        "http+unix://%2Frun%2Fdocker.sock/",
        "file:///etc/passwd",
        "//example.com/",
        "example.com",
        "",
    ],
)
def test_anything_but_a_plain_url_is_refused(url: str) -> None:
    with pytest.raises(AddressRefused):
        check_url(url)


def test_any_port_of_a_public_host_may_be_named() -> None:
    assert check_url("http://example.com:22/").port == 22
    assert check_url("https://example.com:65535/").port == 65535


def test_a_url_goes_over_the_wire_in_ascii() -> None:
    assert (
        wire_url("https://bücher.example/größe?q=ü")
        == "https://xn--bcher-kva.example/gr%C3%B6%C3%9Fe?q=%C3%BC"
    )
    with pytest.raises(AddressRefused):
        wire_url("http://１２７.0.0.1/")
