"""Documents made for the tests, with the libraries that people make them with."""

import zipfile
from pathlib import Path

import docx
from docx.document import Document
from fpdf import FPDF

from ingest.errors import IngestError
from ingest.parse import Block, BlockKind, ParsedDocument, parse

DOCX_TYPE = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"


def blocks_of(parsed: ParsedDocument) -> list[tuple[str, str]]:
    """(kind, text) of every block; headings as h1 to h6."""
    return [(_name(block), parsed.text[block.char_start : block.char_end]) for block in parsed.blocks]


def _name(block: Block) -> str:
    return f"h{block.level}" if block.kind is BlockKind.HEADING else block.kind.value


def parse_bytes(folder: Path, data: bytes | str, media_type: str, name: str = "file") -> ParsedDocument:
    path = folder / name
    path.write_bytes(data.encode("utf-8") if isinstance(data, str) else data)
    return parse(path, media_type, name)


def try_parse(path: Path, media_type: str) -> ParsedDocument | IngestError:
    """Return the document or the reason there is none; anything else that is raised is a bug."""
    try:
        return parse(path, media_type, path.name)
    except IngestError as exc:
        return exc


def parse_word(folder: Path, document: Document) -> ParsedDocument:
    path = folder / "file.docx"
    document.save(str(path))
    return parse(path, DOCX_TYPE, path.name)


def parse_pdf(folder: Path, pdf: FPDF) -> ParsedDocument:
    path = folder / "file.pdf"
    pdf.output(str(path))
    return parse(path, "application/pdf", path.name)


def word_document() -> Document:
    return docx.Document()


def rewrite_part(path: Path, part: str, data: bytes) -> Path:
    """Copy a Word file with one part replaced."""
    changed = path.with_name("changed.docx")
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(changed, "w", zipfile.ZIP_DEFLATED) as target:
        for entry in source.infolist():
            target.writestr(entry.filename, data if entry.filename == part else source.read(entry))
    return changed


class Handbook(FPDF):
    """Pages with a running head and a page number, as printed manuals have."""

    def header(self) -> None:
        self.set_font("helvetica", size=8)
        self.cell(0, 8, "Acme Employee Handbook", new_x="LMARGIN", new_y="NEXT")

    def footer(self) -> None:
        self.set_y(-15)
        self.set_font("helvetica", size=8)
        self.cell(0, 8, f"Page {self.page_no()}", align="C")

    def heading(self, text: str, size: int) -> None:
        self.set_font("helvetica", style="B", size=size)
        self.multi_cell(0, size * 0.6, text, new_x="LMARGIN", new_y="NEXT")
        self.ln(2)

    def paragraph(self, text: str) -> None:
        self.set_font("times", size=11)
        self.multi_cell(0, 5, text, new_x="LMARGIN", new_y="NEXT")
        self.ln(4)


def handbook() -> Handbook:
    pdf = Handbook()
    pdf.add_page()
    pdf.heading("Handbook", 24)
    pdf.paragraph("Welcome to the company. This handbook says how we work together. " * 6)
    pdf.add_page()
    pdf.heading("Leave", 18)
    pdf.heading("Parental leave", 14)
    pdf.paragraph("Every parent may take sixteen weeks of parental leave at full pay. " * 5)
    pdf.paragraph("The second paragraph stands alone.")
    pdf.add_page()
    pdf.heading("Expenses", 18)
    pdf.paragraph("Travel is booked through the portal. " * 8)
    pdf.set_font("times", size=11)
    with pdf.table() as table:
        for row in (("City", "Limit"), ("Berlin", "140 EUR"), ("Lisbon", "95 EUR")):
            table.row(row)
    pdf.add_page()
    pdf.paragraph("The last page says only this.")
    return pdf
