"""Fetching by URL: what comes back, and that nothing private is ever asked."""

import ipaddress
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from ingest.errors import FetchFailed, FetchRefused
from ingest.fetch import Fetcher

LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"),)


class _Pages(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/page.html":
            self._answer(200, b"<p>Hello</p>", {"Content-Type": "text/html"})
        elif self.path == "/named":
            self._answer(
                200, b"%PDF-1.4", {"Content-Disposition": "attachment; filename*=UTF-8''r%C3%A9sum%C3%A9.pdf"}
            )
        elif self.path == "/moved":
            self._answer(302, b"", {"Location": "/page.html"})
        elif self.path == "/inside":
            self._answer(302, b"", {"Location": "http://169.254.169.254/latest/meta-data"})
        elif self.path == "/elsewhere":
            self._answer(302, b"", {"Location": "file:///etc/passwd"})
        elif self.path == "/loop":
            self._answer(302, b"", {"Location": "/loop"})
        elif self.path == "/busy":
            self._answer(503, b"", {})
        else:
            self._answer(404, b"", {})

    def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in (headers | {"Content-Length": str(len(body))}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def site() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Pages) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


async def read(fetcher: Fetcher, url: str) -> tuple[bytes, str | None, str | None]:
    async with fetcher.get(url) as reply:
        return b"".join([part async for part in reply.parts]), reply.filename, reply.declared


async def test_a_page_comes_with_its_name_and_type(site: str) -> None:
    fetcher = Fetcher(LOOPBACK)
    assert await read(fetcher, f"{site}/page.html") == (b"<p>Hello</p>", "page.html", "text/html")
    assert await read(fetcher, f"{site}/moved") == (b"<p>Hello</p>", "page.html", "text/html")
    assert (await read(fetcher, f"{site}/named"))[1] == "résumé.pdf"


@pytest.mark.parametrize(("path", "retryable"), [("/busy", True), ("/nothing", False), ("/loop", False)])
async def test_what_went_wrong_says_whether_to_try_again(site: str, path: str, retryable: bool) -> None:
    with pytest.raises(FetchFailed) as caught:
        await read(Fetcher(LOOPBACK), site + path)
    assert caught.value.retryable is retryable


async def test_nobody_listening_may_be_tried_again() -> None:
    with pytest.raises(FetchFailed) as caught:
        await read(Fetcher(LOOPBACK), "http://127.0.0.1:9/")
    assert caught.value.retryable


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/",
        "http://localhost:8000/",
        "http://[::1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://[64:ff9b::7f00:1]/",
        "http://[2002:7f00:1::]/",
        "http://10.0.0.1/",
        "http://172.16.0.1/",
        "http://192.168.0.1/",
        "http://169.254.169.254/latest/meta-data",
        "http://100.64.0.1/",
        "http://0.0.0.0/",
        "http://224.0.0.1/",
        "http://2130706433/",
        "http://0x7f.1/",
        "file:///etc/passwd",
        "ftp://example.com/",
        "gopher://127.0.0.1/",
        "http://user:password@example.com/",
        "http://",
        "http://example.com:0/",
        "javascript:alert(1)",
        "//example.com",
    ],
)
async def test_private_addresses_and_other_schemes_are_refused(url: str) -> None:
    with pytest.raises(FetchRefused):
        await read(Fetcher(), url)


@pytest.mark.parametrize("path", ["/inside", "/elsewhere"])
async def test_a_redirect_does_not_get_around_it(site: str, path: str) -> None:
    with pytest.raises(FetchRefused):
        await read(Fetcher(LOOPBACK), site + path)


async def test_an_allowed_network_is_only_itself(site: str) -> None:
    other = (ipaddress.ip_network("10.0.0.0/8"),)
    with pytest.raises(FetchRefused):
        await read(Fetcher(other), f"{site}/page.html")
