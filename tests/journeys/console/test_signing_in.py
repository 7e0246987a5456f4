"""Signing in by the printed link or by hand, and being signed out."""

import contextlib

import httpx
import pytest
from playwright.sync_api import BrowserContext, expect
from playwright.sync_api import TimeoutError as TookTooLong

from db import api_keys
from db.callers import find_caller
from service.auth.keys import hash_key
from tests.journeys.console.browser import watch_requests
from tests.journeys.console.person import Person
from tests.running import Service

pytestmark = pytest.mark.browser


def test_printed_link_signs_in_and_leaves_the_address(context: BrowserContext, service: Service) -> None:
    page = context.new_page()
    addresses = watch_requests(page)
    page.goto(f"{service.url}/#key={service.key}")
    expect(page.get_by_role("button", name="Choose files")).to_be_visible()
    assert page.url == f"{service.url}/"
    assert page.evaluate("sessionStorage.getItem('docsearch.key')") == service.key
    assert service.key not in str(page.evaluate("Object.values(localStorage)"))
    assert not [address for address in addresses if service.key in address]
    page.reload()
    expect(page.get_by_role("button", name="Choose files")).to_be_visible()
    assert {httpx.URL(address).netloc for address in addresses} == {httpx.URL(service.url).netloc}


def test_signing_in_by_hand_and_out_again(context: BrowserContext, service: Service) -> None:
    page = context.new_page()
    page.goto(service.url)
    box = page.get_by_label("API key")
    button = page.get_by_role("button", name="Sign in")
    box.fill("two words")
    button.click()
    expect(page.get_by_role("alert")).to_contain_text("it begins with dsk_ and has no spaces")
    box.fill("dsk_" + "x" * 43)
    button.click()
    expect(page.get_by_role("alert")).to_contain_text("The server does not know this key")
    box.fill(service.key)
    button.click()
    expect(page.get_by_role("heading", name="Ask your documents")).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    expect(box).to_be_focused()
    assert page.evaluate("sessionStorage.length") == 0


def test_revoked_key_leads_to_the_sign_in_with_a_reason(person: Person) -> None:
    async def revoke() -> bool:
        hashed = hash_key(person.service.settings.signing_secret(), person.key)
        async with person.service.runtime.pool.acquire() as conn, conn.transaction():
            key = await find_caller(conn, hashed)
            assert key is not None
            return await api_keys.revoke_api_key(conn, user_id=key.user_id, key_id=key.key_id or "")

    person.service.call(revoke())
    # Or the page finds out by itself before, from what it listens to.
    with contextlib.suppress(TookTooLong):
        person.page.get_by_role("searchbox", name="Your question").fill("anything", timeout=2_000)
        person.page.keyboard.press("Enter")
    expect(person.page.get_by_role("alert").filter(has_text="no longer works")).to_be_visible()
    expect(person.page.get_by_label("API key")).to_be_focused()
    assert person.page.evaluate("sessionStorage.length") == 0
