"""Networks that are flax modules: against the same networks in plain NumPy, and what is refused."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
from flax import nnx

import nctheory as nct
from nctheory import networks
from tests.helpers import unchecked_types

MIXTURE = networks.gaussian_mixture(counts=(5, 5, 5), dim=16, spread=0.2, test=4, key=2)


class Plain(nnx.Module):
    """Two layers of ReLUs and a head."""

    def __init__(self, rngs):
        self.first, self.second = nnx.Linear(16, 6, rngs=rngs), nnx.Linear(6, 5, rngs=rngs)
        self.head = nnx.Linear(5, 3, rngs=rngs)

    def __call__(self, x):
        one = nnx.relu(self.first(x))
        two = nnx.relu(self.second(one))
        return one, two, self.head(two)


def start(network, seed=0):
    return jax.tree.map(lambda x: np.asarray(x[0]), nct.starts(network, [seed]))


def test_a_module_is_the_same_problem_as_a_feed_forward_network():
    """Value, gradient and layers agree with `FeedForward` at the same parameters, and so does a training."""
    network = networks.module_on(MIXTURE, Plain, weight_decay=0.02, loss="cross_entropy")
    twin = networks.network_on(MIXTURE, (6, 5), weight_decay=0.02, loss="cross_entropy", bias=True)
    point = start(network)
    order = [point[name] for name in ("first", "second", "head")]
    same = networks.NetworkParams(tuple(x["kernel"].T for x in order), tuple(x["bias"] for x in order))
    assert point["head"]["kernel"].dtype == np.float64
    value, slope = network.value_and_grad(point)
    expected, gradient = twin.value_and_grad(same)
    assert float(value) == pytest.approx(float(expected), rel=1e-14)
    for i, name in enumerate(("first", "second", "head")):
        np.testing.assert_allclose(slope[name]["kernel"].T, gradient.weights[i], rtol=1e-11, atol=1e-14)
        np.testing.assert_allclose(slope[name]["bias"], gradient.biases[i], rtol=1e-11, atol=1e-14)
    for one, other in zip(network.layers(point), twin.layers(same), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-13, atol=1e-14)
    trained = networks.train(network, [0, 3], steps=4, optimiser="sgd", schedule="constant", checkpoints=(0,))
    reached, slopes = trained.at(0).params, jax.jit(jax.vmap(lambda p: network.value_and_grad(p)[1]))
    memory = jax.tree.map(np.zeros_like, reached)
    for _ in range(4):
        memory = jax.tree.map(lambda v, g: 0.9 * v + np.asarray(g), memory, slopes(reached))
        reached = jax.tree.map(lambda x, v: x - 0.05 * v, reached, memory)
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-10, atol=1e-13), trained.params, reached)
    found = networks.layer_metrics(trained)
    assert found.layers == ("inputs", "layer 1", "layer 2")
    np.testing.assert_array_equal(found.error[:, 2], trained.error)
    np.testing.assert_array_equal(
        networks.error_on(trained, MIXTURE.test_inputs, MIXTURE.test_labels),
        networks.layer_metrics(trained, MIXTURE.test_inputs, MIXTURE.test_labels).error[:, 2],
    )


def convolved(x, kernel, bias, stride):
    """3 x 3 convolution with zeros around, in loops: height x width x channels."""
    size = x.shape[0]
    out = -(-size // stride)
    # As much is added as the windows need, the odd one at the end.
    extra = max((out - 1) * stride + 3 - size, 0)
    padded = np.pad(x, ((extra // 2, extra - extra // 2),) * 2 + ((0, 0),))
    found = np.empty((out, out, kernel.shape[-1]))
    for i in range(out):
        for j in range(out):
            window = padded[i * stride : i * stride + 3, j * stride : j * stride + 3]
            found[i, j] = np.tensordot(window, kernel, axes=3) + bias
    return found


@pytest.mark.slow
def test_convolutions_are_those_of_plain_loops():
    data, make = networks.model_for("convolutions", MIXTURE, (3, 4), linear=2)
    network = networks.module_on(data, make)
    point = jax.tree.map(lambda x: x + 0.1, start(network))
    sample = data.inputs[1][..., None]
    low, up = point["convolutions"][0], point["convolutions"][1]
    first = np.maximum(convolved(sample, low["kernel"], low["bias"], 1), 0)
    second = np.maximum(convolved(first, up["kernel"], up["bias"], 2), 0)
    mean = second.mean(axis=(0, 1))
    tail = mean @ point["tail"][0]["kernel"] + point["tail"][0]["bias"]
    logits = tail @ point["head"]["kernel"] + point["head"]["bias"]
    layers = [np.asarray(layer)[:, 1] for layer in network.layers(point)]
    for one, other in zip(layers, (data.inputs[1].ravel(), first.ravel(), mean, tail, logits), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-13)
    assert network.layer_names == ("inputs", "layer 1", "layer 2", "layer 3")


def normed(x, held):
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-6) * held["scale"] + held["bias"]


@pytest.mark.slow
def test_attention_and_residual_blocks_are_those_of_plain_numpy():
    tokens = networks.markov_sequences(counts=(4, 4), vocabulary=5, length=6)
    make = networks.Transformer(width=8, blocks=1, heads=2, length=6, vocabulary=5, classes=2)
    network = networks.module_on(tokens, make)
    point = jax.tree.map(lambda x: x + 0.05, start(network))
    block = point["blocks"][0]
    x = np.eye(5)[tokens.inputs[2].astype(int)] @ point["embedding"]["kernel"] + point["embedding"]["bias"]
    x = x + point["positions"]
    seen, parts = normed(x, block["norm"]), []
    query, key, value = (
        np.einsum("td,dhe->the", seen, block["attention"][n]["kernel"]) + block["attention"][n]["bias"]
        for n in ("query", "key", "value")
    )
    for head in range(2):
        scores = scipy.special.softmax(query[:, head] @ key[:, head].T / np.sqrt(4), axis=-1)
        parts.append(scores @ value[:, head])
    out = block["attention"]["out"]
    x = x + np.einsum("the,hed->td", np.stack(parts, axis=1), out["kernel"]) + out["bias"]
    hidden = normed(x, block["second"]) @ block["up"]["kernel"] + block["up"]["bias"]
    hidden = 0.5 * hidden * (1 + np.tanh(np.sqrt(2 / np.pi) * (hidden + 0.044715 * hidden**3)))
    x = x + hidden @ block["down"]["kernel"] + block["down"]["bias"]
    np.testing.assert_allclose(np.asarray(network.layers(point)[1])[:, 2], x.mean(0), rtol=1e-10, atol=1e-12)

    data, make = networks.model_for("residual", MIXTURE, (7, 7))
    network = networks.module_on(data, make)
    point = jax.tree.map(lambda x: x + 0.05, start(network))
    h = data.inputs[3] @ point["embedding"]["kernel"] + point["embedding"]["bias"]
    for block in (point["blocks"][0], point["blocks"][1]):
        hidden = np.maximum(normed(h, block["norm"]) @ block["up"]["kernel"] + block["up"]["bias"], 0)
        h = h + hidden @ block["down"]["kernel"] + block["down"]["bias"]
    np.testing.assert_allclose(np.asarray(network.layers(point)[2])[:, 3], h, rtol=1e-10, atol=1e-12)


def test_the_decay_is_of_all_parameters_or_of_matrices_alone():
    network = networks.module_on(MIXTURE, Plain, weight_decay=0.5)
    point = start(network)
    leaves = jax.tree.leaves(jax.tree.map(lambda x: x + 1.0, point))
    every = 0.25 * sum(np.sum(x**2) for x in leaves)
    shifted = jax.tree.map(lambda x: x + 1.0, point)
    assert float(network.penalty(shifted)) == pytest.approx(every, rel=1e-13)
    alone = networks.module_on(MIXTURE, Plain, weight_decay=0.5, matrices_only=True)
    assert float(alone.penalty(shifted)) == pytest.approx(0.25 * sum(np.sum(x**2) for x in leaves if x.ndim > 1))
    half = networks.module_on(MIXTURE, Plain, weight_decay=0.5).samples(np.arange(4))
    assert half.targets.shape == (3, 4)


class Noisy(Plain):
    def __init__(self, rngs):
        super().__init__(rngs)
        self.noise = nnx.Dropout(0.5, rngs=rngs)


class Averaged(Plain):
    def __init__(self, rngs):
        super().__init__(rngs)
        self.norm = nnx.BatchNorm(5, rngs=rngs)


class Single(Plain):
    def __init__(self, rngs):
        super().__init__(rngs)
        self.second = nnx.Linear(6, 5, dtype=jnp.float32, rngs=rngs)


class Rounded(Plain):
    """Half precision within, and double at the end."""

    def __call__(self, x):
        *rest, logits = super().__call__(x.astype(jnp.bfloat16).astype(x.dtype))
        return (*rest, logits)


class Attentive(nnx.Module):
    """The attention of flax takes its softmax in single precision."""

    def __init__(self, rngs):
        self.attention = nnx.MultiHeadAttention(2, 4, decode=False, rngs=rngs)
        self.head = nnx.Linear(4, 3, rngs=rngs)

    def __call__(self, x):
        features = jnp.mean(self.attention(x.reshape(-1, 4, 4)), axis=1)
        return features, self.head(features)


class Scaled(Plain):
    def __call__(self, x):
        *rest, logits = super().__call__(x)
        return (*rest, 2.0 * logits)


class Wide(Plain):
    def __init__(self, rngs):
        super().__init__(rngs)
        self.head = nnx.Linear(5, 4, rngs=rngs)


@pytest.mark.parametrize(
    ("make", "change", "message"),
    [
        (Noisy, {}, r"make: expected a module whose state is parameters alone, got .*noise"),
        (Averaged, {}, r"make: expected a module whose state is parameters alone, got norm.*BatchStat"),
        (Single, {}, "make: expected a module that computes in double precision, got float32 from"),
        (Rounded, {}, "make: expected a module that computes in double precision, got bfloat16 from convert_element"),
        (Attentive, {}, "make: expected a module that computes in double precision, got float32 from"),
        (Scaled, {}, "head: expected the map from the last features to the logits, got 'head', which is not"),
        (Plain, {"head": "second"}, "head: expected the map from the last features to the logits"),
        (Plain, {"head": "tail"}, "head: expected a linear layer of the module"),
        (Wide, {}, "make: expected logits N x K with K = 3, got"),
        (7, {}, "make: expected a function of flax.nnx.Rngs, got 7"),
        (Plain, {"weight_decay": -1.0}, "weight_decay: expected a finite number of at least 0"),
    ],
)
def test_wrong_modules_are_named(make, change, message):
    with unchecked_types(), pytest.raises(ValueError, match=message):
        networks.module_on(MIXTURE, make, **change)


def test_wrong_models_are_named():
    with pytest.raises(ValueError, match="widths: expected the same width for every block, got 4, 5"):
        networks.model_for("residual", MIXTURE, (4, 5))
    with pytest.raises(ValueError, match="name: expected one of convolutions, mlp, residual, transformer"):
        networks.model_for("mlp", MIXTURE, (4,))
    odd = networks.gaussian_mixture(counts=(2, 2), dim=7, spread=0.1)
    with pytest.raises(ValueError, match="data: expected images for convolutions"):
        networks.model_for("convolutions", odd, (4,))
    with pytest.raises(ValueError, match="heads: expected a divisor of the width 6, got 4"):
        networks.Transformer(width=6)
    with pytest.raises(ValueError, match="data: expected one label a sample, got tags"):
        networks.module_on(MIXTURE.multi_label(2), Plain)
    network = networks.module_on(MIXTURE, Plain, head=None)
    trained = networks.train(network, 1, steps=1)
    assert np.isnan(networks.layer_metrics(trained).nc3).all()
    with pytest.raises(ValueError, match=r"inputs: expected shape \(16,\) a sample, got \(4, 4\)"):
        networks.error_on(trained, MIXTURE.inputs.reshape(-1, 4, 4), MIXTURE.labels)


def test_sequences_follow_their_chains():
    """The frequencies of transitions are those of each class's chain, and without strength all classes are alike."""
    data = networks.markov_sequences(counts=(300, 300), vocabulary=3, length=40, key=1, test=2)
    weights = np.exp(2.0 * np.random.default_rng(1).normal(size=(2, 3, 3)))
    expected = weights / weights.sum(-1, keepdims=True)
    for label in range(2):
        tokens = data.inputs[data.labels == label].astype(int)
        seen = np.zeros((3, 3))
        np.add.at(seen, (tokens[:, :-1].ravel(), tokens[:, 1:].ravel()), 1)
        deviation = np.sqrt(expected[label] * (1 - expected[label]) / seen.sum(-1, keepdims=True))
        assert np.all(np.abs(seen / seen.sum(-1, keepdims=True) - expected[label]) < 5 * deviation + 1e-12)
    alike = networks.markov_sequences(counts=(5, 5), vocabulary=4, length=5, strength=0.0)
    assert alike.inputs.max() <= 3
    for change, message in (
        ({"vocabulary": 1}, "vocabulary: expected at least 2"),
        ({"length": 1}, "length: expected at least 2"),
        ({"strength": np.nan}, "strength: expected a finite number"),
    ):
        with pytest.raises(ValueError, match=message):
            networks.markov_sequences(**{"counts": (2, 2), "vocabulary": 4, "length": 5, **change})


def test_equal_models_are_one_program():
    assert networks.ConvNet(channels=(3,)) == networks.ConvNet(channels=(3,))
    assert hash(networks.ResidualMLP()) == hash(dataclasses.replace(networks.ResidualMLP(blocks=2), blocks=5))
