"""Every [n] that is shown is one of the passages given, however the text was cut on its way."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.answer.citations import CitationReader, Cited


def read(*parts: str, count: int = 3) -> tuple[str, list[int]]:
    reader = CitationReader(count)
    out = [piece for part in parts for piece in reader.feed(part)] + list(reader.finish())
    assert "".join(piece for piece in out if isinstance(piece, str)) == reader.text
    assert [piece.number for piece in out if isinstance(piece, Cited)] == reader.cited
    return reader.text, reader.cited


@pytest.mark.parametrize(
    ("written", "shown", "cited"),
    [
        ("The lease ends in May [1].", "The lease ends in May [1].", [1]),
        ("Both say so [2][1].", "Both say so [2][1].", [2, 1]),
        ("Both say so [1, 3].", "Both say so [1][3].", [1, 3]),
        ("All of them [1-3].", "All of them [1][2][3].", [1, 2, 3]),
        ("Twice [1] and again [1].", "Twice [1] and again [1].", [1]),
        ("As a footnote [^2].", "As a footnote [2].", [2]),
        ("Nobody said this [9].", "Nobody said this.", []),
        ("Half of it [2, 9].", "Half of it [2].", [2]),
        ("Zero [0] is none.", "Zero is none.", []),
        ("In [2024] it rained.", "In [2024] it rained.", []),
        ("A [link](http://x) stays.", "A [link](http://x) stays.", []),
        ("Use `items[1]` for it [1].", "Use `items[1]` for it [1].", [1]),
        ("```\na[2] = b[7]\n```\nSo [3].", "```\na[2] = b[7]\n```\nSo [3].", [3]),
        ("A lone ` tick.\n\nThen [1] and [9].", "A lone ` tick.\n\nThen [1] and.", [1]),
        ("Not closed [1", "Not closed [1", []),
        ("Ends in spaces   ", "Ends in spaces   ", []),
    ],
)
def test_citations_are_checked(written: str, shown: str, cited: list[int]) -> None:
    assert read(written) == (shown, cited)


ALPHABET = st.sampled_from([*"[]0123 ,-^`.a\n", "[1]", "[9]", " [2, 3]", "```", "\n\n", "word "])


@given(st.lists(ALPHABET, max_size=40), st.data())
def test_where_the_text_is_cut_changes_nothing(pieces: list[str], data: st.DataObject) -> None:
    whole = "".join(pieces)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=6)))
    parts = [whole[start:end] for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    assert read(*parts) == read(whole)


@given(st.lists(ALPHABET, max_size=40))
def test_only_passages_that_were_given_are_cited(pieces: list[str]) -> None:
    _, cited = read("".join(pieces))
    assert set(cited) <= {1, 2, 3}


def test_text_is_shown_as_soon_as_it_is_certain() -> None:
    reader = CitationReader(1)
    assert list(reader.feed("The lease ends")) == ["The lease ends"]
    assert list(reader.feed(" in May [")) == [" in May"]
    assert list(reader.feed("1")) == []
    assert list(reader.feed("]. It")) == [" [1]. It", Cited(1)]


@pytest.mark.parametrize("filler", [" ", "\t", "`", "[", "\n", "[1, "])
def test_long_runs_of_anything_are_read_in_their_length(filler: str) -> None:
    """A pattern that looks back over them again and again would not end within the hour."""
    text = filler * 100_000
    shown, cited = read(*(text[start : start + 16] for start in range(0, len(text), 16)), "x [1] [9].")
    assert shown.endswith("x [1]." if filler != "`" else ".")
    assert len(shown) > 1000
    assert set(cited) <= {1, 2, 3}
