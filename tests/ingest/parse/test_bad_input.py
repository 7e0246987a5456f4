"""Files that are broken, or made to break their reader: a sentence for the uploader, never a crash."""

import random
import zipfile
from pathlib import Path

import pytest

from ingest.errors import CorruptFile, EncryptedFile, NoText, ParserLimit, UnsupportedFormat
from ingest.parse import SUPPORTED_MEDIA_TYPES, ParsedDocument, docx_package, parse
from tests.ingest.parse.files import (
    DOCX_TYPE,
    handbook,
    parse_bytes,
    rewrite_part,
    try_parse,
    word_document,
)

PDF_TYPE = "application/pdf"


@pytest.fixture
def word_file(tmp_path: Path) -> Path:
    document = word_document()
    document.add_heading("Title", 1)
    document.add_paragraph("Some text.")
    document.save(str(tmp_path / "good.docx"))
    return tmp_path / "good.docx"


@pytest.fixture
def pdf_file(tmp_path: Path) -> Path:
    handbook().output(str(tmp_path / "good.pdf"))
    return tmp_path / "good.pdf"


@pytest.mark.parametrize("media_type", SUPPORTED_MEDIA_TYPES)
def test_an_empty_file_is_no_text(tmp_path: Path, media_type: str) -> None:
    with pytest.raises(NoText, match="empty"):
        parse_bytes(tmp_path, b"", media_type)


@pytest.mark.parametrize("media_type", [PDF_TYPE, DOCX_TYPE])
@pytest.mark.parametrize("data", [b"just words", b"%PDF-1.7\n", b"PK\x03\x04", b"\x00" * 2000])
def test_what_is_not_the_format_is_corrupt(tmp_path: Path, media_type: str, data: bytes) -> None:
    with pytest.raises(CorruptFile) as caught:
        parse_bytes(tmp_path, data, media_type)
    assert caught.value.detail.endswith(".")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
def test_a_file_that_was_cut_off(pdf_file: Path, word_file: Path, share: float) -> None:
    for path, media_type in ((pdf_file, PDF_TYPE), (word_file, DOCX_TYPE)):
        whole = path.read_bytes()
        path.write_bytes(whole[: int(len(whole) * share)])
        outcome = try_parse(path, media_type)
        assert isinstance(outcome, ParsedDocument | CorruptFile | NoText)


def test_flipped_bytes_never_escape_as_another_error(pdf_file: Path, word_file: Path, tmp_path: Path) -> None:
    dice = random.Random(7)
    for path, media_type in ((pdf_file, PDF_TYPE), (word_file, DOCX_TYPE)):
        whole = path.read_bytes()
        for _ in range(25):
            data = bytearray(whole)
            for _ in range(dice.choice([1, 5, 50])):
                data[dice.randrange(len(data))] = dice.randrange(256)
            broken = tmp_path / "broken"
            broken.write_bytes(data)
            outcome = try_parse(broken, media_type)
            assert outcome.text if isinstance(outcome, ParsedDocument) else outcome.detail.endswith(".")


def test_a_zip_bomb_is_not_unpacked(word_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(docx_package, "MAX_PART_BYTES", 1_000_000)
    bomb = rewrite_part(word_file, "word/document.xml", b"<w:document>" + b" " * 20_000_000)
    assert bomb.stat().st_size < 100_000
    with pytest.raises(ParserLimit, match="unpacks to more"):
        parse(bomb, DOCX_TYPE, None)


def test_a_billion_laughs_are_not_laughed(word_file: Path) -> None:
    laughs = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
    body = (
        f'<?xml version="1.0"?><!DOCTYPE d [<!ENTITY l0 "ha">{laughs}]>'
        '<w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"><w:body><w:p><w:r>'
        "<w:t>&l9;</w:t></w:r></w:p></w:body></w:document>"
    )
    with pytest.raises((CorruptFile, NoText)):
        parse(rewrite_part(word_file, "word/document.xml", body.encode()), DOCX_TYPE, None)


def test_no_file_of_ours_is_read_through_an_entity(word_file: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("the secret", encoding="utf-8")
    body = (
        f'<?xml version="1.0"?><!DOCTYPE d [<!ENTITY x SYSTEM "{secret.as_uri()}">]>'
        '<w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"><w:body><w:p><w:r>'
        "<w:t>before &x; after</w:t></w:r></w:p></w:body></w:document>"
    )
    outcome = try_parse(rewrite_part(word_file, "word/document.xml", body.encode()), DOCX_TYPE)
    assert isinstance(outcome, CorruptFile) or getattr(outcome, "text", "") == "before after"


def test_other_zip_archives_are_not_word(tmp_path: Path) -> None:
    path = tmp_path / "a.docx"
    with zipfile.ZipFile(path, "w") as package:
        package.writestr("a.txt", "words")
    with pytest.raises(UnsupportedFormat, match="not a Word document"):
        parse(path, DOCX_TYPE, None)


def test_old_and_protected_word_files_are_told_apart(tmp_path: Path) -> None:
    ole = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600)
    with pytest.raises(UnsupportedFormat, match=r"save it as \.docx"):
        parse_bytes(tmp_path, ole, DOCX_TYPE)
    with pytest.raises(EncryptedFile, match="password"):
        parse_bytes(tmp_path, ole + "EncryptedPackage".encode("utf-16-le"), DOCX_TYPE)
