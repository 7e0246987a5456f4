"""The page itself: themes, small screens, and counting characters."""

from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, expect

from tests.journeys.console.browser import open_context
from tests.running import Service

pytestmark = pytest.mark.browser


def test_theme_is_chosen_by_the_system_then_by_the_button(browser: Browser, service: Service) -> None:
    with open_context(browser, color_scheme="dark") as (context, troubles):
        page = context.new_page()
        page.goto(service.url)
        dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
        page.get_by_role("button", name="Switch between light and dark").click()
        light = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert light != dark
        page.reload()
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == light
    assert troubles == []


def test_phone_needs_no_sideways_scrolling(browser: Browser, service: Service) -> None:
    with open_context(browser, viewport={"width": 360, "height": 740}, is_mobile=True, has_touch=True) as (
        context,
        troubles,
    ):
        page = context.new_page()
        page.goto(f"{service.url}/#key={service.key}")
        expect(page.get_by_role("button", name="Choose files")).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") == 360
    assert troubles == []


OFFSETS: list[tuple[str, list[list[int]]]] = [
    ("plain", [[0, 5]]),
    ("a👑b👑c", [[1, 2], [3, 5]]),
    ("👩‍👩‍👧 family", [[0, 5], [6, 12]]),
    ("é combining 𝒳", [[0, 2], [13, 14]]),
    ("\ufeffbom counts", [[0, 1], [1, 4]]),
    ("\r\nlines\r\n", [[0, 2], [2, 7]]),
    ("المستند 📄 عربي", [[8, 9], [10, 14]]),
    ("touching", [[0, 3], [3, 5]]),
    ("past the end", [[5, 99]]),
]


@pytest.mark.parametrize(("text", "ranges"), OFFSETS, ids=[text.strip() for text, _ in OFFSETS])
def test_code_points_are_cut_as_python_cuts_them(
    context: BrowserContext, service: Service, text: str, ranges: list[list[int]]
) -> None:
    page = context.new_page()
    page.goto(service.url)
    marked: list[dict[str, Any]] = page.evaluate(
        """async ([text, ranges]) => {
            const { pieces, toUtf16Ranges } = await import("/console/text.js");
            return pieces(text, toUtf16Ranges(text, ranges));
        }""",
        [text, ranges],
    )
    assert "".join(piece["text"] for piece in marked) == text
    assert "".join(p["text"] for p in marked if p["marked"]) == "".join(text[a:b] for a, b in ranges)
