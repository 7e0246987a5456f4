"""Every real file of a supported format: it is chunked soundly, or refused with a reason."""

import json
from pathlib import Path

import pytest

from ingest.chunk import chunk_document
from ingest.errors import EncryptedFile, IngestError, NoText
from ingest.parse import SUPPORTED_MEDIA_TYPES, parse, sniff_media_type
from ingest.parse.sniff import SNIFF_BYTES
from tests.ingest.tokenizers import MINILM_WINDOW_TOKENS, TIKTOKEN, WORDPIECE, assert_sound

pytestmark = pytest.mark.shared

MAX_BYTES = 1_000_000
"""The few larger files take as long as all others together."""

# Files that cannot be read, by what is wrong with them; every other one must be.
UNREADABLE = (NoText, EncryptedFile)


@pytest.mark.parametrize("media_type", SUPPORTED_MEDIA_TYPES)
def test_files_of_a_format(shared_dir: Path, media_type: str) -> None:
    extensions = SUPPORTED_MEDIA_TYPES[media_type]
    paths = [path for path in sorted((shared_dir / "docs").rglob("*")) if path.suffix.lower() in extensions]
    read = [path for path in paths if path.stat().st_size <= MAX_BYTES and is_read_soundly(path)]
    assert len(read) > len(paths) * 0.7


def is_read_soundly(path: Path) -> bool:
    try:
        with path.open("rb") as stream:
            media_type = sniff_media_type(stream.read(SNIFF_BYTES), path.name, None)
        parsed = parse(path, media_type, path.name)
    except IngestError as exc:
        assert isinstance(exc, UNREADABLE), path  # noqa: PT017 - which file it was is the point
        return False
    title = parsed.title or path.stem
    for spec, window in ((WORDPIECE, MINILM_WINDOW_TOKENS), (TIKTOKEN, 8191)):
        chunks = chunk_document(parsed, title=title, tokenizer=spec.load(), window_tokens=window)
        assert_sound(parsed, chunks, title, spec.load(), window)
    assert list(parsed.page_starts) == sorted(parsed.page_starts)
    json.dumps([parsed.text, parsed.title, dict(parsed.metadata)]).encode("utf-8")
    return True
