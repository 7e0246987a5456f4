"""Word documents: order, headings, lists, tables, and text in places that are easily missed."""

import re
import zipfile
from pathlib import Path

import docx
import pytest
from docx.enum.style import WD_STYLE_TYPE
from docx.oxml import OxmlElement, parse_xml
from docx.oxml.ns import nsdecls, qn

from ingest.parse import parse
from tests.ingest.parse.files import DOCX_TYPE, blocks_of, parse_word, rewrite_part, word_document

BODY_START = re.compile(rb"<w:body>")


def test_structure_in_document_order(tmp_path: Path) -> None:
    document = word_document()
    document.core_properties.title = "Staff handbook"
    document.core_properties.author = "Ann"
    document.sections[0].header.paragraphs[0].text = "CONFIDENTIAL"
    document.add_heading("Handbook", 0)
    document.add_heading("Leave", 1)
    document.add_paragraph("Everybody rests.")
    table = document.add_table(rows=2, cols=2)
    for cell, text in zip(
        [cell for row in table.rows for cell in row.cells], ["Kind", "Weeks", "Parental", "16"], strict=True
    ):
        cell.text = text
    document.add_heading("Sick leave", 2)
    document.add_paragraph("Call in", style="List Bullet")
    document.add_paragraph("Rest", style="List Number")
    paragraph = document.add_paragraph("Line one")
    paragraph.add_run().add_break()
    paragraph.add_run("line two").bold = True
    parsed = parse_word(tmp_path, document)
    assert blocks_of(parsed) == [
        ("h1", "Handbook"),
        ("h1", "Leave"),
        ("paragraph", "Everybody rests."),
        ("table_row", "Kind | Weeks"),
        ("table_row", "Parental | 16"),
        ("h2", "Sick leave"),
        ("list_item", "- Call in"),
        ("list_item", "- Rest"),
        ("paragraph", "Line one\nline two"),
    ]
    assert (parsed.title, parsed.metadata["author"]) == ("Staff handbook", "Ann")


def test_headings_of_other_names_by_outline_level_and_base_style(tmp_path: Path) -> None:
    document = word_document()
    own = document.styles.add_style("Kapitel", WD_STYLE_TYPE.PARAGRAPH)
    own.base_style = document.styles["Heading 3"]
    document.add_paragraph("By base style", style="Kapitel")
    direct = document.add_paragraph("By outline level")
    level = OxmlElement("w:outlineLvl")
    level.set(qn("w:val"), "1")
    direct._p.get_or_add_pPr().append(level)
    assert blocks_of(parse_word(tmp_path, document)) == [("h3", "By base style"), ("h2", "By outline level")]


def test_insertions_links_and_controls_are_read_and_deletions_are_not(tmp_path: Path) -> None:
    document = word_document()
    document.element.body.insert(
        0,
        parse_xml(
            f"<w:p {nsdecls('w', 'r')}><w:r><w:t>kept </w:t></w:r>"
            "<w:ins w:id='1'><w:r><w:t>inserted </w:t></w:r></w:ins>"
            "<w:del w:id='2'><w:r><w:delText>deleted</w:delText></w:r></w:del>"
            "<w:hyperlink r:id='none'><w:r><w:t>linked </w:t></w:r></w:hyperlink>"
            "<w:r><w:instrText>PAGE</w:instrText></w:r><w:r><w:noBreakHyphen/></w:r></w:p>"
        ),
    )
    document.element.body.insert(
        1,
        parse_xml(
            f"<w:sdt {nsdecls('w')}><w:sdtContent><w:p><w:r><w:t>in a control</w:t></w:r></w:p></w:sdtContent></w:sdt>"
        ),
    )
    assert parse_word(tmp_path, document).text == "kept inserted linked -\n\nin a control"


