"""The line of title and headings that a chunk is embedded with."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.embed import embedding_text
from tests.ingest.tokenizers import MINILM_WINDOW_TOKENS, WORDPIECE


@pytest.mark.parametrize(
    ("title", "headings", "text", "expected"),
    [
        ("Guide", ("Install", "Linux"), "Run it.", "Guide > Install > Linux\nRun it."),
        ("Guide", ("Guide", "Install"), "Run it.", "Guide > Install\nRun it."),
        ("guide", ("Guide ", "Install", "install"), "Run it.", "guide > Install\nRun it."),
        ("Guide", ("Install",), "Install\n\nRun it.", "Guide\nInstall\n\nRun it."),
        ("Guide", ("Guide",), "Guide\n\nRun it.", "Guide\n\nRun it."),
        (None, (), "Run it.", "Run it."),
        ("  ", ("",), "Run it.", "Run it."),
        ("A\ntitle  on lines", (), "Run it.", "A title on lines\nRun it."),
        ("Guide", ("Install",), "", "Guide > Install"),
    ],
)
def test_header(title: str | None, headings: tuple[str, ...], text: str, expected: str) -> None:
    assert embedding_text(title, headings, text) == expected


def test_a_long_title_is_cut_at_a_word_and_the_headings_stay() -> None:
    title = " ".join(f"word{number}" for number in range(200))
    header = embedding_text(title, ("Install", "Linux"), "Run it.").split("\n")[0]
    assert header.endswith(" > Install > Linux")
    assert set(header.removesuffix(" > Install > Linux").split()) <= set(title.split())


@given(
    title=st.text(max_size=400),
    headings=st.lists(st.text(max_size=200), max_size=6),
    text=st.text(min_size=1, max_size=50),
)
def test_the_header_takes_a_quarter_of_the_smallest_window_at_most(
    title: str, headings: list[str], text: str
) -> None:
    embedded = embedding_text(title, headings, text)
    assert embedded.endswith(text)
    header = embedded.removesuffix(text)
    assert len(WORDPIECE.load().token_starts(header)) <= MINILM_WINDOW_TOKENS // 4
