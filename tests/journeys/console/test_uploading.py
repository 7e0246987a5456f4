"""Files on their way in: dropped, chosen, refused, failed, waited for."""

from pathlib import Path

import pytest
from playwright.sync_api import Route, expect

from db import ingestions
from tests.journeys.console.person import MAX_UPLOAD_BYTES, Person, text_file

pytestmark = pytest.mark.browser


def test_dropped_files_are_uploaded(person: Person) -> None:
    transfer = person.page.evaluate_handle(
        """() => {
            const transfer = new DataTransfer();
            transfer.items.add(new File(["Tulips want sun."], "tulips.txt"));
            transfer.items.add(new File(["Ferns want shade."], "ferns.txt"));
            return transfer;
        }"""
    )
    person.page.dispatch_event("body", "dragenter", {"dataTransfer": transfer})
    expect(person.page.get_by_text("Drop to upload")).to_be_visible()
    person.page.dispatch_event("body", "drop", {"dataTransfer": transfer})
    expect(person.page.get_by_text("Drop to upload")).to_be_hidden()
    person.expect_status("tulips", "ready")
    person.expect_status("ferns", "ready")


def test_folder_is_uploaded_without_its_hidden_files(person: Person, tmp_path: Path) -> None:
    (tmp_path / "trees" / "conifers").mkdir(parents=True)
    (tmp_path / "trees" / "oak.txt").write_text("Oaks grow slowly.")
    (tmp_path / "trees" / "conifers" / "larch.txt").write_text("Larches lose their needles.")
    (tmp_path / "trees" / ".DS_Store").write_text("no document")
    person.page.locator("#folder").set_input_files(tmp_path / "trees")
    person.expect_status("oak", "ready")
    person.expect_status("larch", "ready")
    expect(person.page.locator(".document")).to_have_count(2)


def test_failure_says_the_stage_the_reason_and_what_to_do(person: Person) -> None:
    person.upload({"name": "torn.pdf", "mimeType": "application/pdf", "buffer": b"%PDF-1.7\ntorn off here"})
    person.expect_status("torn", "failed")
    row = person.document("torn")
    expect(row).to_contain_text("Failed at the stage “parse”")
    expect(row).to_contain_text("upload the new file")
    expect(row.get_by_role("button", name="Retry")).to_have_count(0)
    row.get_by_role("button", name="Delete").click()
    person.page.get_by_role("button", name="Delete", exact=True).click()
    expect(row).to_have_count(0)


def test_document_that_failed_by_bad_luck_is_tried_again(waiting_person: Person) -> None:
    async def give_up(document_id: str) -> None:
        async with waiting_person.service.runtime.pool.acquire() as conn, conn.transaction():
            await ingestions.abandon(conn, document_id)

    waiting_person.upload(text_file("unlucky.txt", "Nothing wrong with me."))
    waiting_person.expect_status("unlucky", "queued")
    row = waiting_person.document("unlucky")
    waiting_person.service.call(give_up(row.get_attribute("data-id") or ""))
    waiting_person.expect_status("unlucky", "failed")
    expect(row).to_contain_text("Something went wrong on our side")
    row.get_by_role("button", name="Retry").click()
    waiting_person.expect_status("unlucky", "queued")
    expect(row).to_contain_text("Waiting for a worker")


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"x" * (MAX_UPLOAD_BYTES + 1000), "The file is too large."), (b"", "The file is empty.")],
    ids=["too large", "empty"],
)
def test_refused_upload_says_why_and_can_be_removed(person: Person, content: bytes, message: str) -> None:
    person.upload({"name": "refused.txt", "mimeType": "text/plain", "buffer": content})
    row = person.document("refused")
    expect(row).to_contain_text(message)
    row.get_by_role("button", name="Remove").click()
    expect(row).to_have_count(0)


def test_busy_server_is_waited_for(person: Person) -> None:
    answers: list[int] = []

    def refuse_once(route: Route) -> None:
        if route.request.method == "POST" and not answers:
            answers.append(429)
            route.fulfill(status=429, headers={"Retry-After": "1"}, body='{"detail": "Slow down."}')
        else:
            route.continue_()

    person.page.route("**/v1/documents", refuse_once)
    person.upload(text_file("patience.txt", "Patience is rewarded."))
    person.expect_status("patience", "ready")
    assert answers == [429]


def test_broken_upload_can_be_tried_again(person: Person) -> None:
    person.page.route("**/v1/documents", lambda route: route.abort(), times=1)
    person.upload(text_file("again.txt", "Once more."))
    row = person.document("again")
    expect(row).to_contain_text("The server does not answer.")
    row.get_by_role("button", name="Retry").click()
    person.expect_status("again", "ready")
    expect(person.page.locator(".document")).to_have_count(1)


def test_documents_become_ready_without_an_event_stream(person: Person) -> None:
    person.page.route("**/events", lambda route: route.abort())
    person.upload(*(text_file(f"polled-{n}.txt", f"Number {n} was polled.") for n in range(4)))
    for n in range(4):
        person.expect_status(f"polled-{n}", "ready")


def test_deleting_asks_first_and_takes_it_out_of_search(person: Person) -> None:
    page = person.page
    person.upload(text_file("secret.txt", "The treasure lies under the old pear tree."))
    person.expect_status("secret", "ready")
    person.ask("Where is the treasure?", mode="Lexical")
    expect(person.hits()).to_have_count(1)
    delete = person.document("secret").get_by_role("button", name="Delete")
    delete.click()
    dialog = page.get_by_role("dialog", name="Delete “secret")
    expect(dialog.get_by_role("button", name="Keep it")).to_be_focused()
    page.keyboard.press("Escape")
    person.expect_status("secret", "ready")
    delete.click()
    dialog.get_by_role("button", name="Delete").click()
    expect(person.document("secret")).to_have_count(0)
    person.ask("Where is the treasure?", mode="Lexical")
    expect(page.get_by_text("No passage was found.")).to_be_visible()
