"""The BERT encoder of all-MiniLM-L6-v2 as an OpenVINO model, in float or with int8 matrix products.

Quantisation is static: weights int8 per output channel, activations uint8 with ranges recorded once over sample
texts. Outlier channels are first moved from activations into weights (SmoothQuant, Xiao et al., ICML 2023), at no
cost at run time: a scale behind a LayerNorm folds into it, one behind the attention folds into the value weights.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.providers.minilm.runtime import op, ov

LAYERS = 6
HEADS = 12
HEAD_WIDTH = 32
WIDTH = HEADS * HEAD_WIDTH
MAX_TOKENS = 256
"""What the model was trained on; its position table goes on to 512, untrained."""

# How much of an outlier moves into the weights, `alpha` of the paper. Of those tried these came closest to the float
# model; the paper's 0.5 leaves the product behind the GELU, with its range of -0.17..24, much worse (cosine .982).
_ALPHA = np.float32(0.75)
_AFTER_GELU_ALPHA = np.float32(0.85)
_TINY = np.float32(1e-5)

Array = NDArray[np.float32]
Weights = Mapping[str, Array]


@dataclass(frozen=True, slots=True)
class ChannelRange:
    """The smallest and largest value seen in each channel of one matrix product's input, (width,) float32."""

    low: Array
    high: Array


Calibration = Mapping[str, ChannelRange]
"""By the name of the linear layer that reads the input; query, key and value share that of query."""


def linear_layers() -> Iterator[str]:
    """Yield the layers whose inputs are quantised, in the order of the graph's calibration outputs."""
    for layer in range(LAYERS):
        prefix = f"encoder.layer.{layer}."
        yield prefix + "attention.self.query"
        yield prefix + "attention.output.dense"
        yield prefix + "intermediate.dense"
        yield prefix + "output.dense"


def follows_gelu(name: str) -> bool:
    """Whether the layer reads the feed-forward's inner activations, (4 * WIDTH) of them."""
    return name.endswith(".output.dense") and "attention" not in name


def build(weights: Weights, calibration: Calibration | None = None) -> ov.Model:
    """Return input_ids, attention_mask (n, t) int32 -> embedding (n, 384) float32 of length one.

    With a calibration the linear layers and the word table are int8. The mask must begin with a one in each row.
    """
    return _Builder(weights, calibration).model()


def build_for_calibration(weights: Weights) -> ov.Model:
    """Return the float model whose outputs are the inputs of linear_layers(), each (n, t, width)."""
    return _Builder(weights, None).taps_model()


