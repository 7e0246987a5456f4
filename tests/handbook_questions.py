"""Questions in plain words, and the one passage of the shipped handbook that answers each."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class HandbookQuestion:
    question: str
    filename: str
    phrase: str
    """Stands in the right passage, whitespace apart, and in no other document of the handbook."""
    page: int | None = None
    """The PDF page of the phrase; None for formats without pages."""


HANDBOOK_QUESTIONS = (
    HandbookQuestion(
        "How do I start the service with make serve, and how do I stop it?",
        "getting-started.md",
        "Press Ctrl-C to stop",
    ),
    HandbookQuestion(
        "Do I need a network connection to embed my documents?",
        "getting-started.md",
        "Nothing leaves the machine",
    ),
    HandbookQuestion(
        "My scanned PDF cannot be searched, what now?",
        "uploading-documents.md",
        "holds only pictures of pages",
    ),
    HandbookQuestion(
        "How can I send the same upload again without making a duplicate?",
        "uploading-documents.md",
        "Send an Idempotency-Key header",
    ),
    HandbookQuestion(
        "Which search mode is right for part numbers and error codes?",
        "searching.md",
        "It is the right mode for",
    ),
    HandbookQuestion("Is the score of a hit a probability?", "searching.md", "It is not a probability"),
    HandbookQuestion(
        "Why are my character positions off by one after an emoji in JavaScript?",
        "citations.html",
        "where an emoji and many rare characters count as two",
    ),
    HandbookQuestion(
        "Does the page number follow what is printed on the paper?",
        "citations.html",
        "Pages are counted from the",
    ),
    HandbookQuestion(
        "Somebody committed an API key to a repository, what should I do?",
        "keys-and-teams.md",
        "Revoke it first",
    ),
    HandbookQuestion("What may a VIEWER of a team do?", "keys-and-teams.md", "Read and search only"),
    HandbookQuestion(
        "What happens if the file secret.key is lost?", "administration.pdf", "If secret.key is lost", page=1
    ),
    HandbookQuestion(
        "Which setting must I change behind pgbouncer in transaction mode?",
        "administration.pdf",
        "set DATABASE_STATEMENT_CACHE_SIZE to 0 there",
        page=2,
    ),
    HandbookQuestion(
        "In which order do I copy the database and the original files for a backup?",
        "administration.pdf",
        "Copy the originals afterwards, never before",
        page=3,
    ),
    HandbookQuestion(
        "How many workflows and executions does the PRO plan include?", "administration.pdf", "50,000", page=4
    ),
    HandbookQuestion(
        "How much disk space do one hundred thousand pages need?",
        "administration.pdf",
        "One hundred thousand pages therefore need",
        page=4,
    ),
    HandbookQuestion(
        "Why does my document stay queued?", "troubleshooting.md", "No worker is running, or it is busy"
    ),
)
