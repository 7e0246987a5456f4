"""How documents are cut: what always holds, and what a reader would expect of particular ones."""

import itertools
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.chunk import Chunk, chunk_document
from ingest.pack import TokenIndex
from ingest.parse import Block, BlockKind, ParsedDocument
from ingest.parse.builder import DocumentBuilder
from ingest.parse.text import parse_plain
from ingest.tokenize import TokenizerSpec
from tests.ingest.tokenizers import MINILM_WINDOW_TOKENS, TIKTOKEN, WORDPIECE, assert_sound

H, P, L, C, T = (
    BlockKind.HEADING,
    BlockKind.PARAGRAPH,
    BlockKind.LIST_ITEM,
    BlockKind.CODE,
    BlockKind.TABLE_ROW,
)
SENTENCE = "The quick brown fox jumps over the lazy dog near the old mill. "


def document(*blocks: tuple[BlockKind, str] | tuple[BlockKind, str, int]) -> ParsedDocument:
    builder = DocumentBuilder()
    for kind, text, *level in blocks:
        builder.add(kind, text, *level)
    return builder.build(None)


def chunk(
    parsed: ParsedDocument,
    title: str | None = None,
    spec: TokenizerSpec = WORDPIECE,
    window_tokens: int = MINILM_WINDOW_TOKENS,
) -> list[Chunk]:
    chunks = chunk_document(parsed, title=title, tokenizer=spec.load(), window_tokens=window_tokens)
    assert_sound(parsed, chunks, title, spec.load(), window_tokens)
    return chunks


def words(count: int, stem: str = "word") -> str:
    return " ".join(f"{stem}{number}" for number in range(count))


WORDS = st.sampled_from(
    [
        "alpha",
        "beta.",
        "Gamma",
        "3.14",
        "naïve",
        "検索",
        "文書。",
        "кот?",
        "👩‍👩‍👧",
        "e.g.",
        "x" * 70,
        "🇩🇪",
        "ไทย",
    ]
)
RUNS = st.builds(
    lambda word, times, gap: gap.join([word] * times), WORDS, st.integers(1, 60), st.sampled_from(["", " "])
)
PROSE = st.lists(WORDS | RUNS, min_size=1, max_size=40).map(" ".join)
BLOCKS = st.lists(
    st.one_of(
        st.tuples(st.just(H), PROSE.map(lambda text: text[:80]), st.integers(1, 6)),
        st.tuples(st.sampled_from([P, L, T]), PROSE),
        st.tuples(st.just(C), st.lists(PROSE, max_size=20).map("\n".join)),
        st.tuples(st.just(P), st.builds(lambda text, times: text * times, PROSE, st.integers(1, 30))),
    ),
    max_size=12,
)


@pytest.mark.parametrize(("spec", "window_tokens"), [(WORDPIECE, 254), (TIKTOKEN, 8191), (TIKTOKEN, 254)])
@given(blocks=BLOCKS, title=st.none() | PROSE)
@settings(max_examples=40)
def test_chunks_of_any_structure_are_sound(
    spec: TokenizerSpec,
    window_tokens: int,
    blocks: list[tuple[BlockKind, str] | tuple[BlockKind, str, int]],
    title: str | None,
) -> None:
    chunk(document(*blocks), title, spec, window_tokens)


@pytest.mark.parametrize("spec", [WORDPIECE, TIKTOKEN])
@given(text=st.text(max_size=2000), repeat=st.integers(1, 20))
@settings(max_examples=40)
def test_chunks_of_any_text_are_sound(spec: TokenizerSpec, text: str, repeat: int) -> None:
    chunk(parse_plain(text * repeat), spec=spec)


