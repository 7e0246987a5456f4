"""The console's files: what is served, under which policy, and that the page can live under it."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from litestar import Litestar
from litestar.testing import TestClient, create_test_client
from selectolax.lexbor import LexborHTMLParser

import service.console
from service.console.routes import console_routes

STATIC = Path(service.console.__file__).parent / "static"
FILES = sorted(path.name for path in STATIC.iterdir())
SCRIPTS = [name for name in FILES if name.endswith(".js")]


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient[Litestar]]:
    with create_test_client(console_routes) as opened:
        yield opened


@pytest.fixture(scope="module")
def page() -> LexborHTMLParser:
    return LexborHTMLParser((STATIC / "index.html").read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", ["/", "/console/console.js", "/console/base.css", "/console/icon.svg"])
def test_every_reply_carries_the_policy(client: TestClient[Litestar], path: str) -> None:
    reply = client.get(path)
    directives = [part.partition(" ") for part in reply.headers["content-security-policy"].split("; ")]
    policy = {name: value for name, _, value in directives}
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["frame-ancestors"] == policy["base-uri"] == policy["form-action"] == "'none'"
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert reply.headers["x-frame-options"] == "DENY"
    assert reply.headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize("name", FILES)
def test_every_file_is_served_as_what_it_is(client: TestClient[Litestar], name: str) -> None:
    reply = client.get(f"/console/{name}")
    expected = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
    assert reply.status_code == 200
    assert reply.content == (STATIC / name).read_bytes()
    assert reply.headers["content-type"].partition(";")[0] == expected[Path(name).suffix]


def test_start_page_is_html_in_utf_8(client: TestClient[Litestar]) -> None:
    reply = client.get("/")
    assert reply.headers["content-type"] == "text/html; charset=utf-8"
    assert "<title>docsearch</title>" in reply.text


@pytest.mark.parametrize("shape", ["{0}", "W/{0}", '"other", {0}', "*"])
def test_known_etag_is_answered_without_a_body(client: TestClient[Litestar], shape: str) -> None:
    first = client.get("/console/console.js")
    again = client.get("/console/console.js", headers={"If-None-Match": shape.format(first.headers["etag"])})
    assert again.status_code == 304
    assert again.content == b""
    assert again.headers["etag"] == first.headers["etag"]
    assert again.headers["cache-control"] == "no-cache"


def test_other_etag_gets_the_file(client: TestClient[Litestar]) -> None:
    reply = client.get("/console/console.js", headers={"If-None-Match": '"other"'})
    assert reply.status_code == 200
    assert reply.content


@pytest.mark.parametrize("name", ["absent.js", "routes.py", "..%2froutes.py", "%2e%2e%2f__init__.py"])
def test_nothing_else_is_served(client: TestClient[Litestar], name: str) -> None:
    assert client.get(f"/console/{name}").status_code == 404


def test_page_names_only_files_that_are_served(page: LexborHTMLParser) -> None:
    links = [node.attributes.get("href") for node in page.css("link")]
    sources = [node.attributes.get("src") for node in page.css("script, img")]
    named = [link for link in (*links, *sources) if link]
    assert len(named) >= 6
    assert {link.removeprefix("/console/") for link in named} <= set(FILES)


def test_page_has_nothing_that_its_policy_would_block(page: LexborHTMLParser) -> None:
    assert not page.css("style, [style], base, iframe, object, embed")
    assert all(node.attributes.get("src") and not node.text(strip=True) for node in page.css("script"))
    every_attribute = {name for node in page.css("*") for name in node.attributes}
    assert not {name for name in every_attribute if name.startswith("on")}


def test_every_field_of_the_page_has_a_name(page: LexborHTMLParser) -> None:
    labelled = {node.attributes.get("for") for node in page.css("label[for]")}
    for field in page.css("input"):
        parent = field.parent
        wrapped = parent is not None and parent.tag == "label"
        assert wrapped or field.attributes.get("aria-label") or field.attributes.get("id") in labelled, (
            field.html
        )
    for button in page.css("button"):
        assert button.text(strip=True) or button.attributes.get("id") == "", button.html


@pytest.mark.parametrize("name", SCRIPTS)
def test_scripts_never_turn_a_string_into_markup_or_code(name: str) -> None:
    code = (STATIC / name).read_text(encoding="utf-8")
    forbidden = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|DOMParser|https?://(?!www\.w3\.org)"
    assert re.findall(forbidden, code) == []


@pytest.mark.parametrize("name", SCRIPTS)
def test_scripts_name_only_modules_and_elements_that_exist(name: str, page: LexborHTMLParser) -> None:
    code = (STATIC / name).read_text(encoding="utf-8")
    ids = {node.attributes["id"] for node in page.css("[id]")}
    assert set(re.findall(r'from "\./([^"]+)"', code)) <= set(FILES)
    assert set(re.findall(r'byId\("([^"]+)"\)', code)) <= ids
