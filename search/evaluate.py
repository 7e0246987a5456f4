"""How well search finds: a data set in BEIR layout, every judged query, the metrics of search.metrics.

The caller ingests the corpus (one document of it = one of ours) and says which of our documents is which.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from db.pool import Pool
from search.errors import MalformedData
from search.metrics import Judgements, ndcg, percentile, recall, reciprocal_rank
from search.pipeline import SearchResult, search
from search.query import Mode, QueryEmbedder, SearchRequest

RANKED_CHUNKS = 400
"""Chunks are asked for, documents are ranked: enough that 100 documents are among them."""


@dataclass(frozen=True, slots=True)
class CorpusDocument:
    id: str
    title: str
    text: str


@dataclass(frozen=True, slots=True)
class DataSet:
    """queries holds the judged ones only."""

    name: str
    corpus: Sequence[CorpusDocument]
    queries: Mapping[str, str]
    judgements: Mapping[str, Judgements]


@dataclass(frozen=True, slots=True)
class Quality:
    """Means over the queries, and the latency of a whole search in milliseconds."""

    ndcg_at_10: float
    recall_at_100: float
    mrr_at_10: float
    p50_ms: float
    p95_ms: float


def load_data_set(folder: Path, split: str = "test") -> DataSet:
    """Read corpus.jsonl, queries.jsonl and qrels/<split>.tsv. Raises MalformedData, naming file and line."""
    corpus = [
        CorpusDocument(_text(row, "_id"), _text(row, "title", ""), _text(row, "text"))
        for row in _read_rows(folder / "corpus.jsonl")
    ]
    judgements = _read_judgements(folder / "qrels" / f"{split}.tsv")
    queries = {_text(row, "_id"): _text(row, "text") for row in _read_rows(folder / "queries.jsonl")}
    judged = {query_id: queries[query_id] for query_id in judgements if query_id in queries}
    if not judged:
        raise MalformedData(f"{folder} judges none of its queries.")
    return DataSet(folder.name, corpus, judged, judgements)


async def evaluate(
    pool: Pool,
    embedder: QueryEmbedder,
    spaces: tuple[str, ...],
    data: DataSet,
    corpus_ids: Mapping[str, str],
    mode: Mode,
    *,
    progress: Callable[[], None] | None = None,
) -> Quality:
    """Run every judged query, one after the other; corpus_ids gives the corpus' id of each of our documents.

    Each runs twice: as people search, for its latency, and deep, for 100 documents to rank.
    """
    rankings: dict[str, list[str]] = {}
    latencies_ms: list[float] = []
    for query_id, text in data.queries.items():
        shallow = await search(pool, embedder, SearchRequest(query=text, mode=mode), spaces)
        latencies_ms.append(shallow.took_ms.total)
        deep = await search(pool, embedder, SearchRequest(query=text, mode=mode, top_k=RANKED_CHUNKS), spaces)
        rankings[query_id] = [corpus_ids[document] for document in rank_documents(deep)]
        if progress is not None:
            progress()
    return measure(rankings, data.judgements, latencies_ms)


def rank_documents(result: SearchResult) -> list[str]:
    """Return the documents in the order of their best chunks."""
    return list(dict.fromkeys(hit.document_id for hit in result.hits))


def measure(
    rankings: Mapping[str, Sequence[str]], judgements: Mapping[str, Judgements], latencies_ms: Sequence[float]
) -> Quality:
    def mean(metric: Callable[[Sequence[str], Judgements], float]) -> float:
        return sum(metric(ranking, judgements[query]) for query, ranking in rankings.items()) / len(rankings)

    return Quality(
        ndcg_at_10=mean(ndcg),
        recall_at_100=mean(recall),
        mrr_at_10=mean(reciprocal_rank),
        p50_ms=percentile(latencies_ms, 0.5),
        p95_ms=percentile(latencies_ms, 0.95),
    )


def _read_rows(path: Path) -> Iterator[Mapping[str, object]]:
    for number, line in _read_lines(path):
        try:
            row = json.loads(line)
        except ValueError as exc:
            raise MalformedData(f"{path}, line {number}: not JSON ({exc}).") from exc
        if not isinstance(row, dict):
            raise MalformedData(f"{path}, line {number}: not a JSON object.")
        yield row


def _read_judgements(path: Path) -> dict[str, dict[str, int]]:
    judgements: dict[str, dict[str, int]] = {}
    for number, line in _read_lines(path):
        fields = line.rstrip("\r").split("\t")
        if number == 1 and not fields[-1].strip().lstrip("-").isdigit():
            continue  # the header
        try:
            query_id, document_id, grade = fields
            judgements.setdefault(query_id, {})[document_id] = int(grade)
        except ValueError as exc:
            raise MalformedData(f"{path}, line {number}: not query-id, corpus-id and score.") from exc
    return judgements


def _read_lines(path: Path) -> Iterator[tuple[int, str]]:
    # On "\n" alone: texts hold U+2028 and its like, at which splitlines would cut a JSON string in two.
    try:
        with path.open(encoding="utf-8", newline="\n") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield number, line.rstrip("\n")
    except (OSError, UnicodeDecodeError) as exc:
        raise MalformedData(f"{path} cannot be read: {exc}.") from exc


def _text(row: Mapping[str, object], key: str, default: str | None = None) -> str:
    value = row.get(key, default)
    if not isinstance(value, str):
        raise MalformedData(f"A row of the data set has no {key}: {str(row)[:80]}.")
    return value