def test_a_text_box_is_read_once_after_its_paragraph(tmp_path: Path) -> None:
    document = word_document()
    box = "<w:txbxContent><w:p><w:r><w:t>in the box</w:t></w:r></w:p></w:txbxContent>"
    document.element.body.insert(
        0,
        parse_xml(
            f"<w:p {nsdecls('w')} xmlns:mc='http://schemas.openxmlformats.org/markup-compatibility/2006' "
            "xmlns:v='urn:schemas-microsoft-com:vml'><w:r><w:t>around</w:t></w:r><w:r><mc:AlternateContent>"
            f"<mc:Choice Requires='wps'><w:drawing>{box}</w:drawing></mc:Choice>"
            f"<mc:Fallback><w:pict><v:textbox>{box}</v:textbox></w:pict></mc:Fallback>"
            "</mc:AlternateContent></w:r></w:p>"
        ),
    )
    assert parse_word(tmp_path, document).text == "around\n\nin the box"


def test_a_table_of_one_column_is_a_frame_and_a_nested_one_is_part_of_its_cell(tmp_path: Path) -> None:
    document = word_document()
    frame = document.add_table(rows=1, cols=1).cell(0, 0)
    frame.text = "Framed"
    frame.add_paragraph("text")
    outer = document.add_table(rows=1, cols=2)
    outer.cell(0, 0).text = "left"
    inner = outer.cell(0, 1).add_table(rows=1, cols=2)
    inner.cell(0, 0).text, inner.cell(0, 1).text = "a", "b"
    assert blocks_of(parse_word(tmp_path, document)) == [
        ("paragraph", "Framed"),
        ("paragraph", "text"),
        ("table_row", "left | a b"),
    ]


def test_footnotes_come_at_the_end(tmp_path: Path) -> None:
    document = word_document()
    document.add_paragraph("Body.")
    path = tmp_path / "file.docx"
    document.save(str(path))
    relation = (
        '<Relationship Id="rIdN" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/footnotes"'
        ' Target="footnotes.xml"/></Relationships>'
    )
    with zipfile.ZipFile(path) as package:
        relations = (
            package.read("word/_rels/document.xml.rels").decode().replace("</Relationships>", relation)
        )
    changed = rewrite_part(path, "word/_rels/document.xml.rels", relations.encode())
    with zipfile.ZipFile(changed, "a") as package:
        package.writestr(
            "word/footnotes.xml",
            f"<w:footnotes {nsdecls('w')}><w:footnote w:type='separator' w:id='0'><w:p/></w:footnote>"
            "<w:footnote w:id='1'><w:p><w:r><w:t>The note.</w:t></w:r></w:p></w:footnote></w:footnotes>",
        )
    assert parse(changed, DOCX_TYPE, None).text == "Body.\n\nThe note."


def test_strict_open_xml_is_read(tmp_path: Path) -> None:
    document = word_document()
    document.add_heading("Strict", 1)
    path = tmp_path / "file.docx"
    document.save(str(path))
    with zipfile.ZipFile(path) as package:
        body = package.read("word/document.xml")
    strict = body.replace(qn("w:p")[1:-2].encode(), b"http://purl.oclc.org/ooxml/wordprocessingml/main")
    assert strict != body
    assert blocks_of(parse(rewrite_part(path, "word/document.xml", strict), DOCX_TYPE, None)) == [
        ("h1", "Strict")
    ]


@pytest.mark.parametrize("depth", [5_000])
def test_deep_nesting_is_refused_without_a_crash(tmp_path: Path, depth: int) -> None:
    path = tmp_path / "file.docx"
    docx.Document().save(str(path))
    with zipfile.ZipFile(path) as package:
        body = package.read("word/document.xml")
    nested = BODY_START.sub(
        b"<w:body>" + b"<w:sdt><w:sdtContent>" * depth + b"<w:p/>" + b"</w:sdtContent></w:sdt>" * depth, body
    )
    with pytest.raises(Exception, match=r"damaged|no text") as caught:
        parse(rewrite_part(path, "word/document.xml", nested), DOCX_TYPE, None)
    assert type(caught.value).__name__ in {"CorruptFile", "NoText"}
