"""Transfer and fine-tuning of flax modules: layers found in their programs, frozen arrays, and the same as feed-forward."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from nctheory import networks
from nctheory.networks._tuned_modules import layer_arrays
from tests.helpers import unchecked_types
from tests.moved_classes import SOURCE, TARGET


class Twin(nnx.Module):
    """The networks of `small_trunks` in flax: 6-6-5 and a head, behind ReLUs."""

    def __init__(self, rngs):
        width = SOURCE.inputs.shape[1]
        self.low, self.up = nnx.Linear(width, 6, rngs=rngs), nnx.Linear(6, 5, rngs=rngs)
        self.head = nnx.Linear(5, SOURCE.classes, rngs=rngs)

    def __call__(self, x):
        one = nnx.relu(self.low(x))
        two = nnx.relu(self.up(one))
        return one, two, self.head(two)


class Idle(Twin):
    """A layer that only repeats what is below."""

    def __call__(self, x):
        one, two, logits = super().__call__(x)
        return one, one, two, logits


class Tied(Twin):
    """Logits that need more than features and head."""

    def __init__(self, rngs):
        super().__init__(rngs)
        self.extra = nnx.Param(jnp.zeros(()))

    def __call__(self, x):
        one, two, logits = super().__call__(x)
        return one, two, logits + self.extra[...]


@pytest.fixture(scope="module")
def trained():
    return networks.train(networks.module_on(SOURCE, Twin, weight_decay=5e-3), 2, steps=60)


def as_feed_forward(trained):
    """The same networks as `FeedForward`."""
    form = networks.network_on(SOURCE, (6, 5), weight_decay=5e-3, bias=True)
    layers = [trained.params[name] for name in ("low", "up", "head")]
    weights = tuple(np.swapaxes(one["kernel"], 1, 2) for one in layers)
    return trained._replace(network=form, params=networks.NetworkParams(weights, tuple(one["bias"] for one in layers)))


@pytest.mark.slow
def test_layers_are_found_in_the_programs_of_modules():
    """Each array belongs to the first output that changes with it, which small changes of every array confirm."""
    images = networks.gaussian_mixture(counts=(2, 2), dim=16, spread=0.2, test=1)
    for name, widths in (("convolutions", (2, 3)), ("residual", (4, 4)), ("transformer", (4, 4))):
        data, make = networks.model_for(name, images, widths)
        if name == "transformer":
            make = networks.Transformer(width=4, blocks=2, heads=2, length=4, features=4, classes=2)
        network = networks.module_on(data, make)
        found = layer_arrays(network)
        point = network.init(jax.random.key(0), 1.0)
        leaves, structure = jax.tree.flatten(jax.tree.map(lambda x: x + 0.05, point))
        slopes = jax.jit(jax.jacrev(lambda p, n=network: [jnp.sum(z**3) for z in n.layers(p)[1:]]))
        rows = [jax.tree.leaves(one) for one in slopes(jax.tree.unflatten(structure, leaves))]
        first = [next(at for at, row in enumerate(rows) if np.any(row[i] != 0)) for i in range(len(leaves))]
        assert [tuple(np.flatnonzero(np.array(first) == at).tolist()) for at in range(len(rows))] == list(found)


def test_modules_transfer_and_tune_like_the_same_networks_in_plain_layers(trained):
    plain = as_feed_forward(trained)
    options: dict[str, Any] = dict(shots=(3,), episodes=2, key=1)
    one, two = (networks.transfer(x, SOURCE, TARGET, **options) for x in (trained, plain))
    np.testing.assert_array_equal(one.probe_error, two.probe_error)
    np.testing.assert_allclose(one.target.cdnv, two.target.cdnv, rtol=1e-9)
    tuning: dict[str, Any] = dict(layers=(2,), skip=0, shots=3, episodes=2, steps=20)
    one, two = (networks.fine_tune(x, TARGET, **tuning) for x in (trained, plain))
    np.testing.assert_array_equal(one.trained_weights, two.trained_weights)
    np.testing.assert_array_equal(one.layers, two.layers)
    np.testing.assert_array_equal(one.error, two.error)
    assert one.all_weights == two.all_weights
    # The heads are drawn from the same numbers.
    np.testing.assert_allclose(one.fit, two.fit, rtol=1e-9)
    np.testing.assert_allclose(one.params["up"]["kernel"][0, 1].T, two.params.weights[1][0, 1], rtol=1e-8, atol=1e-10)
    across = [np.asarray(x.skip_weights[1][0], float) for x in (one, two)]
    np.testing.assert_allclose(across[0], across[1], rtol=1e-8, atol=1e-10)
    frozen = np.repeat(trained.params["low"]["kernel"][:, None], 2, axis=1)
    np.testing.assert_array_equal(one.params["low"]["kernel"], frozen)


@pytest.mark.slow
def test_convolutions_are_tuned_by_every_choice():
    images = networks.gaussian_mixture(counts=(8,) * 4, dim=16, spread=0.3, test=6).shaped(4, 4)
    source, target = images.only(0, 1), images.only(2, 3)
    make = networks.ConvNet((2, 3), 1, (4, 4), 2)
    trunk = networks.train(networks.module_on(source, make), 2, steps=30)
    found = networks.tuning_choices(trunk, target, shots=3, episodes=2, steps=10)
    assert found.names[2:6] == ("layer 1", "layer 1 + skip", "layer 2", "all")
    assert np.isfinite(found.error).all()
    kernels = 9 * 1 * 2 + 2, 9 * 2 * 3 + 3
    head = 3 * 2 + 2
    assert found.trained_weights[0, :, 0].tolist()[:3] == [head, head + 2 * 16, kernels[0] + head]
    assert found.all_weights == sum(kernels) + head


@pytest.mark.parametrize(
    ("make", "options", "message"),
    [
        (Idle, {"layers": (2,)}, "layers: expected layers with parameters of their own, got 2, which has none"),
        (Tied, {"choose": "head"}, "trained: expected modules whose head .'head'. is all that the logits need"),
        (
            Twin,
            {"choose": "head", "weight_decay": (1.0, 1.0)},
            "weight_decay: expected one finite number of at least 0",
        ),
    ],
)
def test_modules_that_cannot_be_tuned_are_named(make, options, message):
    network = networks.module_on(SOURCE, make, head=None if make is Tied else "head")
    if make is Tied:
        network = network.__class__(**{**vars(network), "head_name": "head"})
    ends = networks.train(network, 1, steps=1)
    with unchecked_types(), pytest.raises(ValueError, match=message):
        networks.fine_tune(ends, TARGET, shots=2, **options)


def test_data_of_another_shape_and_modules_without_a_head_are_named(trained):
    with pytest.raises(ValueError, match=r"data: expected samples of shape \(6,\), as in pretraining, got \(2, 3\)"):
        networks.fine_tune(trained, TARGET.shaped(2, 3), choose="head", shots=2)
    headless = trained._replace(network=networks.module_on(SOURCE, Twin, head=None))
    with pytest.raises(ValueError, match="trained: expected modules with a linear head"):
        networks.transfer(headless, SOURCE, TARGET)
