"""The object store of uploaded bytes: a folder, or an S3-compatible bucket."""

import contextlib
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import obstore
from obstore.exceptions import BaseError as StoreError
from obstore.store import LocalStore, ObjectStore, from_url

from ingest.errors import OriginalMissing


class Originals:
    """Keeps each upload under a key of its own; a key is written once and never changed."""

    def __init__(self, store: ObjectStore, folder: Path | None) -> None:
        self._store = store
        self._folder = folder

    @classmethod
    def open(cls, url: str | None, *, default_folder: Path) -> "Originals":
        """Open s3://bucket/prefix (credentials from the AWS_* environment), or a folder that is made if missing."""
        if url is not None and "://" in url and not url.startswith("file://"):
            return cls(from_url(url), None)
        folder = Path(url.removeprefix("file://")) if url else default_folder
        folder.mkdir(parents=True, exist_ok=True)
        return cls(LocalStore(prefix=folder.resolve()), folder.resolve())

    async def put(self, key: str, parts: AsyncIterator[bytes]) -> None:
        """Stream parts to key; nothing is left behind when parts raises."""
        writer = obstore.open_writer_async(self._store, key)
        try:
            async for part in parts:
                await writer.write(part)
        except BaseException:
            # An unclosed writer may already have made the object or begun a multipart upload.
            with contextlib.suppress(StoreError, OSError):
                await writer.close()
            await self.delete(key)
            raise
        await writer.close()

    async def delete(self, key: str) -> None:
        """Delete key; a key that is not there is fine."""
        with contextlib.suppress(FileNotFoundError):
            await obstore.delete_async(self._store, key)

    async def stream(self, key: str) -> AsyncIterator[bytes]:
        """Yield the bytes of key. Raises OriginalMissing before the first of them."""
        try:
            result = await obstore.get_async(self._store, key)
        except FileNotFoundError as exc:
            raise OriginalMissing("The original file is no longer in the object store.") from exc
        async for part in result.stream(min_chunk_size=256 * 1024):
            yield bytes(part)

    @contextlib.asynccontextmanager
    async def as_file(self, key: str) -> AsyncIterator[Path]:
        """Yield a path that holds the bytes of key: the stored file itself, or a temporary copy."""
        if self._folder is not None:
            path = self._folder / key
            if not path.is_file():
                raise OriginalMissing("The original file is no longer in the object store.")
            yield path
            return
        with tempfile.NamedTemporaryFile(prefix="docsearch-", suffix=Path(key).suffix) as file:
            async for part in self.stream(key):
                file.write(part)
            file.flush()
            yield Path(file.name)
