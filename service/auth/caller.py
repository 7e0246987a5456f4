"""Who is asking, and which spaces they may see and change."""

from dataclasses import dataclass

SCOPES = frozenset({"documents:read", "documents:write", "search", "admin"})
"""What a key may be allowed; admin stands for all of them."""


@dataclass(frozen=True, slots=True)
class Caller:
    user_id: str
    key_id: str
    scopes: frozenset[str]
    spaces: tuple[str, ...]
    """The spaces the caller may read: their own, then their teams'."""
    writable_spaces: tuple[str, ...]
    """Those of them where the caller may add, change and delete."""

    @property
    def own_space(self) -> str:
        return self.user_id

    def may(self, scope: str) -> bool:
        return scope in self.scopes or "admin" in self.scopes
