"""Tables as text: a row must be findable by itself."""

from pathlib import Path

import pytest

from ingest.parse import ParsedDocument
from tests.ingest.parse.files import blocks_of, parse_bytes

COLUMNS = 1_000_000


def rows(parsed: ParsedDocument) -> list[str]:
    return [text for _, text in blocks_of(parsed)]


@pytest.mark.parametrize("delimiter", [",", ";", "|", "\t"])
def test_every_row_names_its_columns(tmp_path: Path, delimiter: str) -> None:
    source = "\n".join(delimiter.join(row) for row in (("name", "city"), ("Ann", "Bonn"), ("Ben", "Rome")))
    parsed = parse_bytes(tmp_path, source, "text/csv")
    assert rows(parsed) == ["name | city", "name: Ann; city: Bonn", "name: Ben; city: Rome"]


def test_tabs_are_not_guessed_in_a_tsv(tmp_path: Path) -> None:
    parsed = parse_bytes(tmp_path, "a, b\tc\n1, 2\t3\n", "text/tab-separated-values")
    assert rows(parsed) == ["a, b | c", "a, b: 1, 2; c: 3"]


def test_quotes_line_breaks_and_commas_in_values(tmp_path: Path) -> None:
    parsed = parse_bytes(tmp_path, 'id,note\r\n1,"said ""no"", then\r\nleft"\r\n', "text/csv")
    assert rows(parsed)[1] == 'id: 1; note: said "no", then left'


def test_decimal_commas_do_not_hide_the_semicolons(tmp_path: Path) -> None:
    parsed = parse_bytes(tmp_path, "Ort;Preis\nKöln;3,50\nUlm;4,20\n".encode("cp1252"), "text/csv")
    assert rows(parsed)[1:] == ["Ort: Köln; Preis: 3,50", "Ort: Ulm; Preis: 4,20"]


def test_numbers_are_not_a_header(tmp_path: Path) -> None:
    assert rows(parse_bytes(tmp_path, "1,2\n3,4\n", "text/csv")) == ["1 | 2", "3 | 4"]


def test_ragged_rows_and_empty_values(tmp_path: Path) -> None:
    parsed = parse_bytes(tmp_path, "name,city\nAnn,\n,\nBen,Rome,extra\n", "text/csv")
    assert rows(parsed) == ["name | city", "name: Ann", "name: Ben; city: Rome; extra"]


def test_excels_separator_line(tmp_path: Path) -> None:
    assert rows(parse_bytes(tmp_path, "sep=;\na;b\nx;y\n", "text/csv")) == ["a | b", "a: x; b: y"]


def test_a_single_column_and_a_lone_header(tmp_path: Path) -> None:
    assert rows(parse_bytes(tmp_path, "apple\npear\n", "text/csv")) == ["apple", "pear"]
    assert rows(parse_bytes(tmp_path, "name,city\n", "text/csv")) == ["name | city"]


def test_a_million_columns(tmp_path: Path) -> None:
    header = ",".join(f"c{number}" for number in range(COLUMNS))
    parsed = parse_bytes(tmp_path, header + "\n" + ",".join(["1"] * COLUMNS), "text/csv")
    assert parsed.text.endswith("c999999: 1")


def test_a_cell_as_long_as_the_file(tmp_path: Path) -> None:
    assert len(parse_bytes(tmp_path, 'a,b\n"' + "x" * 1_000_000, "text/csv").text) > 1_000_000
