"""The handbook that ships with docsearch and is ingested on first start: something real to search."""

from pathlib import Path

_FOLDER = Path(__file__).parent

# In reading order.
_NAMES = (
    "getting-started.md",
    "uploading-documents.md",
    "searching.md",
    "citations.html",
    "keys-and-teams.md",
    "administration.pdf",
    "troubleshooting.md",
)


def handbook_files() -> tuple[Path, ...]:
    """Return the handbook's files in reading order; each one's title is in the file itself."""
    return tuple(_FOLDER / name for name in _NAMES)
