"""Laws of rank and variability on flax modules: what enters kernels by hand, starts that are critical, and wrong programs."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nctheory import networks
from tests.networks import laws


@functools.cache
def drawn(name):
    """The networks of a file, which take their time to be built."""
    draw = {"module_starts": "draw_grouped", "module_linear_head": "draw_heads"}[name]
    with jax.enable_x64(True):
        return [instance.problem for instance in getattr(laws(name), draw)(jax.random.key(3))]


@functools.cache
def started(name, at):
    """One drawn network and a start of it."""
    network = drawn(name)[at]
    return network, jax.jit(lambda key: network.init(key, 1.0))(jax.random.key(1))


gradient = jax.jit(lambda network, point: network.value_and_grad(point)[1])
outputs = jax.jit(lambda network, point: network.layers(point))


def test_what_enters_a_kernel_times_it_is_what_it_puts_out_and_times_the_gradient_there_is_its_own():
    """By layers that the module itself puts out, and by the gradient of the problem, which knows of no positions."""
    layers = laws("module_layers")
    for at in (2, 10):
        network, point = started("module_starts", at)
        whole = gradient(network, point)
        for path, passage in zip(layers.sizes(network), layers.sweep(network, point), strict=True):
            written = np.einsum("npi,npo->io", passage.entering, passage.backward)
            slope = np.asarray(layers.array_at(whole, path)).reshape(written.shape)
            np.testing.assert_allclose(
                written + float(network.weight_decay) * np.asarray(passage.kernel), slope, rtol=1e-9, atol=1e-13
            )
        *_, features, logits = outputs(network, point)
        np.testing.assert_allclose(passage.entering[:, 0], features.T, rtol=1e-12, atol=1e-14)
        head = np.asarray(passage.entering[:, 0] @ passage.kernel) + np.asarray(point["head"]["bias"])
        np.testing.assert_allclose(head.T, logits, rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(
            passage.backward[:, 0].T,
            network.loss.gradient(logits, network.targets) / logits.shape[1],
            rtol=1e-11,
            atol=1e-15,
        )


def test_patches_lie_in_the_order_of_the_kernel():
    """A convolution of stride two on an image of two channels, from patches taken by hand."""
    layers = laws("module_layers")
    network, point = started("module_starts", 1)
    first = np.asarray(layers.sweep(network, point)[1].entering)
    image = np.asarray(outputs(network, point)[1]).T.reshape(-1, 4, 4, 2)
    padded = np.pad(image, ((0, 0), (0, 1), (0, 1), (0, 0)))
    by_hand = [padded[:, i : i + 3, j : j + 3].reshape(len(image), -1) for i in (0, 2) for j in (0, 2)]
    np.testing.assert_allclose(first, np.stack(by_hand, axis=1), rtol=1e-13, atol=1e-15)


def test_at_a_channel_for_each_position_the_rank_is_that_of_all_of_them():
    """Nearly critical, the same samples within groups, and eight directions where two groups would ask for two."""
    network, point = started("module_starts", 0)
    kernel = np.asarray(point["convolutions"][0]["kernel"]).reshape(18, 9)
    slope = np.asarray(gradient(network, point)["convolutions"][0]["kernel"])
    values = np.linalg.svd(kernel, compute_uv=False)
    far = np.linalg.norm(slope) / float(network.weight_decay)
    assert values[7] > 5 * far
    assert values[8] < far
    assert len(np.unique(np.asarray(network.targets), axis=1).T) == 2


def test_critical_starts_are_critical_in_embedding_and_head():
    for at in (4, 5):
        network, point = started("module_starts", at)
        slope = gradient(network, point)
        for name in ("embedding", "head"):
            assert np.abs(np.asarray(slope[name]["kernel"])).max() < 1e-14
        assert np.linalg.matrix_rank(np.asarray(point["embedding"]["kernel"])) == 4


def test_features_are_the_sum_of_what_the_writers_write():
    """Up to constants, which are the same for all samples, in a transformer too."""
    head = laws("module_linear_head")
    for at in (0, 4, 9):
        network, point = started("module_linear_head", at)
        entered, low = jax.jit(lambda n, p: head.below(n, p, head.writers(n.make)))(network, point)
        features = np.asarray(outputs(network, point)[-2]).T
        off = features - np.asarray(entered @ low)
        np.testing.assert_allclose(off, np.broadcast_to(off[:1], off.shape), rtol=0, atol=1e-12)
        left, fit, imbalance, error = map(float, jax.jit(head.sides)(network, point))
        labels = network.labels
        means = np.stack([features[labels == k].mean(axis=0) for k in range(2)])
        np.testing.assert_allclose(left, np.linalg.norm(features - means[labels]), rtol=1e-12)
        assert left <= np.hypot(fit, imbalance)
        assert error < 1e-5 * left


class Tied:
    """What makes a module that applies one kernel twice."""

    described = "a kernel that is applied twice"

    def __call__(self, rngs):
        from flax import nnx

        class Twice(nnx.Module):
            def __init__(self):
                self.low, self.head = nnx.Linear(4, 4, rngs=rngs), nnx.Linear(4, 2, rngs=rngs)

            def __call__(self, x):
                features = nnx.relu(self.low(nnx.relu(self.low(x))))
                return features, self.head(features)

        return Twice()


def test_a_kernel_that_is_applied_twice_is_named():
    """It writes twice as many directions, and the law is not about it."""
    data = networks.Data(np.ones((4, 4)), np.arange(4) % 2)
    network = networks.module_on(data, Tied())
    with pytest.raises(ValueError, match=r"applied once in a pass is expected, got \('low',\) a second time"):
        laws("module_layers").sizes(network)


def test_a_gradient_that_is_one_part_in_a_million_too_large_is_told(monkeypatch):
    """In a kernel alone, and not in what it puts out; both bounds see it, and neither does without it."""
    module = laws("module_tcv_rank")
    network, point = started("module_starts", 5)
    real = module.sweep

    def larger(problem, params):
        return [one._replace(slope=(1 + 1e-6) * one.slope) for one in real(problem, params)]

    for apart in (True, False):
        tolerance = float(jax.jit(module.rounding_of(apart))(network, point)) * 1e-13
        assert float(jnp.max(jax.jit(module.excess(apart))(network, point))) < tolerance
        with monkeypatch.context() as changed:
            changed.setattr(module, "sweep", larger)
            assert float(jnp.max(jax.jit(module.excess(apart))(network, point))) > 1e-7 > tolerance
