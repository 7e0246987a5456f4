"""PDFs: the right words on the right page, in paragraphs and under headings."""

import itertools
from pathlib import Path

import pytest
from fpdf import FPDF
from pypdf import PdfReader, PdfWriter

from ingest.chunk import chunk_document
from ingest.errors import EncryptedFile, NoText
from ingest.parse import ParsedDocument, parse
from tests.ingest.parse.files import Handbook, blocks_of, handbook, parse_pdf
from tests.ingest.tokenizers import WORDPIECE


def page_texts(parsed: ParsedDocument) -> list[str]:
    ends = [*parsed.page_starts[1:], len(parsed.text)]
    return [parsed.text[start:end] for start, end in zip(parsed.page_starts, ends, strict=True)]


def test_sentences_are_on_their_pages(tmp_path: Path) -> None:
    pages = page_texts(parse_pdf(tmp_path, handbook()))
    assert len(pages) == 4
    assert "This handbook says how we work together." in pages[0]
    assert "sixteen weeks of parental leave" in pages[1]
    assert "Travel is booked through the portal." in pages[2]
    assert pages[3].strip() == "The last page says only this."


def test_headings_by_type_size(tmp_path: Path) -> None:
    parsed = parse_pdf(tmp_path, handbook())
    headings = [block for block in blocks_of(parsed) if block[0].startswith("h")]
    assert headings[:4] == [("h1", "Handbook"), ("h2", "Leave"), ("h3", "Parental leave"), ("h2", "Expenses")]
    assert parsed.title == "Handbook"


def test_running_heads_and_page_numbers_go(tmp_path: Path) -> None:
    text = parse_pdf(tmp_path, handbook()).text
    assert "Acme Employee Handbook" not in text
    assert "Page 1" not in text


def test_wrapped_lines_are_one_paragraph(tmp_path: Path) -> None:
    paragraphs = [text for kind, text in blocks_of(parse_pdf(tmp_path, handbook())) if kind == "paragraph"]
    assert ("Every parent may take sixteen weeks of parental leave at full pay. " * 5).strip() in paragraphs
    assert "The second paragraph stands alone." in paragraphs


def test_table_rows_are_lines_of_their_own(tmp_path: Path) -> None:
    rows = [
        " ".join(text.split())
        for kind, text in blocks_of(parse_pdf(tmp_path, handbook()))
        if kind == "table_row"
    ]
    assert "Berlin 140 EUR" in rows
    assert "Lisbon 95 EUR" in rows


def test_chunks_cite_the_page_and_the_headings(tmp_path: Path) -> None:
    parsed = parse_pdf(tmp_path, handbook())
    chunks = chunk_document(parsed, title=parsed.title, tokenizer=WORDPIECE.load(), window_tokens=254)
    (found,) = [chunk for chunk in chunks if "sixteen weeks" in chunk.text]
    assert (found.page_start, found.page_end) == (2, 2)
    assert found.headings == ("Handbook", "Leave", "Parental leave")


def test_divided_words_are_joined_and_compounds_keep_their_hyphen(tmp_path: Path) -> None:
    pdf = FPDF()
    pdf.add_page()
    pdf.set_font("times", size=11)
    for line in (
        "The well-known committee met in the old town hall and dis-",
        "cussed the budget of the coming year at length with the well-",
        "known chairman, who had an x-",
        "ray of the plan. Everything was then written down by hand.",
    ):
        pdf.cell(0, 5, line, new_x="LMARGIN", new_y="NEXT")
    text = parse_pdf(tmp_path, pdf).text
    assert "hall and discussed the budget" in text
    assert "the well-known chairman" in text
    assert "an x-ray of" in text


def test_a_sentence_that_runs_over_a_page_stays_one_and_the_page_is_exact(tmp_path: Path) -> None:
    pdf = FPDF()
    pdf.set_font("times", size=11)
    for line in ("The report was finished late and then", "sent to everybody on the following day."):
        pdf.add_page()
        pdf.cell(0, 5, line)
    parsed = parse_pdf(tmp_path, pdf)
    assert blocks_of(parsed) == [
        ("paragraph", "The report was finished late and then sent to everybody on the following day.")
    ]
    assert parsed.text[parsed.page_starts[1] :].startswith("sent to everybody")


def test_empty_pages_count(tmp_path: Path) -> None:
    pdf = FPDF()
    pdf.set_font("times", size=11)
    for text in ("", "second", "", "fourth", ""):
        pdf.add_page()
        if text:
            pdf.cell(0, 5, text)
    parsed = parse_pdf(tmp_path, pdf)
    assert len(parsed.page_starts) == 5
    assert all(before <= after for before, after in itertools.pairwise(parsed.page_starts))
    chunks = chunk_document(parsed, title=None, tokenizer=WORDPIECE.load(), window_tokens=254)
    assert (chunks[0].page_start, chunks[-1].page_end) == (2, 4)


def test_repeated_numbers_that_do_not_count_pages_are_kept(tmp_path: Path) -> None:
    pdf = FPDF()
    pdf.set_font("times", size=11)
    for value in (700, 300, 900, 100):
        pdf.add_page()
        pdf.cell(0, 5, "A page of its own, with words.", new_x="LMARGIN", new_y="NEXT")
        pdf.cell(0, 5, f"Line {chr(64 + value // 100)} differs", new_x="LMARGIN", new_y="NEXT")
        pdf.cell(0, 5, str(value))
    text = parse_pdf(tmp_path, pdf).text
    assert all(str(value) in text for value in (700, 300, 900, 100))


def test_a_title_from_the_metadata_unless_a_program_wrote_it(tmp_path: Path) -> None:
    pdf = handbook()
    pdf.set_title("Rules for everyone")
    assert parse_pdf(tmp_path, pdf).title == "Rules for everyone"
    pdf = handbook()
    pdf.set_title("Microsoft Word - draft_v3.docx")
    assert parse_pdf(tmp_path, pdf).title == "Handbook"


def test_images_without_text_need_ocr(tmp_path: Path) -> None:
    pdf = FPDF()
    pdf.add_page()
    pdf.rect(10, 10, 50, 50, style="F")
    with pytest.raises(NoText, match="OCR"):
        parse_pdf(tmp_path, pdf)


def encrypted(folder: Path, *, user_password: str) -> Path:
    plain, locked = folder / "plain.pdf", folder / "locked.pdf"
    handbook().output(str(plain))
    writer = PdfWriter(clone_from=PdfReader(plain))
    writer.encrypt(user_password, owner_password="owner", algorithm="AES-256")
    with locked.open("wb") as stream:
        writer.write(stream)
    return locked


def test_a_password_is_asked_for_in_words(tmp_path: Path) -> None:
    with pytest.raises(EncryptedFile, match="password"):
        parse(encrypted(tmp_path, user_password="secret"), "application/pdf", "locked.pdf")


def test_a_pdf_locked_against_printing_only_is_read(tmp_path: Path) -> None:
    parsed = parse(encrypted(tmp_path, user_password=""), "application/pdf", "locked.pdf")
    assert "sixteen weeks" in parsed.text


def test_ligatures_are_letters(tmp_path: Path) -> None:
    pdf = Handbook()
    pdf.add_page()
    pdf.paragraph("An office file of the first floor.")
    assert "office file" in parse_pdf(tmp_path, pdf).text
