"""The model files shipped in this folder, and the checksums that vouch for them."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

from service.providers.errors import ModelFilesDamaged

FOLDER = Path(__file__).parent
CHECKSUMS = "SHA256SUMS"
SHIPPED = ("calibration.npy", "model.bin", "model.xml", "tokenizer.json")
LOADED = ("model.bin", "model.xml", "tokenizer.json")


def verify_files(folder: Path) -> None:
    """Raise ModelFilesDamaged unless every file that is loaded has the SHA-256 written in SHA256SUMS."""
    expected = _read_checksums(folder / CHECKSUMS)
    for name in LOADED:
        path = folder / name
        if not path.is_file():
            raise ModelFilesDamaged(
                f"The embedding model is incomplete: {path} is missing. Install docsearch again."
            )
        if sha256_file(path) != expected.get(name):
            raise ModelFilesDamaged(
                f"The embedding model is damaged: {path} does not match {CHECKSUMS}. Install docsearch again."
            )


def write_checksums(folder: Path, names: Iterable[str]) -> None:
    """Write the format of `sha256sum`, so that `sha256sum -c SHA256SUMS` checks it too."""
    lines = [f"{sha256_file(folder / name)}  {name}\n" for name in names]
    (folder / CHECKSUMS).write_text("".join(lines), encoding="ascii")


def sha256_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read_checksums(path: Path) -> dict[str, str]:
    if not path.is_file():
        raise ModelFilesDamaged(
            f"The embedding model is incomplete: {path} is missing. Install docsearch again."
        )
    pairs = (line.split() for line in path.read_text(encoding="ascii").splitlines())
    return {name: digest for digest, name in pairs}


def _missing(path: Path) -> ModelFilesDamaged:
    return ModelFilesDamaged(
        f"The embedding model is incomplete: {path} is missing. Install docsearch again."
    )