class _Builder:
    def __init__(self, weights: Weights, calibration: Calibration | None) -> None:
        self.weights = weights
        self.calibration = calibration
        self.taps: dict[str, ov.Node] = {}
        self.ids = op.parameter([-1, -1], np.int32, name="input_ids")
        self.mask = op.parameter([-1, -1], np.int32, name="attention_mask")

    def model(self) -> ov.Model:
        embedding = op.result(self._pooled(self._encoded()), name="embedding")
        for node in (self.ids, self.mask):
            node.output(0).set_names({node.get_friendly_name()})
        embedding.output(0).set_names({"embedding"})
        model = ov.Model([embedding], [self.ids, self.mask], "all-MiniLM-L6-v2")
        # Names count on through a process; without this the file would depend on what was built before.
        for index, node in enumerate(model.get_ordered_ops()):
            if node not in (self.ids, self.mask, embedding):
                node.set_friendly_name(f"{node.get_type_name()}_{index}")
        return model

    def taps_model(self) -> ov.Model:
        self._encoded()
        return ov.Model(
            [op.result(self.taps[name]) for name in linear_layers()], [self.ids, self.mask], "taps"
        )

    def _encoded(self) -> ov.Node:
        mask = op.convert(self.mask, np.float32)
        # Added to the attention scores: 0 where there is a token, -10,000 where there is padding.
        bias = op.multiply(op.subtract(mask, _const(1.0)), _const(1e4))
        bias = op.unsqueeze(bias, _ints([1, 2]))
        hidden = self._embedded()
        for layer in range(LAYERS):
            hidden = self._layer(hidden, f"encoder.layer.{layer}.", bias)
        return hidden[0]

    def _embedded(self) -> "_Normed":
        tokens = op.gather(op.shape_of(self.ids), _ints([1]), _int(0))
        table = self.weights["embeddings.position_embeddings.weight"][:MAX_TOKENS]
        # Every text is a first sentence, so the type embedding is a constant of each position.
        table = table + self.weights["embeddings.token_type_embeddings.weight"][0]
        positions = op.slice(_const(table), _ints([0]), tokens, _ints([1]), _ints([0]))
        return self._normed(op.add(self._words(), positions), "embeddings.LayerNorm")

    def _words(self) -> ov.Node:
        table = self.weights["embeddings.word_embeddings.weight"]
        if self.calibration is None:
            return op.gather(_const(table), self.ids, _int(0))
        rows, scales = _int8_rows(table)
        gathered = op.convert(op.gather(op.constant(rows), self.ids, _int(0)), np.float32)
        return op.multiply(gathered, op.gather(_const(scales), self.ids, _int(0)))

    def _layer(self, hidden: "_Normed", prefix: str, bias: ov.Node) -> "_Normed":
        context = self._attention(hidden, prefix, bias)
        name = prefix + "attention.output"
        hidden = self._normed(op.add(context, hidden[0]), name + ".LayerNorm")
        inner = self._feed_forward(hidden, prefix)
        return self._normed(op.add(inner, hidden[0]), prefix + "output.LayerNorm")

    def _attention(self, hidden: "_Normed", prefix: str, bias: ov.Node) -> ov.Node:
        names = [prefix + f"attention.self.{part}" for part in ("query", "key", "value")]
        matrices = [self.weights[name + ".weight"] for name in names]
        offsets = [self.weights[name + ".bias"] for name in names]
        output = prefix + "attention.output.dense"
        output_matrix = self.weights[output + ".weight"]
        smooth = self._smoothing(output, output_matrix)
        # Attention mixes tokens, never channels, so a scale of its output is a scale of its values.
        matrices[2] = matrices[2] / smooth[:, None]
        offsets[2] = offsets[2] / smooth

        shared = np.concatenate(matrices)
        scaled, input_smooth = self._input(hidden, names[0], shared)
        query, key, value = (
            _split_heads(self._linear(scaled, matrix * input_smooth, offset))
            for matrix, offset in zip(matrices, offsets, strict=True)
        )
        scores = op.multiply(op.matmul(query, key, False, True), _const(HEAD_WIDTH**-0.5))
        mixed = op.matmul(op.softmax(op.add(scores, bias), -1), value, False, False)
        context = op.reshape(op.transpose(mixed, _ints([0, 2, 1, 3])), _ints([0, 0, WIDTH]), True)
        self.taps[output] = context
        quantised = self._quantised(context, output, smooth)
        return self._linear(quantised, output_matrix * smooth, self.weights[output + ".bias"])

    def _feed_forward(self, hidden: "_Normed", prefix: str) -> ov.Node:
        name = prefix + "intermediate.dense"
        matrix = self.weights[name + ".weight"]
        scaled, smooth = self._input(hidden, name, matrix)
        inner = op.gelu(self._linear(scaled, matrix * smooth, self.weights[name + ".bias"]), "erf")
        name = prefix + "output.dense"
        matrix = self.weights[name + ".weight"]
        smooth = self._smoothing(name, matrix)
        self.taps[name] = inner
        if self.calibration is not None:
            inner = self._quantised(op.multiply(inner, _const(1 / smooth)), name, smooth)
        return self._linear(inner, matrix * smooth, self.weights[name + ".bias"])

    def _normed(self, node: ov.Node, name: str) -> "_Normed":
        normal = op.mvn(node, _ints([-1]), True, 1e-12, "inside_sqrt")
        gain, offset = self.weights[name + ".weight"], self.weights[name + ".bias"]
        return op.add(op.multiply(normal, _const(gain)), _const(offset)), normal, gain, offset

    def _input(self, hidden: "_Normed", name: str, matrix: Array) -> tuple[ov.Node, Array]:
        """Return the layer's input divided by its smoothing, quantised, and that smoothing."""
        plain, normal, gain, offset = hidden
        self.taps[name] = plain
        smooth = self._smoothing(name, matrix)
        if self.calibration is None:
            return plain, smooth
        scaled = op.add(op.multiply(normal, _const(gain / smooth)), _const(offset / smooth))
        return self._quantised(scaled, name, smooth), smooth

    def _smoothing(self, name: str, matrix: Array) -> Array:
        """Return what each input channel is divided by, and its weights multiplied by; ones without calibration."""
        if self.calibration is None:
            return np.ones(matrix.shape[1], np.float32)
        seen = self.calibration[name]
        activation = np.maximum(np.maximum(np.abs(seen.low), np.abs(seen.high)), _TINY)
        alpha = _AFTER_GELU_ALPHA if follows_gelu(name) else _ALPHA
        smooth: Array = activation**alpha / np.maximum(np.abs(matrix).max(axis=0), _TINY) ** (1 - alpha)
        return smooth

    def _quantised(self, node: ov.Node, name: str, smooth: Array) -> ov.Node:
        if self.calibration is None:
            return node
        seen = self.calibration[name]
        low, high = float((seen.low / smooth).min()), float((seen.high / smooth).max())
        # The range is moved so that zero is one of the 256 levels exactly.
        step = (high - low) / 255
        low = -round(-low / step) * step
        bounds = [_const(low), _const(low + 255 * step)]
        return op.fake_quantize(node, *bounds, *bounds, 256)

    def _linear(self, node: ov.Node, matrix: Array, offset: Array) -> ov.Node:
        if self.calibration is None:
            factor = _const(matrix)
        else:
            rows, scales = _int8_rows(matrix)
            factor = op.multiply(op.convert(op.constant(rows), np.float32), _const(scales))
        return op.add(op.matmul(node, factor, False, True), _const(offset))

    def _pooled(self, hidden: ov.Node) -> ov.Node:
        """Mean over the tokens, of length one. The division by their count is left to the normalisation."""
        mask = op.unsqueeze(op.convert(self.mask, np.float32), _ints([2]))
        total = op.reduce_sum(op.multiply(hidden, mask), _ints([1]), False)
        return op.normalize_l2(total, _ints([1]), 1e-12, "max")


_Normed = tuple[ov.Node, ov.Node, Array, Array]
"""A LayerNorm's output, its input to gain and offset, and those two."""


def _split_heads(node: ov.Node) -> ov.Node:
    split = op.reshape(node, _ints([0, 0, HEADS, HEAD_WIDTH]), True)
    return op.transpose(split, _ints([0, 2, 1, 3]))


def _int8_rows(matrix: Array) -> tuple[NDArray[np.int8], Array]:
    """Return integers in -127..127 and the (rows, 1) steps that make the matrix of them."""
    scales = np.abs(matrix).max(axis=1, keepdims=True) / np.float32(127)
    scales = np.maximum(scales, np.float32(1e-12))
    return np.rint(matrix / scales).astype(np.int8), scales


def _const(value: NDArray[np.floating] | float) -> ov.Node:
    return op.constant(np.asarray(value, np.float32))


def _int(value: int) -> ov.Node:
    return op.constant(np.asarray(value, np.int64))


def _ints(values: list[int]) -> ov.Node:
    return op.constant(np.asarray(values, np.int64))
