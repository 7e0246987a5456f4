"""Somebody in front of the console, as its tests drive it."""

import uuid
from dataclasses import dataclass
from pathlib import Path

import httpx
from playwright.sync_api import BrowserContext, FilePayload, Locator, Page, expect

from tests.running import Service

MAX_UPLOAD_BYTES = 300_000
# Characters beyond U+FFFF before and inside the passage: an offset taken for UTF-16 would be off.
BEES = (
    "# Bees 🐝🐝🐝\n\n"
    "Our apiary notes, kept since 2019. 🌼🌼\n\n"
    "## Swarming\n\n"
    "A colony swarms when the old queen 👑 leaves with half of the workers. Add a second brood box in May "
    "to give them room.\n\n"
    "## Winter\n\n"
    "Feed sugar syrup until the end of September, and do not open the hive below ten degrees.\n"
)


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody with documents of their own, in front of the page."""

    page: Page
    service: Service
    key: str

    def api(self) -> httpx.Client:
        return self.service.client(self.key)

    def upload(self, *files: FilePayload | Path) -> None:
        self.page.locator("#files").set_input_files(list(files))  # type: ignore[arg-type]

    def document(self, title: str) -> Locator:
        return self.page.get_by_role("list", name="Documents").get_by_role("listitem").filter(has_text=title)

    def expect_status(self, title: str, status: str) -> None:
        expect(self.document(title)).to_have_attribute("data-status", status)

    def ask(self, question: str, *, mode: str = "Hybrid") -> None:
        self.page.get_by_role("radio", name=mode).check()
        self.page.get_by_role("searchbox", name="Your question").fill(question)
        self.page.keyboard.press("Enter")

    def hits(self) -> Locator:
        return self.page.get_by_role("list", name="Passages, best first").get_by_role("listitem")


def text_file(name: str, content: str) -> FilePayload:
    return {"name": name, "mimeType": "text/plain", "buffer": content.encode()}


def sign_in(context: BrowserContext, service: Service) -> Person:
    """Open the printed link of a new person, who has no documents yet."""
    key = service.new_user(f"{uuid.uuid4().hex}@example.test")
    page = context.new_page()
    page.goto(f"{service.url}/#key={key}")
    expect(page.get_by_role("heading", name="Ask your documents")).to_be_visible()
    return Person(page, service, key)
