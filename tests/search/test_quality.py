"""Search finds the right passage, by the bundled model and BM25, on a collection written for it."""

import json
from pathlib import Path

import pytest

from db.pool import Pool
from search.evaluate import evaluate, load_data_set
from search.query import Mode
from service.providers.minilm.embedder import MiniLMEmbedder
from tests.search.conftest import SPACE
from tests.search.labelled import PASSAGES, QUERIES


def write_data_set(folder: Path) -> None:
    corpus = [{"_id": name, "title": "", "text": text} for name, text in PASSAGES.items()]
    queries = [{"_id": str(number), "text": query} for number, query in enumerate(QUERIES)]
    (folder / "qrels").mkdir()
    (folder / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in corpus))
    (folder / "queries.jsonl").write_text("".join(json.dumps(row) + "\n" for row in queries))
    judged = [f"{number}\t{name}\t1\n" for number, name in enumerate(QUERIES.values())]
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n" + "".join(judged))


async def test_hybrid_finds_what_both_legs_find(office: Pool, minilm: MiniLMEmbedder, tmp_path: Path) -> None:
    write_data_set(tmp_path)
    data = load_data_set(tmp_path)
    ids = {name: name for name in PASSAGES}
    found = {mode: await evaluate(office, minilm, (SPACE,), data, ids, mode) for mode in Mode}
    ndcg = {mode: quality.ndcg_at_10 for mode, quality in found.items()}
    assert ndcg[Mode.LEXICAL] >= 0.70
    assert ndcg[Mode.SEMANTIC] >= 0.85
    assert ndcg[Mode.HYBRID] >= 0.93
    assert ndcg[Mode.HYBRID] >= max(ndcg[Mode.LEXICAL], ndcg[Mode.SEMANTIC])
    assert found[Mode.HYBRID].recall_at_100 == 1.0
    assert found[Mode.HYBRID].mrr_at_10 >= 0.91
    assert all(0 < quality.p50_ms <= quality.p95_ms for quality in found.values())


@pytest.mark.parametrize("mode", list(Mode))
async def test_a_threshold_tells_hopeless_queries_from_good_ones(
    office: Pool, minilm: MiniLMEmbedder, mode: Mode
) -> None:
    from search.pipeline import search
    from search.query import SearchRequest

    async def best(query: str) -> float:
        result = await search(office, minilm, SearchRequest(query=query, mode=mode), (SPACE,))
        return max((hit.score for hit in result.hits), default=0.0)

    good = [await best(query) for query in ("where is the defibrillator", "number of worker bees in a hive")]
    hopeless = [
        await best(query) for query in ("quarterback touchdown record", "sourdough starter hydration")
    ]
    assert min(good) > 0.4 > max(hopeless)
