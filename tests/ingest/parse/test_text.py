"""Plain text in whatever encoding it was saved."""

from pathlib import Path

import pytest

from ingest.errors import NoText
from ingest.parse.encoding import decode_text
from tests.ingest.parse.files import blocks_of, parse_bytes

GERMAN = "Die Prüfung der Geschäftsführung erfolgt jährlich. Für Änderungen gilt § 5. Größe: 10 m². " * 5
RUSSIAN = "Документы хранятся в архиве. Поиск работает быстро и точно. " * 10
JAPANESE = "文書は検索システムに保存されます。検索は速くて正確です。" * 10
POLISH = "Zażółć gęślą jaźń. Każdy dokument można łatwo znaleźć. " * 10


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (GERMAN, "utf-8"),
        (GERMAN, "utf-8-sig"),
        (GERMAN, "utf-16"),
        (GERMAN, "utf-16-le"),
        (GERMAN, "utf-16-be"),
        (GERMAN, "utf-32"),
        (GERMAN, "cp1252"),
        (GERMAN, "latin-1"),
        (RUSSIAN, "cp1251"),
        (RUSSIAN, "koi8-r"),
        (JAPANESE, "shift_jis"),
        (JAPANESE, "euc_jp"),
        (JAPANESE, "utf-8"),
        ("Preis: 5 € – „günstig“", "cp1252"),
        ("caf\xe9", "latin-1"),
    ],
)
def test_encodings(text: str, encoding: str) -> None:
    assert decode_text(text.encode(encoding)) == text


def test_a_file_with_a_few_broken_bytes_stays_utf8() -> None:
    data = RUSSIAN.encode("utf-8")
    assert decode_text(data[:500] + b"\xff" + data[500:]).replace("\ufffd", "").startswith(RUSSIAN[:200])
    assert decode_text(data[:-1]).startswith(RUSSIAN[:-20])


def test_paragraphs_are_between_empty_lines(tmp_path: Path) -> None:
    parsed = parse_bytes(tmp_path, "One\r\nstill one\r\n\r\n \r\nTwo\n\n\n\n  Three", "text/plain")
    assert parsed.text == "One\nstill one\n\n \nTwo\n\n\n\n  Three"
    assert [text.strip() for _, text in blocks_of(parsed)] == ["One\nstill one", "Two", "Three"]
    assert (parsed.title, parsed.page_starts) == (None, ())


@pytest.mark.parametrize("data", [b"", b" \n\t\r\n ", b"\xef\xbb\xbf", b"\x00\x01\x02"])
def test_files_without_text_say_so(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(NoText):
        parse_bytes(tmp_path, data, "text/plain")