SIZES = st.integers(100, 400).flatmap(lambda size: st.tuples(st.just(size), st.integers(0, size // 2)))


@pytest.mark.parametrize("spec", [WORDPIECE, TIKTOKEN])
@given(blocks=BLOCKS, title=st.none() | PROSE.map(lambda text: text[:100]), size=SIZES)
@settings(max_examples=60)
def test_a_size_and_an_overlap_that_were_asked_for_are_kept(
    spec: TokenizerSpec,
    blocks: list[tuple[BlockKind, str] | tuple[BlockKind, str, int]],
    title: str | None,
    size: tuple[int, int],
) -> None:
    text_tokens, overlap_tokens = size
    parsed, tokenizer = document(*blocks), spec.load()
    chunks = chunk_document(
        parsed,
        title=title,
        tokenizer=tokenizer,
        window_tokens=8191,
        text_tokens=text_tokens,
        overlap_tokens=overlap_tokens,
    )
    assert_sound(parsed, chunks, title, tokenizer, 8191)
    # As the whole text has them: of a part, the tokens at its edge may be other ones.
    index = TokenIndex(parsed.text, tokenizer.token_starts(parsed.text))
    for one in chunks:
        assert index.count(one.char_start, one.char_end) <= text_tokens
    for one, following in itertools.pairwise(chunks):
        assert index.count(following.char_start, one.char_end) <= overlap_tokens
        assert following.headings == one.headings or following.char_start >= one.char_end


def test_running_text_is_repeated_by_about_as_much_as_was_asked() -> None:
    parsed = document((P, SENTENCE * 12), (P, SENTENCE * 12), (P, SENTENCE * 12))
    chunks = chunk_document(
        parsed,
        title=None,
        tokenizer=WORDPIECE.load(),
        window_tokens=254,
        text_tokens=100,
        overlap_tokens=40,
    )
    index = TokenIndex(parsed.text, WORDPIECE.load().token_starts(parsed.text))
    repeated = [index.count(after.char_start, one.char_end) for one, after in itertools.pairwise(chunks)]
    assert len(repeated) >= 4
    assert all(30 <= tokens <= 40 for tokens in repeated), repeated
    none = chunk_document(
        parsed,
        title=None,
        tokenizer=WORDPIECE.load(),
        window_tokens=254,
        text_tokens=100,
        overlap_tokens=0,
    )
    assert all(after.char_start >= one.char_end for one, after in itertools.pairwise(none))


@given(text=st.text(alphabet="ab \n.", max_size=400), cuts=st.lists(st.integers(0, 400), max_size=8))
@settings(max_examples=100)
def test_text_outside_the_blocks_is_not_lost(text: str, cuts: list[int]) -> None:
    edges = sorted({min(cut, len(text)) for cut in cuts})
    spans = [pair for pair in itertools.pairwise(edges) if pair[0] < pair[1]][::2]
    chunk(ParsedDocument(text, tuple(Block(P, start, end) for start, end in spans)))


def test_a_short_chunk_is_not_repeated_whole_by_the_next() -> None:
    lone = "Short. " + words(115) + ". "
    chunk(document((P, lone * 4)))


def test_an_empty_document_has_no_chunks() -> None:
    assert chunk(ParsedDocument("")) == []
    assert chunk(ParsedDocument(" \n\t ")) == []


def test_one_word_and_a_lone_heading_are_one_chunk_each() -> None:
    assert [piece.text for piece in chunk(ParsedDocument("word"))] == ["word"]
    (only,) = chunk(document((H, "Title", 1)))
    assert (only.text, only.headings) == ("Title", ("Title",))


def test_headings_make_the_path() -> None:
    parsed = document(
        (H, "Guide", 1),
        (P, words(120, "intro")),
        (H, "Install", 2),
        (P, words(120, "install")),
        (H, "Linux", 3),
        (P, words(120, "linux")),
        (H, "Usage", 2),
        (P, words(120, "usage")),
    )
    paths = {piece.headings: piece.text.split()[-1].rstrip("0123456789") for piece in chunk(parsed)}
    assert paths == {
        ("Guide",): "intro",
        ("Guide", "Install"): "install",
        ("Guide", "Install", "Linux"): "linux",
        ("Guide", "Usage"): "usage",
    }


def test_a_heading_is_never_the_end_of_a_chunk_that_has_text() -> None:
    blocks: list[tuple[BlockKind, str, int]] = []
    for section in range(30):
        blocks += [
            (H, f"Section {section}", 1),
            (H, f"Part {section}", 2),
            (P, SENTENCE * (1 + section % 9), 0),
        ]
    chunks = chunk(document(*blocks))
    assert len(chunks) > 5
    for piece in chunks:
        assert not piece.text.splitlines()[-1].startswith(("Section", "Part"))


def test_small_neighbouring_paragraphs_share_a_chunk() -> None:
    chunks = chunk(document(*[(P, SENTENCE)] * 12))
    assert len(chunks) == 1


def test_small_sections_share_a_chunk_and_their_common_heading() -> None:
    parsed = document(
        (H, "Errors", 1),
        *[block for code in range(6) for block in ((H, f"Error {code}", 2), (P, "It failed. Try again.", 0))],
    )
    (only,) = chunk(parsed)
    assert only.headings == ("Errors",)


def test_paragraphs_that_fit_are_not_cut_and_not_repeated() -> None:
    paragraphs = [words(100, f"p{number}x") for number in range(10)]
    parsed = document(*[(P, text) for text in paragraphs])
    chunks = chunk(parsed, spec=TIKTOKEN, window_tokens=700)
    assert [line for piece in chunks for line in piece.text.split("\n\n")] == paragraphs


def test_a_long_paragraph_is_cut_between_sentences_and_repeats_one() -> None:
    sentences = [f"Sentence number {number} says something of its own." for number in range(100)]
    chunks = chunk(document((P, " ".join(sentences))))
    assert len(chunks) > 3
    for before, after in itertools.pairwise(chunks):
        assert before.text.endswith(".")
        assert after.text.startswith("Sentence number")
        repeated = parsed_overlap(before, after)
        assert repeated == 1
    assert {sentence for piece in chunks for sentence in piece.text.split(". ")} >= {
        s[:-1] for s in sentences[:-1]
    }


def parsed_overlap(before: Chunk, after: Chunk) -> int:
    return before.text[after.char_start - before.char_start :].count("Sentence number")


def test_a_sentence_longer_than_the_window_is_cut_between_words_with_some_repeated() -> None:
    text = words(1500)
    chunks = chunk(document((P, text)))
    known = set(text.split())
    for before, after in itertools.pairwise(chunks):
        assert set(after.text.split()) <= known
        overlap = before.char_end - after.char_start
        assert 0 < overlap < len(after.text) * 0.2


def test_a_word_longer_than_the_window_is_cut_between_graphemes() -> None:
    text = "👩‍👩‍👧🇩🇪e\u0301" * 400
    chunks = chunk(ParsedDocument(text), spec=TIKTOKEN, window_tokens=128)
    assert len(chunks) > 10
    for piece in chunks:
        assert piece.text[0] in "👩🇩e"


def test_chinese_is_cut_after_sentences() -> None:
    text = "检索系统把文档分成小块。" * 100
    chunks = chunk(parse_plain(text))
    assert len(chunks) > 3
    assert all(piece.text.endswith("。") for piece in chunks)


def test_a_blob_that_the_tokenizer_gives_up_on_is_still_cut() -> None:
    chunks = chunk(ParsedDocument("QUJD" * 50_000))
    assert len(chunks) > 5


def test_table_rows_stay_whole() -> None:
    rows = [f"row {number} | value {number * 7} | {SENTENCE.strip()}" for number in range(60)]
    chunks = chunk(document(*[(T, row) for row in rows]))
    assert [line for piece in chunks for line in piece.text.splitlines()] == rows


def test_code_is_cut_between_lines_and_not_repeated() -> None:
    lines = [f"    result_{number} = compute(number={number}, flag=True)" for number in range(100)]
    chunks = chunk(document((C, "\n".join(lines))))
    assert len(chunks) > 3
    assert [line.strip() for piece in chunks for line in piece.text.splitlines()] == [
        line.strip() for line in lines
    ]


def test_what_a_colon_announces_stays_with_it() -> None:
    parsed = document(
        (P, words(60)), (P, "You need:"), (L, words(10, "a")), (L, words(10, "b")), (P, words(60))
    )
    for piece in chunk(parsed):
        assert not piece.text.endswith(":")


def test_no_tiny_chunk_at_the_end() -> None:
    for paragraphs in range(5, 40):
        chunks = chunk(document(*[(P, SENTENCE * 2)] * paragraphs))
        assert len(chunks) == 1 or chunks[-1].token_count > 60


def test_pages_are_those_of_the_first_and_the_last_character() -> None:
    pages = ["First page. " * 20, "Second page. " * 20, "Third page. " * 20]
    starts = tuple(itertools.accumulate((len(page) for page in pages[:-1]), initial=0))
    parsed = ParsedDocument("".join(pages), page_starts=starts)
    for piece in chunk(parsed):
        first = piece.text.split(" page")[0].split()[-1]
        assert piece.page_start is not None
        assert piece.page_end is not None
        spanned = [name for name in ("First", "Second", "Third") if name in piece.text]
        assert piece.page_end - piece.page_start + 1 == len(spanned)
        if len(spanned) == 1:
            assert piece.page_start == ["First", "Second", "Third"].index(first) + 1


def test_formats_without_pages_have_none() -> None:
    (only,) = chunk(ParsedDocument("text"))
    assert (only.page_start, only.page_end) == (None, None)


def test_a_long_window_is_filled_to_the_target_only() -> None:
    parsed = parse_plain("\n\n".join([SENTENCE * 3] * 200))
    chunks = chunk_document(
        parsed, title=None, tokenizer=TIKTOKEN.load(), window_tokens=8191, target_tokens=300
    )
    assert max(piece.token_count for piece in chunks) <= 300
    assert sum(piece.token_count for piece in chunks) / len(chunks) > 200


def test_a_title_that_leaves_no_room_is_refused() -> None:
    with pytest.raises(ValueError, match="no room"):
        chunk_document(ParsedDocument("text"), title=words(50), tokenizer=WORDPIECE.load(), window_tokens=40)


@pytest.mark.parametrize("unit", [SENTENCE, "word\n", "漢字。", "a" * 30, ". ", "x\n\n", "- [ ] t\n"])
def test_a_big_document_takes_no_quadratic_time(unit: str) -> None:
    chunking_seconds(unit, 20_000)  # warms the tokenizer's memory of words
    small, big = chunking_seconds(unit, 50_000), chunking_seconds(unit, 400_000)
    # Eight times the text: quadratic would be 64 times the work.
    assert big < max(small, 0.02) * 30


def chunking_seconds(unit: str, chars: int) -> float:
    parsed = parse_plain(unit * (chars // len(unit)))
    started = time.process_time()
    chunk_document(parsed, title=None, tokenizer=WORDPIECE.load(), window_tokens=254)
    return time.process_time() - started
