"""Asking, and opening what was found in its place."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import expect

from service.handbook import handbook_files
from tests.journeys.console.person import BEES, Person, text_file

pytestmark = pytest.mark.browser


def test_file_becomes_ready_and_its_passage_opens_in_place(person: Person) -> None:
    page = person.page
    expect(page.get_by_text("Nothing here yet.")).to_be_visible()
    person.upload(text_file("bees.md", BEES))
    person.expect_status("Bees", "ready")
    expect(person.document("Bees")).to_contain_text("passage")
    person.ask("When do bees leave with the queen?")
    first = person.hits().first
    expect(first).to_contain_text("Bees")
    expect(first.locator("mark").first).to_be_visible()
    expect(first.locator(".score")).to_have_text(re.compile(r"[01]\.\d\d$"))
    expect(page.get_by_role("status").filter(has_text="embed")).to_contain_text("retrieve")
    first.get_by_role("button").click()
    reader = page.get_by_role("dialog", name="Bees")
    passage = reader.locator("mark.passage")
    expect(passage).to_be_in_viewport()
    with person.api() as api:
        hit = api.post("/v1/search", json={"query": "When do bees leave with the queen?"}).json()["hits"][0]
        text = api.get(f"/v1/documents/{hit['document_id']}/text").content.decode()
    assert (
        passage.evaluate("node => node.textContent")
        == hit["text"]
        == text[hit["char_start"] : hit["char_end"]]
    )
    assert reader.locator("#reader-text").evaluate("node => node.textContent") == text
    marked = passage.locator("strong").evaluate_all("nodes => nodes.map((node) => node.textContent)")
    assert marked == [hit["text"][start:end] for start, end in hit["highlights"]]


def test_pages_of_a_pdf_are_shown(person: Person) -> None:
    pdf = next(path for path in handbook_files() if path.suffix == ".pdf")
    person.upload(pdf)
    person.expect_status("Administration", "ready")
    expect(person.document("Administration")).to_contain_text("4 pages")
    person.ask("How many workflows does the PRO plan allow?")
    expect(person.hits().first.locator(".hit-place")).to_contain_text(re.compile(r"Page 4|Pages 3–4"))
    person.hits().first.get_by_role("button").click()
    expect(person.page.locator("#reader-place")).to_contain_text(re.compile(r"Page 4|Pages 3–4"))
    # The marks come with the chunks, which are asked for when the text is there.
    expect(person.page.locator(".page-mark").nth(2)).to_be_attached()
    labels = person.page.locator(".page-mark").evaluate_all(
        "nodes => nodes.map((node) => node.dataset.label)"
    )
    assert labels[0] in {"Page 1", "Pages 1–2"}
    assert len(labels) >= 3


def test_mode_switch_asks_again_and_stays_in_the_address(person: Person) -> None:
    page = person.page
    person.upload(text_file("bees.md", BEES))
    person.expect_status("Bees", "ready")
    person.ask("sugar syrup")
    expect(person.hits().first).to_contain_text("syrup")
    page.get_by_role("radio", name="Lexical").check()
    expect(person.hits().first.locator(".score-bar.semantic .value")).to_have_text("–")
    assert page.url.endswith("#q=sugar+syrup&mode=lexical")
    page.reload()
    expect(person.hits().first).to_contain_text("syrup")
    expect(page.get_by_role("radio", name="Lexical")).to_be_checked()


def test_everything_works_from_the_keyboard(person: Person) -> None:
    page = person.page
    person.upload(text_file("bees.md", BEES))
    person.expect_status("Bees", "ready")
    page.get_by_role("button", name="Choose files").focus()
    page.keyboard.press("/")
    expect(page.get_by_role("searchbox")).to_be_focused()
    page.keyboard.type("brood box")
    page.keyboard.press("Enter")
    title = person.hits().first.get_by_role("button")
    title.focus()
    page.keyboard.press("Enter")
    reader = page.get_by_role("dialog", name="Bees")
    expect(reader).to_be_visible()
    page.keyboard.press("Escape")
    expect(reader).to_be_hidden()
    expect(title).to_be_focused()


def test_lost_server_is_told_and_found_again(person: Person) -> None:
    person.page.context.set_offline(True)
    person.ask("anything")
    expect(person.page.get_by_role("alert").filter(has_text="The server does not answer.")).to_be_visible()
    person.page.context.set_offline(False)
    person.page.get_by_role("button", name="Search again").click()
    expect(person.page.get_by_text("No passage was found.")).to_be_visible()


def test_uploaded_html_is_saved_and_never_runs(person: Person) -> None:
    evil = (
        b"<!doctype html><title>Page</title><script>alert('ran')</script><p>Harmless words about otters.</p>"
    )
    name = "<img src=x onerror=alert(1)>.html"
    person.upload({"name": name, "mimeType": "text/html", "buffer": evil})
    row = person.page.locator(".document")
    expect(row).to_have_attribute("data-status", "ready")
    row.locator(".document-name").click()
    with person.page.expect_download() as download:
        person.page.get_by_role("button", name="Download original").click()
    assert Path(download.value.path()).read_bytes() == evil
    assert person.page.url == f"{person.service.url}/"
    assert len(person.page.context.pages) == 1
