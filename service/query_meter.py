"""What a search is charged for: the tokens of its query, where a model has to read it."""

from uuid import UUID

from db.usage import UsageEntry
from search.query import Mode, clean_query
from service.auth.caller import Caller
from service.providers import RememberingQueries


class QueryMeter:
    """Counts with the embedder's own tokenizer, and nothing for a query whose vector is remembered."""

    def __init__(self, embedder: RememberingQueries, price_per_million: float) -> None:
        self._embedder = embedder
        self._price = price_per_million / 1_000_000

    def cost(self, tokens: int) -> float:
        """Return US dollars; 0 where reading queries has no price."""
        return tokens * self._price

    def query_cost(self, query: str, mode: Mode) -> float:
        """Return what reading a query will cost, in US dollars; it is counted only where that has a price."""
        return self.cost(self._count(query, mode)) if self._price else 0.0

    def entry(
        self, caller: Caller, query: str, mode: Mode, team_id: str | None, reservation: UUID | None = None
    ) -> UsageEntry:
        """Return the entry of a query that has been embedded; team_id is the one team that was searched, if one was."""
        asked = mode is not Mode.LEXICAL and self._embedder.claim_charge(clean_query(query))
        tokens = self._count(query, mode) if asked else 0
        return UsageEntry(
            user_id=caller.user_id,
            team_id=team_id,
            key_id=caller.key_id,
            resource="search",
            action="query",
            tokens=tokens,
            cost=self.cost(tokens),
            metadata={"mode": mode.value, "model": self._embedder.model},
            reservation=reservation,
        )

    def _count(self, query: str, mode: Mode) -> int:
        if mode is Mode.LEXICAL:
            return 0
        return len(self._embedder.tokenizer_spec.load().token_starts(query))
