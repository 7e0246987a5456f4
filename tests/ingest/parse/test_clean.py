"""What is taken out of text before offsets are computed, and what is left alone."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.parse.clean import clean_line, clean_paragraph, clean_text


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("a\x00b", "ab"),
        ("a\ud800b\udfff", "ab"),
        ("a\x01\x08\x1f\x7f\x9fb", "ab"),
        ("a\tb\nc", "a\tb\nc"),
        ("a\r\nb\rc\u2028d\u2029e\x0bf\x0cg\x85h", "a\nb\nc\nd\ne\nf\ng\nh"),
        ("a\xa0b\u2009c\u202fd", "a b c d"),
        ("co\xadop\ufeff", "coop"),
        ("ﬁnd the ﬂow of oﬃce", "find the flow of office"),
        ("e\u0301", "é"),
        ("x² ½ Ⅳ ™", "x² ½ Ⅳ ™"),
        ("می\u200cخواهم 👩\u200d👧", "می\u200cخواهم 👩\u200d👧"),
        ("\ufffe\uffff", ""),
    ],
)
def test_clean_text(raw: str, clean: str) -> None:
    assert clean_text(raw) == clean


@given(raw=st.text(alphabet=st.characters(), max_size=100))
def test_clean_text_can_be_stored_and_is_stable(raw: str) -> None:
    clean = clean_text(raw)
    assert clean.encode("utf-8").decode("utf-8") == clean
    assert not any(
        unicodedata.category(character) in {"Cs", "Cc"} for character in clean if character not in "\n\t"
    )
    assert clean_text(clean) == clean


def test_clean_line_and_paragraph_collapse_white_space() -> None:
    assert clean_line("  a \n b\t c ") == "a b c"
    assert clean_paragraph("  a   b \n\n  c\t d ") == "a b\nc d"
