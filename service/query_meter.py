"""What a search is charged for: the tokens of its query, where a model has to read it."""

from db.usage import UsageEntry
from search.query import Mode
from service.auth.caller import Caller
from service.providers import EmbeddingProvider


class QueryMeter:
    """Counts with the embedder's own tokenizer. A repeated query counts again, though its vector is remembered."""

    def __init__(self, embedder: EmbeddingProvider, price_per_million: float) -> None:
        self._embedder = embedder
        self._price = price_per_million / 1_000_000

    def entry(self, caller: Caller, query: str, mode: Mode, team_id: str | None) -> UsageEntry:
        """Return the entry of one query; team_id is the one team that was searched, if it was one."""
        tokens = 0
        if mode is not Mode.LEXICAL:
            tokens = len(self._embedder.tokenizer_spec.load().token_starts(query))
        return UsageEntry(
            user_id=caller.user_id,
            team_id=team_id,
            key_id=caller.key_id,
            resource="search",
            action="query",
            tokens=tokens,
            cost=tokens * self._price,
            metadata={"mode": mode.value, "model": self._embedder.model},
        )
