"""What each tool takes. The schemas that clients see are made of these types, and calls are checked against them."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

MAX_TEXT_CHARS = 20_000
"""Of a document's text in one call, in code points: what a model can be given at once beside all else."""

MAX_CONTENT_CHARS = 500_000
"""Of a document that is added as text; at most four bytes each, and more escaped, within the body of a request."""

MAX_WAIT_S = 50
"""Clients commonly give up after 60 seconds."""

DocumentId = Annotated[
    str, Meta(pattern=r"^[\w-]{1,100}$", description="The id of a document, as other tools return it.")
]
DocumentIds = Annotated[
    Annotated[list[DocumentId], Meta(max_length=1000)] | None,
    Meta(description="Only in these documents."),
]
CollectionIds = Annotated[
    Annotated[list[Annotated[str, Meta(max_length=100)]], Meta(max_length=100)] | None,
    Meta(description="Only in these collections of documents."),
]
TeamId = Annotated[
    Annotated[str, Meta(max_length=100)] | None,
    Meta(description="Only in this team's documents. Unset: the user's own and those of all their teams."),
]
Filters = Annotated[
    dict[str, Any] | None,
    Meta(
        description=(
            'Only in documents with this metadata, as {"type": "eq", "key": "year", "value": 2024}. Types: eq, ne, '
            "gt, gte, lt, lte; in and nin with a list as value; contains, startswith and endswith with a string; empty "
            'with no value; and {"type": "and" | "or", "filters": [...]}, {"type": "not", "filter": ...}.'
        )
    ),
]


class Arguments(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """What a tool is called with."""


class SearchArguments(Arguments, kw_only=True, frozen=True):
    query: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=4000,
            description="What to look for: a question, or words, in the language of the documents.",
        ),
    ]
    top_k: Annotated[int, Meta(ge=1, le=50, description="How many passages to return at most.")] = 8
    mode: Annotated[
        Literal["hybrid", "semantic", "lexical"],
        Meta(
            description="hybrid: meaning and words together, the best for most. semantic: meaning alone. "
            "lexical: words alone, for names, numbers and codes."
        ),
    ] = "hybrid"
    filters: Filters = None
    document_ids: DocumentIds = None
    collection_ids: CollectionIds = None
    team_id: TeamId = None


class AskArguments(Arguments, kw_only=True, frozen=True):
    question: Annotated[
        str, Meta(min_length=1, max_length=4000, description="The question, complete in itself.")
    ]
    model: Annotated[
        Annotated[str, Meta(min_length=1, max_length=200)] | None,
        Meta(description="The id of the AI model that is to write the answer. Unset: the server's choice."),
    ] = None
    top_k: Annotated[
        Annotated[int, Meta(ge=1, le=50)] | None,
        Meta(description="How many passages the answer may rest on. Unset: the server's choice."),
    ] = None
    filters: Filters = None
    document_ids: DocumentIds = None
    collection_ids: CollectionIds = None
    team_id: TeamId = None


class GetArguments(Arguments, kw_only=True, frozen=True):
    document_id: DocumentId
    char_start: Annotated[
        Annotated[int, Meta(ge=0)] | None,
        Meta(description="Also return the text from this character on, counted from 0. Unset: no text."),
    ] = None
    char_end: Annotated[
        Annotated[int, Meta(ge=1)] | None,
        Meta(
            description="And up to before this character. Unset: as far as one call goes, "
            f"{MAX_TEXT_CHARS:,} characters."
        ),
    ] = None


class ListArguments(Arguments, kw_only=True, frozen=True):
    limit: Annotated[int, Meta(ge=1, le=100, description="How many documents to return at most.")] = 20
    after: Annotated[
        Annotated[str, Meta(max_length=500)] | None,
        Meta(description="next_cursor of the page before. Unset: the first page."),
    ] = None
    status: Annotated[
        Literal["queued", "processing", "ready", "failed"] | None,
        Meta(description="Only documents in this state; those that are ready can be searched."),
    ] = None


class AddArguments(Arguments, kw_only=True, frozen=True):
    title: Annotated[
        Annotated[str, Meta(min_length=1, max_length=500)] | None,
        Meta(description="Its title. Required with content; with url, unset: the page's own."),
    ] = None
    content: Annotated[
        Annotated[str, Meta(min_length=1, max_length=MAX_CONTENT_CHARS)] | None,
        Meta(description="The text of the document. Either this or url."),
    ] = None
    url: Annotated[
        Annotated[str, Meta(min_length=1, max_length=2048, pattern=r"^https?://")] | None,
        Meta(description="The public address of a page or file to fetch. Either this or content."),
    ] = None
    metadata: Annotated[
        dict[str, Any] | None, Meta(description='Anything to filter by later, as {"year": 2024}.')
    ] = None
    team_id: Annotated[
        Annotated[str, Meta(max_length=100)] | None,
        Meta(description="The team to share it with. Unset: it is the user's alone."),
    ] = None
    wait_s: Annotated[
        int, Meta(ge=0, le=MAX_WAIT_S, description="Seconds to wait until it can be searched.")
    ] = 20
