"""What a file is, whatever it is called."""

import io
import zipfile
from pathlib import Path

import pytest

from ingest.errors import CorruptFile, UnsupportedFormat
from ingest.parse import SUPPORTED_MEDIA_TYPES, ParsedDocument, parse, sniff_media_type
from ingest.parse.sniff import SNIFF_BYTES
from tests.ingest.parse.files import DOCX_TYPE, handbook, try_parse, word_document


def zip_with(*names: str) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as package:
        for name in names:
            package.writestr(name, "x")
    return stream.getvalue()


@pytest.mark.parametrize(
    ("head", "filename", "declared", "expected"),
    [
        (b"%PDF-1.7\n...", "a.txt", "text/plain", "application/pdf"),
        (b"\n\n%PDF-1.4", None, None, "application/pdf"),
        (b"<!DOCTYPE html><p>", "a.pdf", "application/pdf", "text/html"),
        (b"\xef\xbb\xbf"[:0] + b"  <HTML lang=en>", None, None, "text/html"),
        (b"<?xml version='1.0'?><!-- x --><html>", "page", None, "text/html"),
        (b"<html> in the first line", "notes.md", None, "text/markdown"),
        (b"# Title", "README.MD", "application/octet-stream", "text/markdown"),
        (b"# Title", None, "text/markdown; charset=utf-8", "text/markdown"),
        (b"# Title", None, "text/x-markdown", "text/markdown"),
        (b"a,b\n1,2", "a.csv", "application/vnd.ms-excel", "text/csv"),
        (b"a\tb", "a.tsv", None, "text/tab-separated-values"),
        (b"plain words", None, None, "text/plain"),
        (b"plain words", "README", "application/octet-stream", "text/plain"),
        (b"plain words", "a.log", None, "text/plain"),
        ("größe".encode("utf-16"), "a.txt", None, "text/plain"),
        ("plain words, and more".encode("utf-16-le"), "a.txt", None, "text/plain"),
        (b"", "a.txt", None, "text/plain"),
        (zip_with("[Content_Types].xml", "word/document.xml"), "a.zip", None, DOCX_TYPE),
        (zip_with("media/big.png"), "a.docx", None, DOCX_TYPE),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "a.docx", None, DOCX_TYPE),
        (b"not a pdf at all", "a.pdf", None, "application/pdf"),
    ],
)
def test_sniffing(head: bytes, filename: str | None, declared: str | None, expected: str) -> None:
    assert sniff_media_type(head, filename, declared) == expected


@pytest.mark.parametrize(
    ("head", "filename"),
    [
        (b"\x89PNG\r\n\x1a\n", "a.png"),
        (b"\x89PNG\r\n\x1a\n", "a.txt"),
        (b"{\\rtf1 text}", "a.rtf"),
        (zip_with("ppt/presentation.xml"), "a.pptx"),
        (zip_with("xl/workbook.xml"), "renamed.docx"),
        (zip_with("a.txt"), "a.zip"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "a.doc"),
        (bytes(range(256)), "a.bin"),
        (b"text\x00with\x00zeros and words", "a.txt"),
        (b"From: a@example.com", "a.eml"),
        (b"{}", "a.json"),
    ],
)
def test_what_is_not_supported_is_named_with_what_is(head: bytes, filename: str) -> None:
    with pytest.raises(UnsupportedFormat) as caught:
        sniff_media_type(head, filename, None)
    assert filename in caught.value.detail
    for extensions in SUPPORTED_MEDIA_TYPES.values():
        assert extensions[0] in caught.value.detail


def test_real_files_are_sniffed_and_read(tmp_path: Path) -> None:
    document = word_document()
    document.add_paragraph("Hello from Word.")
    document.save(str(tmp_path / "upload"))
    handbook().output(str(tmp_path / "other"))
    for name, words in (("upload", "Hello from Word."), ("other", "sixteen weeks")):
        path = tmp_path / name
        media_type = sniff_media_type(path.read_bytes()[:SNIFF_BYTES], None, None)
        assert words in parse(path, media_type, None).text


@pytest.mark.parametrize("media_type", SUPPORTED_MEDIA_TYPES)
def test_every_supported_type_has_a_parser(tmp_path: Path, media_type: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"words")
    outcome = try_parse(path, media_type)
    assert isinstance(outcome, CorruptFile) or (
        isinstance(outcome, ParsedDocument) and outcome.text == "words"
    )


def test_a_type_without_a_parser_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"words")
    with pytest.raises(UnsupportedFormat, match=r"image/png.*Supported"):
        parse(path, "image/png", None)
