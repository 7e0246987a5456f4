"""Build administration.pdf from source/administration.txt: `python -m service.handbook.build_pdf`.

The result is committed, so that serving needs no PDF writer. The same text gives the same bytes: the date is
fixed, the streams are not compressed (zlib's output differs between versions), and only core fonts are used.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path

from fpdf import FPDF
from fpdf.enums import XPos, YPos
from fpdf.fonts import FontFace

_FOLDER = Path(__file__).parent
SOURCE = _FOLDER / "source" / "administration.txt"
TARGET = _FOLDER / "administration.pdf"

_TITLE = "Administration guide"
_DATE = datetime(2025, 1, 1, tzinfo=UTC)
_HEADING_SIZES_PT = {1: 17, 2: 12.5}
_BODY_SIZE_PT = 10.5
_TABLE_SIZE_PT = 8.8
_LINE_MM = 5.4
_INK = (30, 34, 44)
_ACCENT = (58, 74, 188)


class _Guide(FPDF):
    def header(self) -> None:
        if self.page_no() == 1:
            return
        self.set_font("helvetica", size=8.5)
        self.set_text_color(120)
        self.cell(0, 6, f"docsearch - {_TITLE}", new_x=XPos.LMARGIN, new_y=YPos.NEXT)
        self.ln(4)

    def footer(self) -> None:
        self.set_y(-16)
        self.set_font("helvetica", size=8.5)
        self.set_text_color(120)
        self.cell(0, 6, str(self.page_no()), align="C")


def build(source: str) -> bytes:
    """Return the PDF of a text of headings (#, ##), paragraphs, tables (|) and page breaks (\\page)."""
    pdf = _new_guide()
    _write_cover_line(pdf)
    for is_table, lines in groupby(_lines(source), key=lambda line: line.startswith("|")):
        if is_table:
            _write_table(pdf, [_cells(line) for line in lines])
        else:
            for line in lines:
                _write_line(pdf, line)
    return bytes(pdf.output())


def _new_guide() -> _Guide:
    pdf = _Guide(format="A4")
    pdf.set_compression(False)
    pdf.set_creation_date(_DATE)
    pdf.set_producer("docsearch")
    pdf.set_title(_TITLE)
    pdf.set_lang("en")
    pdf.set_margins(22, 20, 22)
    pdf.set_auto_page_break(auto=True, margin=24)
    pdf.add_page()
    return pdf


def _lines(source: str) -> list[str]:
    return [line.strip() for line in source.split("\n") if line.strip()]


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def _write_cover_line(pdf: _Guide) -> None:
    pdf.set_text_color(*_ACCENT)
    pdf.set_font("helvetica", style="B", size=24)
    pdf.cell(0, 14, _TITLE, new_x=XPos.LMARGIN, new_y=YPos.NEXT)
    pdf.set_text_color(110)
    pdf.set_font("helvetica", size=_BODY_SIZE_PT)
    pdf.cell(0, 6, "For whoever keeps docsearch running", new_x=XPos.LMARGIN, new_y=YPos.NEXT)


def _write_line(pdf: _Guide, line: str) -> None:
    if line == "\\page":
        pdf.add_page()
    elif line.startswith("#"):
        marks, _, text = line.partition(" ")
        _write_heading(pdf, text, level=len(marks))
    else:
        _write_paragraph(pdf, line)


def _write_heading(pdf: _Guide, text: str, *, level: int) -> None:
    pdf.ln(5 if level == 1 else 3)
    pdf.start_section(text, level=level - 1)
    pdf.set_text_color(*_INK)
    pdf.set_font("helvetica", style="B", size=_HEADING_SIZES_PT[level])
    pdf.multi_cell(0, 8, text, new_x=XPos.LMARGIN, new_y=YPos.NEXT)
    pdf.ln(1)


def _write_paragraph(pdf: _Guide, text: str) -> None:
    pdf.set_text_color(*_INK)
    pdf.set_font("helvetica", size=_BODY_SIZE_PT)
    pdf.multi_cell(0, _LINE_MM, text, align="L", new_x=XPos.LMARGIN, new_y=YPos.NEXT)
    pdf.ln(2.6)


def _write_table(pdf: _Guide, rows: Sequence[Sequence[str]]) -> None:
    pdf.set_text_color(*_INK)
    pdf.set_font("helvetica", size=_TABLE_SIZE_PT)
    heading = FontFace(emphasis="BOLD", fill_color=(236, 238, 246))
    with pdf.table(
        headings_style=heading,
        line_height=_LINE_MM,
        text_align="LEFT",
        padding=0.6,
        col_widths=[_column_share(pdf, column) for column in zip(*rows, strict=True)],
    ) as table:
        for row in rows:
            table.row(row)
    pdf.ln(3)


def _column_share(pdf: _Guide, cells: Sequence[str]) -> float:
    # The heading row is bold, and a cell has padding.
    return 6 + max(pdf.get_string_width(cell) for cell in cells)


def main() -> None:
    TARGET.write_bytes(build(SOURCE.read_text(encoding="utf-8")))


if __name__ == "__main__":
    main()
