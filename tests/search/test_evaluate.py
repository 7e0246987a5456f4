"""Reading data sets in BEIR layout, and what is made of a result."""

import json
from pathlib import Path

import pytest

from search.errors import MalformedData
from search.evaluate import load_data_set, measure


def write(
    folder: Path, *, corpus: str | None = None, qrels: str = "query-id\tcorpus-id\tscore\nq1\td1\t2\n"
) -> Path:
    rows = [{"_id": "d1", "title": "T", "text": "one\u2028line\x85 still"}]
    (folder / "qrels").mkdir()
    (folder / "corpus.jsonl").write_bytes(
        (corpus or "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)).encode()
    )
    (folder / "queries.jsonl").write_text(
        '{"_id": "q1", "text": "one?"}\n{"_id": "q2", "text": "unjudged"}\n'
    )
    (folder / "qrels" / "test.tsv").write_text(qrels)
    return folder


def test_lines_end_at_line_feeds_only(tmp_path: Path) -> None:
    data = load_data_set(write(tmp_path))
    assert [document.text for document in data.corpus] == ["one\u2028line\x85 still"]
    assert data.queries == {"q1": "one?"}
    assert data.judgements == {"q1": {"d1": 2}}
    assert data.name == tmp_path.name


@pytest.mark.parametrize(
    "qrels",
    ["q1\td1\t2\n", "query-id\tcorpus-id\tscore\r\nq1\td1\t2\r\n", "q1\td1\t2\n\n", "a\tb\tc\nq1\td1\t2"],
)
def test_judgements_may_lack_a_header(tmp_path: Path, qrels: str) -> None:
    assert load_data_set(write(tmp_path, qrels=qrels)).judgements == {"q1": {"d1": 2}}


@pytest.mark.parametrize(
    ("corpus", "qrels", "where"),
    [
        ("{", "q1\td1\t1\n", "corpus.jsonl, line 1"),
        ("[]\n", "q1\td1\t1\n", "corpus.jsonl, line 1"),
        ('{"_id": "d1"}\n', "q1\td1\t1\n", "text"),
        (None, "h\th\th\nq1 d1 1\n", "test.tsv, line 2"),
        (None, "q9\td1\t1\n", "judges none"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, corpus: str | None, qrels: str, where: str) -> None:
    with pytest.raises(MalformedData, match=where):
        load_data_set(write(tmp_path, corpus=corpus, qrels=qrels))


def test_a_folder_without_data_is_named(tmp_path: Path) -> None:
    with pytest.raises(MalformedData, match=r"corpus\.jsonl"):
        load_data_set(tmp_path)


def test_figures_are_means_over_queries() -> None:
    judgements = {"q1": {"a": 1}, "q2": {"b": 1, "c": 1}}
    quality = measure({"q1": ["a"], "q2": ["x", "b"]}, judgements, [1.0, 3.0])
    assert quality.mrr_at_10 == 0.75
    assert quality.recall_at_100 == 0.75
    assert (quality.p50_ms, quality.p95_ms) == (1.0, 3.0)
