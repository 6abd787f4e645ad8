"""The student as an ONNX graph in int8, written node by node.

Every matrix gets activations in 8 bits between the fixed ends that `rounding` took, and weights in 7 bits with a
step for each column; sums are whole numbers, so a text's result does not depend on what is in the batch beside it.
Embeddings are int8 with a step for each row. Norms, attention weights and the classifier stay in single precision.

Graph: ``ids`` (B, T) int64, padded at the end, and ``lengths`` (B) int32 give ``logits`` (B, C) float32.
The operators of the domain ``com.microsoft`` are ONNX Runtime's own:
https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md
"""
# torch and onnx are typed in parts only
# pyright: basic

from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from models.intent.train.encoder import Encoder
from models.intent.train.rounding import ACTIVATION_STEPS, WEIGHT_STEPS, Ends, Rounding

_OPSET = 20
_RUNTIME = "com.microsoft"
_EMBEDDING_STEPS = 127

Array = npt.NDArray[Any]


class _Graph:
    """Nodes and constants in the making; each method returns the name of what it made."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, onnx.TensorProto] = {}

    def constant(self, name: str, values: Array) -> str:
        if name not in self.constants:
            self.constants[name] = numpy_helper.from_array(np.ascontiguousarray(values), name)
        return name

    def node(self, operator: str, inputs: list[str], output: str, *, own: bool = False, **attributes: Any) -> str:
        domain = _RUNTIME if own else ""
        self.nodes.append(helper.make_node(operator, inputs, [output], domain=domain, **attributes))
        return output


class _Matrix:
    """A matrix with its bias as the export holds them: (in, out) int8, a step for each column."""

    def __init__(self, weights: Array, bias: Array) -> None:
        steps = np.maximum(np.abs(weights).max(1), 1e-8) / WEIGHT_STEPS
        self.numbers = np.round(weights / steps[:, None]).astype(np.int8).T
        self.steps = steps.astype(np.float32)
        self.bias = bias.astype(np.float32)


class Exporter:
    """Writes one encoder.

    Args:
        encoder: trained, with the rounding finished.
        rounding: the ends of its activations.
    """

    def __init__(self, encoder: Encoder, rounding: Rounding) -> None:
        self._shape = encoder.shape
        self._weights = {name: cast("Array", each.detach().numpy()) for name, each in encoder.state_dict().items()}
        self._rounding = rounding
        self._graph = _Graph()

    def write(self, path: Path, *, positions: int) -> None:
        """Write the graph; ``positions`` is the longest text in tokens."""
        x = self._embed(positions)
        last = self._shape.layers - 1
        for layer in range(last):
            x = self._layer(layer, x)
        x = self._last_layer(last, x)
        self._classify(x)
        intents = self._weights["classify.bias"].shape[0]
        graph = helper.make_graph(
            self._graph.nodes,
            "intent",
            [
                helper.make_tensor_value_info("ids", TensorProto.INT64, ["batch", "tokens"]),
                helper.make_tensor_value_info("lengths", TensorProto.INT32, ["batch"]),
            ],
            [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", intents])],
            list(self._graph.constants.values()),
        )
        model = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", _OPSET), helper.make_opsetid(_RUNTIME, 1)],
            ir_version=10,
            producer_name="raydesk",
        )
        path.write_bytes(model.SerializeToString())

    def _embed(self, positions: int) -> str:
        g = self._graph
        words = self._weights["words.weight"]
        steps = np.maximum(np.abs(words).max(1, keepdims=True), 1e-8) / _EMBEDDING_STEPS
        numbers = g.constant("words", np.round(words / steps).astype(np.int8))
        g.constant("words.steps", steps.astype(np.float32))
        g.node("Gather", [numbers, "ids"], "word.numbers")
        g.node("Cast", ["word.numbers"], "word.floats", to=TensorProto.FLOAT)
        g.node("Gather", ["words.steps", "ids"], "word.steps")
        g.node("Mul", ["word.floats", "word.steps"], "word.values")
        g.constant("positions", self._weights["positions.weight"][:positions].astype(np.float32))
        g.node("Shape", ["ids"], "tokens", start=1)
        g.constant("zero", np.array([0], np.int64))
        g.node("Slice", ["positions", "zero", "tokens"], "position.values")
        g.node("Add", ["word.values", "position.values"], "summed")
        return g.node(
            "LayerNormalization", ["summed", *self._norm("embedded_norm")], "embedded", epsilon=self._shape.epsilon
        )

    def _layer(self, number: int, x: str) -> str:
        name = f"layers.{number}"
        attended = self._attention(name, x)
        return self._feed_forward(name, attended, x)

    def _attention(self, name: str, x: str) -> str:
        ends = self._rounding.of(f"{name}.query")
        step, zero = self._ends(f"{name}.x", ends)
        numbers = self._graph.node("QuantizeLinear", [x, step, zero], f"{name}.x.numbers")
        joined = self._joined(name, ("query", "key", "value"))
        constants = self._matrix(f"{name}.qkv", joined)
        return self._graph.node(
            "QAttention",
            [numbers, constants[0], constants[3], step, constants[1], "lengths", zero, constants[2]],
            f"{name}.heads",
            own=True,
            num_heads=self._shape.heads,
        )

    def _last_layer(self, number: int, x: str) -> str:
        """Keys and values of all tokens, all else of the first token only."""
        g, name = self._graph, f"layers.{number}"
        first = g.node("Slice", [x, "zero", g.constant("one", np.array([1], np.int64)), "one"], "first")
        step, zero = self._ends(f"{name}.x", self._rounding.of(f"{name}.query"))
        all_numbers = g.node("QuantizeLinear", [x, step, zero], f"{name}.x.numbers")
        first_numbers = g.node("QuantizeLinear", [first, step, zero], f"{name}.first.numbers")
        query = self._times(f"{name}.query", first_numbers, (step, zero), self._joined(name, ("query",)))
        both = self._times(f"{name}.kv", all_numbers, (step, zero), self._joined(name, ("key", "value")))
        sizes = g.constant("halves", np.array([self._shape.hidden] * 2, np.int64))
        g.nodes.append(helper.make_node("Split", [both, sizes], [f"{name}.key", f"{name}.value"], axis=2))
        heads = g.node(
            "MultiHeadAttention",
            [query, f"{name}.key", f"{name}.value", "", "lengths"],
            f"{name}.heads",
            own=True,
            num_heads=self._shape.heads,
        )
        return self._feed_forward(name, heads, first)

    def _feed_forward(self, name: str, heads: str, x: str) -> str:
        attended = self._linear(f"{name}.attended", heads)
        x = self._skip_norm(f"{name}.attended_norm", attended, x)
        widened = self._linear(f"{name}.widen", x)
        bent = self._graph.node("Gelu", [widened], f"{name}.bent", own=True)
        return self._skip_norm(f"{name}.norm", self._linear(f"{name}.narrow", bent), x)

    def _linear(self, name: str, x: str) -> str:
        step, zero = self._ends(name, self._rounding.of(name))
        numbers = self._graph.node("QuantizeLinear", [x, step, zero], f"{name}.numbers")
        layer, _, part = name.rpartition(".")
        return self._times(name, numbers, (step, zero), self._joined(layer, (part,)))

    def _times(self, name: str, numbers: str, ends: tuple[str, str], matrix: _Matrix) -> str:
        weights, steps, zeros, bias = self._matrix(name, matrix)
        return self._graph.node(
            "MatMulIntegerToFloat", [numbers, weights, ends[0], steps, ends[1], zeros, bias], f"{name}.out", own=True
        )

    def _skip_norm(self, name: str, x: str, skipped: str) -> str:
        """Add and normalise in two nodes: ONNX Runtime's operator for both takes five times as long on a CPU."""
        summed = self._graph.node("Add", [x, skipped], f"{name}.sum")
        return self._graph.node(
            "LayerNormalization", [summed, *self._norm(name)], f"{name}.out", epsilon=self._shape.epsilon
        )

    def _classify(self, x: str) -> None:
        g = self._graph
        g.constant("classify", self._weights["classify.weight"].T.astype(np.float32))
        g.constant("classify.bias", self._weights["classify.bias"].astype(np.float32))
        flat = g.node("Flatten", [x], "flat", axis=1)
        g.node("Gemm", [flat, "classify", "classify.bias"], "logits")

    def _joined(self, layer: str, parts: tuple[str, ...]) -> _Matrix:
        weights = np.concatenate([self._weights[f"{layer}.{part}.weight"] for part in parts])
        return _Matrix(weights, np.concatenate([self._weights[f"{layer}.{part}.bias"] for part in parts]))

    def _matrix(self, name: str, matrix: _Matrix) -> tuple[str, str, str, str]:
        g = self._graph
        return (
            g.constant(f"{name}.weights", matrix.numbers),
            g.constant(f"{name}.steps", matrix.steps),
            g.constant(f"{name}.zeros", np.zeros(len(matrix.steps), np.int8)),
            g.constant(f"{name}.bias", matrix.bias),
        )

    def _ends(self, name: str, ends: Ends) -> tuple[str, str]:
        g = self._graph
        assert 0 <= ends.zero <= ACTIVATION_STEPS
        return (
            g.constant(f"{name}.in.step", np.array(ends.step, np.float32)),
            g.constant(f"{name}.in.zero", np.array(ends.zero, np.uint8)),
        )

    def _norm(self, name: str) -> list[str]:
        weight, bias = self._weights[f"{name}.weight"], self._weights[f"{name}.bias"]
        return [
            self._graph.constant(f"{name}.weight", weight.astype(np.float32)),
            self._graph.constant(f"{name}.bias", bias.astype(np.float32)),
        ]
