"""The encoder that the export builds, on weights small enough to make up, and its reading of files."""

import json
import struct
from pathlib import Path

import numpy as np
import pytest

from service.providers.minilm import export, graph
from service.providers.minilm.files import FOLDER
from service.providers.minilm.runtime import ov

VOCABULARY = 50


@pytest.fixture(scope="module")
def weights() -> dict[str, np.ndarray]:
    """Random weights in the official model's shapes, but for a small vocabulary."""
    random = np.random.default_rng(5)

    def matrix(*shape: int) -> np.ndarray:
        return (random.standard_normal(shape) * 0.05).astype(np.float32)

    width, inner = graph.WIDTH, 4 * graph.WIDTH
    made = {
        "embeddings.word_embeddings.weight": matrix(VOCABULARY, width),
        "embeddings.position_embeddings.weight": matrix(512, width),
        "embeddings.token_type_embeddings.weight": matrix(2, width),
    }
    norms = ["embeddings.LayerNorm"]
    for layer in range(graph.LAYERS):
        prefix = f"encoder.layer.{layer}."
        for part in (
            "attention.self.query",
            "attention.self.key",
            "attention.self.value",
            "attention.output.dense",
        ):
            made[f"{prefix}{part}.weight"], made[f"{prefix}{part}.bias"] = matrix(width, width), matrix(width)
        made[f"{prefix}intermediate.dense.weight"], made[f"{prefix}intermediate.dense.bias"] = (
            matrix(inner, width),
            matrix(inner),
        )
        made[f"{prefix}output.dense.weight"], made[f"{prefix}output.dense.bias"] = (
            matrix(width, inner),
            matrix(width),
        )
        norms += [f"{prefix}attention.output.LayerNorm", f"{prefix}output.LayerNorm"]
    for norm in norms:
        made[f"{norm}.weight"], made[f"{norm}.bias"] = 1 + matrix(width), matrix(width)
    return made


def run(model, ids, mask) -> np.ndarray:
    compiled = ov.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    embedding: np.ndarray = compiled([np.asarray(ids, np.int32), np.asarray(mask, np.int32)])[0]
    return embedding


def test_padding_changes_nothing(weights):
    model = graph.build(weights)
    bare = run(model, [[1, 9, 4, 2]], [[1, 1, 1, 1]])
    padded = run(model, [[1, 9, 4, 2, 0, 0, 0, 0], [1, 8, 7, 6, 5, 4, 3, 2]], [[1] * 4 + [0] * 4, [1] * 8])
    np.testing.assert_allclose(padded[:1], bare, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(padded, axis=1), 1, atol=1e-5)


def test_word_order_matters(weights):
    rows = run(graph.build(weights), [[1, 9, 4, 2], [1, 4, 9, 2]], [[1] * 4] * 2)
    assert not np.allclose(rows[0], rows[1], atol=1e-3)


def test_int8_stays_close_to_float(weights):
    random = np.random.default_rng(6)
    ids = random.integers(1, VOCABULARY, (6, 40))
    taps = ov.Core().compile_model(
        graph.build_for_calibration(weights), "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
    )
    outputs = taps([ids.astype(np.int32), np.ones_like(ids, np.int32)])
    calibration = {
        name: graph.ChannelRange(outputs[i].min(axis=(0, 1)), outputs[i].max(axis=(0, 1)))
        for i, name in enumerate(graph.linear_layers())
    }
    exact = run(graph.build(weights), ids, np.ones_like(ids))
    rounded = run(graph.build(weights, calibration), ids, np.ones_like(ids))
    cosines = (exact * rounded).sum(axis=1)
    assert cosines.min() > 0.99
    assert not np.array_equal(exact, rounded)


def test_the_shipped_calibration_covers_every_layer():
    calibration = export.read_calibration(FOLDER / export.CALIBRATION)
    assert list(calibration) == list(graph.linear_layers())
    for name, seen in calibration.items():
        assert seen.low.shape == seen.high.shape == ((1536,) if graph.follows_gelu(name) else (384,))
        assert (seen.low < seen.high).all()


def test_safetensors_are_read(tmp_path: Path):
    tensor = np.arange(6, dtype="<f4").reshape(2, 3)
    header = {
        "__metadata__": {"format": "pt"},
        "positions": {"dtype": "I64", "shape": [1], "data_offsets": [0, 8]},
        "weight": {"dtype": "F32", "shape": [2, 3], "data_offsets": [8, 32]},
    }
    encoded = json.dumps(header).encode()
    path = tmp_path / "model.safetensors"
    path.write_bytes(struct.pack("<Q", len(encoded)) + encoded + bytes(8) + tensor.tobytes())
    tensors = export.read_safetensors(path)
    assert list(tensors) == ["weight"]
    np.testing.assert_array_equal(tensors["weight"], tensor)
