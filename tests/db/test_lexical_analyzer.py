"""What counts as a word, and what as the same word."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from db.analyzer import TERM_LIMIT, count_surfaces, find_terms, hash_terms, read_tokens
from db.languages import LATIN_LANGUAGES, guess_language

# Any text that PostgreSQL could hold.
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=200)


def terms(text: str, language: str = "english") -> set[str]:
    return {term for token in read_tokens(text) for term in find_terms(token.surface, language)}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("connection", "Connected"),
        ("naïve", "naive"),
        ("e-mail", "emails"),
        ("max_score", "maxScore"),
        ("IL-6", "il6"),
        ("wi‑fi", "WiFi"),  # a non-breaking hyphen
        ("ﬁnding", "find"),  # a ligature
        ("ＡＢＣ", "abc"),  # full width
        ("1,000", "1000"),
        ("٣٥", "35"),
        ("Panther's", "panthers"),
        ("Panther’s", "panthers"),
        ("STRASSE", "straße"),
        ("cafe\N{COMBINING ACUTE ACCENT}", "café"),
        ("الكِتَاب", "الكتاب"),
        ("ёлка", "елка"),
    ],
)
def test_spellings_of_a_word_share_a_term(one: str, other: str) -> None:
    assert terms(one) & terms(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("C", "C++"),
        ("C#", "C++"),
        ("3.14", "314"),
        ("universe", "universal law"),
        ("10", "100"),
        ("防守", "守防"),
    ],
)
def test_different_words_share_none(one: str, other: str) -> None:
    assert not terms(one) & terms(other)


@pytest.mark.parametrize(
    ("compound", "parts"),
    [
        ("state-of-the-art", {"state", "art", "stateoftheart"}),
        ("snake_case", {"snake", "case", "snakecas"}),
        ("os.path", {"os", "path", "ospath"}),
        ("mRNA", {"mrna"}),
        ("192.168.0.1", {"192.168.0.1"}),
        ("don't", set()),
    ],
)
def test_a_compound_is_its_parts_and_the_whole(compound: str, parts: set[str]) -> None:
    assert terms(compound) == parts


def test_an_elided_article_is_no_part_of_a_word() -> None:
    assert terms("l'homme", "french") == terms("homme", "french")


def test_unspaced_scripts_are_read_by_pairs() -> None:
    assert [token.surface for token in read_tokens("黑豹队 vs 人")] == ["黑豹", "豹队", "vs", "人"]


def test_stop_words_are_no_terms() -> None:
    assert terms("what is the and of it") == set()


def test_noise_does_not_grow_a_term() -> None:
    assert max(map(len, terms("A" * 100_000))) <= 64


def test_terms_do_not_change_between_releases() -> None:
    # They are stored: if this fails, every chunk has to be encoded again.
    assert hash_terms("connection", "english") == (57_562_439,)


@given(TEXT, st.sampled_from(LATIN_LANGUAGES))
def test_tokens_lie_in_the_text_and_their_terms_in_range(text: str, language: str) -> None:
    for token in read_tokens(text):
        assert text[token.char_start : token.char_end] == token.surface
        assert all(0 < term < TERM_LIMIT for term in hash_terms(token.surface, language))


@given(TEXT)
def test_counting_finds_the_words_that_reading_finds(text: str) -> None:
    counts = count_surfaces(text)
    assert sorted(counts.elements()) == sorted(token.surface for token in read_tokens(text))


@given(TEXT)
def test_composed_and_decomposed_text_have_the_same_terms(text: str) -> None:
    composed, decomposed = unicodedata.normalize("NFC", text), unicodedata.normalize("NFD", text)
    latin = [c for c in composed if c.isascii() or "LATIN" in unicodedata.name(c, "")]
    if len(latin) == len(composed):
        assert terms(composed) == terms(decomposed)


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("the quick brown fox jumps over the lazy dog and is not seen", "english"),
        ("die Verteidigung gab nur wenige Punkte ab und war nicht die beste", "german"),
        ("la défense n'a concédé que quelques points et elle était la meilleure", "french"),
        ("la defensa no cedió más que unos pocos puntos y fue la mejor de todas", "spanish"),
        ("Die Hard 4.0", "english"),
        ("42", "english"),
        ("", "english"),
    ],
)
def test_small_words_tell_the_language(text: str, language: str) -> None:
    assert guess_language(set(text.casefold().replace("'", " ").split())) == language
