"""The int8 graph against the network it was made from, and against itself in other company."""

import numpy as np
import onnxruntime
import pytest
import torch

from models.intent.classifier import open_session
from models.intent.tokenizer import PAD
from models.intent.train.encoder import Encoder, padded
from models.intent.train.export import Exporter
from models.intent.train.rounding import Rounding
from models.intent.train.start import Shape

SHAPE = Shape(hidden=48, layers=3, heads=4, widened=96, vocabulary=120, positions=32, epsilon=1e-12)


def texts(count: int) -> list[list[int]]:
    rng = np.random.default_rng(3)
    return [rng.integers(4, 120, int(length)).tolist() for length in rng.integers(2, 30, count)]


@pytest.fixture(scope="module")
def network() -> Encoder:
    torch.manual_seed(1)
    encoder = Encoder(SHAPE, 5).eval()
    torch.nn.init.normal_(encoder.classify.weight, std=1.0)
    return encoder


@pytest.fixture(scope="module")
def session(network: Encoder, tmp_path_factory: pytest.TempPathFactory) -> onnxruntime.InferenceSession:
    rounding = Rounding(network)
    rounding.watch(texts(200))
    path = tmp_path_factory.mktemp("graph") / "model.onnx"
    rounding.start()
    rounding.finish()
    Exporter(network, rounding).write(path, positions=32)
    return open_session(path.read_bytes(), threads=1)


def run(session: onnxruntime.InferenceSession, batch: list[list[int]]) -> np.ndarray:
    lengths = np.array([len(each) for each in batch], np.int32)
    return session.run(None, {"ids": padded(batch).numpy(), "lengths": lengths})[0]


def test_the_graph_computes_what_the_rounded_network_computes(network, session):
    rounding = Rounding(network)
    rounding.watch(texts(200))
    rounding.start()
    with torch.inference_mode():
        wanted = network(padded(texts(40))).logits.numpy()
    rounding.finish()
    got = run(session, texts(40))
    assert np.abs(got - wanted).mean() < 0.02 * wanted.std()
    assert (got.argmax(1) == wanted.argmax(1)).mean() > 0.97


def test_rounding_changes_the_network_a_little_and_not_at_all_once_finished(network):
    with torch.inference_mode():
        before = network(padded(texts(40))).logits
        rounding = Rounding(network)
        rounding.watch(texts(200))
        rounding.start()
        rounded = network(padded(texts(40))).logits
        rounding.finish()
        after = network(padded(texts(40))).logits
    assert 0 < float((rounded - before).abs().mean()) < 0.1 * float(before.std())
    # the weights stay on their steps, the activations are free again
    assert 0 <= float((after - before).abs().mean()) < 0.1 * float(before.std())
    assert not any("parametrizations" in name for name in network.state_dict())


def test_a_text_gives_the_same_alone_in_company_and_at_every_place(session):
    batch = texts(24)
    alone = np.concatenate([run(session, [each]) for each in batch])
    for turn in range(0, 24, 5):
        turned = batch[turn:] + batch[:turn]
        together = run(session, turned)
        assert np.abs(together - np.roll(alone, -turn, 0)).max() < 1e-4


def test_padding_is_not_seen(session):
    short = texts(1)[0][:6]
    ids = np.array([[*short] + [PAD] * 20], np.int64)
    padded_out = session.run(None, {"ids": ids, "lengths": np.array([len(short)], np.int32)})[0]
    assert np.abs(padded_out - run(session, [short])).max() < 1e-4


def test_weights_never_use_the_eighth_bit(network, session, tmp_path):
    import onnx

    rounding = Rounding(network)
    rounding.watch(texts(50))
    Exporter(network, rounding).write(tmp_path / "m.onnx", positions=32)
    graph = onnx.load(tmp_path / "m.onnx").graph
    weights = [onnx.numpy_helper.to_array(each) for each in graph.initializer if each.name.endswith(".weights")]
    assert len(weights) == 2 * (1 + 1 + 2) + (2 + 1 + 2)
    assert all(each.dtype == np.int8 and np.abs(each.astype(int)).max() <= 63 for each in weights)
