"""What may be sent to become a document, beside a file."""

from typing import Annotated, Any

import msgspec

Title = Annotated[str, msgspec.Meta(min_length=1, max_length=500)]
SourceUrl = Annotated[str, msgspec.Meta(min_length=1, max_length=2048)]


class NewText(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """A document given as text."""

    title: Title
    content: Annotated[str, msgspec.Meta(min_length=1)]
    metadata: dict[str, Any] | None = None
    team_id: str | None = None
    source_url: SourceUrl | None = None


class NewUrl(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """A document to fetch from a public address."""

    url: SourceUrl
    title: Title | None = None
    metadata: dict[str, Any] | None = None
    team_id: str | None = None
