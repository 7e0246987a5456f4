"""A real browser for the console's tests: Debian's chromium, driven over a pipe, with nothing to phone home about."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Dialog, Page, expect, sync_playwright

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
# The machine that runs the tests may be busy embedding: wait for what must come, fail on what does not.
_TIMEOUT_MS = 30_000


@contextmanager
def open_browser() -> Iterator[Browser]:
    """Start the system's chromium; the test is skipped where there is none."""
    path = next((found for name in _NAMES if (found := shutil.which(name))), None)
    if path is None:
        pytest.skip(f"needs a browser: none of {', '.join(_NAMES)} is installed")
    expect.set_options(timeout=_TIMEOUT_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=_ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def open_context(browser: Browser, **options: Any) -> Iterator[tuple[BrowserContext, list[str]]]:
    """Open a window of its own; the list fills with what must never happen: script errors, blocked content."""
    defaults: dict[str, Any] = {"viewport": {"width": 1280, "height": 800}, "accept_downloads": True}
    context = browser.new_context(**(defaults | options))
    context.set_default_timeout(_TIMEOUT_MS)
    troubles: list[str] = []

    def refuse_dialog(dialog: Dialog) -> None:
        troubles.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    context.on("weberror", lambda error: troubles.append(str(error.error)))
    context.on("console", lambda m: troubles.append(m.text) if "Content Security Policy" in m.text else None)
    context.on("dialog", refuse_dialog)
    try:
        yield context, troubles
    finally:
        context.close()


def watch_requests(page: Page) -> list[str]:
    """Return the addresses of all requests that the page makes from here on."""
    addresses: list[str] = []
    page.on("request", lambda request: addresses.append(request.url))
    return addresses
