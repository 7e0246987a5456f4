"""Where sentences end, in several scripts, and what may not be torn apart."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.boundaries import previous_grapheme_boundary, split_lines, split_sentences, split_words, trim


def sentences(text: str) -> list[str]:
    return [text[start:end] for start, end in split_sentences(text, 0, len(text))]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One ends. Two follows!", ["One ends.", "Two follows!"]),
        ("Really? Yes! Good.", ["Really?", "Yes!", "Good."]),
        ("Dr. Smith met Mr. Jones. They spoke.", ["Dr. Smith met Mr. Jones.", "They spoke."]),
        ("It costs 3.50 euros. Or 4.", ["It costs 3.50 euros.", "Or 4."]),
        ("See Fig. 3 and e.g. Table 2. Then stop.", ["See Fig. 3 and e.g. Table 2.", "Then stop."]),
        ("Written by J. R. Tolkien. A classic.", ["Written by J. R. Tolkien.", "A classic."]),
        ("1. First step of many. 2. Second.", ["1. First step of many.", "2. Second."]),
        ("It was version 2. the next is 3.", ["It was version 2. the next is 3."]),
        ("“Stop.” She left. (He stayed.) Fin.", ["“Stop.”", "She left.", "(He stayed.)", "Fin."]),
        ("これは文です。次の文です！終わり", ["これは文です。", "次の文です！", "終わり"]),
        ("他说：“好。”然后走了。", ["他说：“好。”", "然后走了。"]),
        ("ما هذا؟ هذا كتاب. انتهى", ["ما هذا؟", "هذا كتاب.", "انتهى"]),
        ("यह एक वाक्य है। यह दूसरा है।", ["यह एक वाक्य है।", "यह दूसरा है।"]),
        ("Das gilt z. B. hier. Und dort.", ["Das gilt z. B. hier.", "Und dort."]),
        ("Visit example.com/a.b now. Thanks.", ["Visit example.com/a.b now.", "Thanks."]),
        ("No end", ["No end"]),
        ("   ", []),
        ("", []),
    ],
)
def test_sentences(text: str, expected: list[str]) -> None:
    assert sentences(text) == expected


@given(text=st.text(alphabet="aB1.!?。؟ \n\"')", max_size=80))
def test_sentences_lines_and_words_leave_out_white_space_only(text: str) -> None:
    for split in (split_sentences, split_lines, split_words):
        position = 0
        for start, end in split(text, 0, len(text)):
            assert not text[position:start].strip()
            assert text[start:end] == text[start:end].strip() != ""
            position = end
        assert not text[position:].strip()


@pytest.mark.parametrize(
    "grapheme",
    [
        "e\u0301",  # letter and accent
        "👩\u200d👩\u200d👧",  # a family
        "👍🏽",  # thumb and skin
        "🇩🇪",  # a flag
        "❤\ufe0f",  # heart and variation selector
        "क्ष",  # conjunct
        "\u1112\u1161\u11ab",  # Hangul in letters
        "ท\u0e35\u0e48",  # Thai consonant, vowel and tone
    ],
)
def test_a_grapheme_is_not_torn(grapheme: str) -> None:
    text = "漢" + grapheme + "字"
    for inside in range(2, 1 + len(grapheme)):
        assert previous_grapheme_boundary(text, inside, 0) <= 1
    assert previous_grapheme_boundary(text, 1 + len(grapheme), 0) == 1 + len(grapheme)


def test_flags_are_parted_between_pairs() -> None:
    text = "🇩🇪🇫🇷🇮🇹"
    assert [previous_grapheme_boundary(text, cut, 0) for cut in (2, 3, 4, 5)] == [2, 2, 4, 4]


@given(text=st.text(min_size=1, max_size=50), data=st.data())
def test_no_boundary_before_a_mark(text: str, data: st.DataObject) -> None:
    position = data.draw(st.integers(1, len(text)))
    boundary = previous_grapheme_boundary(text, position, 0)
    assert 0 < boundary <= position
    if boundary < len(text) and boundary != position:
        assert not unicodedata.category(text[boundary]).startswith("M")


@given(text=st.text(max_size=30))
def test_trim_is_strip_with_offsets(text: str) -> None:
    start, end = trim(text, 0, len(text))
    assert text[start:end] == text.strip()
