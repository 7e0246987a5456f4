"""The shipped files: whole, vouched for, and loaded without a word to anybody."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from service.providers import ProviderNotConfigured
from service.providers.minilm import export
from service.providers.minilm.embedder import MiniLMEmbedder
from service.providers.minilm.files import CHECKSUMS, FOLDER, LOADED, SHIPPED, sha256_file, verify_files

MAX_BYTES = 45_000_000


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    for name in (*SHIPPED, CHECKSUMS):
        shutil.copyfile(FOLDER / name, tmp_path / name)
    return tmp_path


def test_every_shipped_file_has_its_checksum():
    lines = [line.split() for line in (FOLDER / CHECKSUMS).read_text().splitlines()]
    written = {name: digest for digest, name in lines}
    assert written == {name: sha256_file(FOLDER / name) for name in SHIPPED}


def test_the_shipped_tokenizer_is_the_official_one():
    assert sha256_file(FOLDER / "tokenizer.json") == export.OFFICIAL_SHA256["tokenizer.json"]


def test_the_model_is_small_enough_for_a_checkout():
    assert sum((FOLDER / name).stat().st_size for name in SHIPPED) <= MAX_BYTES


@pytest.mark.parametrize("name", LOADED)
def test_a_changed_file_is_refused(copied: Path, name: str):
    content = bytearray((copied / name).read_bytes())
    content[len(content) // 2] ^= 1
    (copied / name).write_bytes(content)
    with pytest.raises(ProviderNotConfigured, match=f"{name} does not match"):
        MiniLMEmbedder(copied)


@pytest.mark.parametrize("name", [*LOADED, CHECKSUMS])
def test_a_missing_file_is_named(copied: Path, name: str):
    (copied / name).unlink()
    with pytest.raises(ProviderNotConfigured, match=f"{name} is missing"):
        MiniLMEmbedder(copied)


def test_a_whole_copy_is_accepted(copied: Path):
    verify_files(copied)


def test_weights_that_are_not_official_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert export.main(["build", str(tmp_path), "--into", str(tmp_path)]) == 1
    assert "model.safetensors is missing" in capsys.readouterr().err
    (tmp_path / "model.safetensors").write_bytes(b"something else")
    assert export.main(["build", str(tmp_path), "--into", str(tmp_path)]) == 1
    assert export.OFFICIAL_SHA256["model.safetensors"] in capsys.readouterr().err


def test_loading_reports_nothing_to_anybody(tmp_path: Path):
    """OpenVINO's converter would report its import; it must not even be imported, nor leave files at home."""
    script = """
import json, socket, sys
def refuse(*args, **kwargs): raise AssertionError("a connection was tried")
socket.socket.connect = socket.getaddrinfo = refuse
from service.providers.minilm.embedder import MiniLMEmbedder
MiniLMEmbedder(threads=1)
print(json.dumps(sorted(name for name in sys.modules if "telemetry" in name or ".ovc." in name)))
"""
    environment = {**os.environ, "HOME": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
    environment.pop("CI", None)
    run = subprocess.run(
        [sys.executable, "-c", script],
        cwd=Path(__file__).parents[4],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert json.loads(run.stdout) == []
    assert list(tmp_path.iterdir()) == []
