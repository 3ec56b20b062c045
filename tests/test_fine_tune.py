"""Fine-tuning against a plain loop: frozen layers keep their bits, seeds and episodes go their own ways."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nctheory import networks
from tests.helpers import unchecked_types
from tests.moved_classes import TARGET, small_trunks

UNTESTED = networks.Data(TARGET.inputs, TARGET.labels)
NARROW = networks.gaussian_mixture(counts=(3, 3), dim=4, spread=1.0, test=2)


@pytest.fixture(scope="module")
def trained():
    return small_trunks()


@pytest.mark.parametrize(
    ("layers", "skip", "taken"), [((2,), True, 2), ((), 0, 0), ((1, 3), False, -1), ((3,), True, -1)]
)
def test_what_is_not_trained_keeps_its_bits(trained, layers, skip, taken):
    found = networks.fine_tune(trained, TARGET, layers=layers, skip=skip, shots=3, episodes=2, steps=15)
    before = trained.params
    assert before.biases is not None
    assert found.params.biases is not None
    for layer in range(1, 4):
        same = [
            np.array_equal(after[layer - 1], np.repeat(start[layer - 1][:, None], 2, axis=1))
            for after, start in ((found.params.weights, before.weights), (found.params.biases, before.biases))
        ]
        assert same == [layer not in layers] * 2, f"layer {layer}"
    own = sum(before.weights[layer - 1][0].size + before.biases[layer - 1][0].size for layer in layers)
    across = 3 * trained.network.widths[taken] if taken >= 0 else 0
    assert found.trained_weights.tolist() == [[own + 3 * 5 + 3 + across] * 2] * 2
    assert found.layers[0, 0].tolist() == [layer in layers for layer in (1, 2, 3)] + [True]
    assert found.skip.tolist() == [[taken] * 2] * 2
    assert [one is None for one in found.skip_weights[0]] == [taken < 0] * 2


def test_fine_tuning_is_that_of_a_plain_loop(trained):
    """Momentum on an objective written out here: layer 2, the head and a skip from layer 2, all decayed towards zero."""
    steps, rate, decay = 25, 0.05, 0.02
    found = networks.fine_tune(
        trained, TARGET, layers=(2,), skip=True, shots=4, steps=steps, optimiser="sgd", rate=rate, weight_decay=decay
    )
    rows = found.rows[0]
    x, y = TARGET.inputs[rows].T, np.eye(3)[:, TARGET.labels[rows]]
    w, b = ([np.asarray(part[1]) for part in kind] for kind in (trained.params.weights, trained.params.biases))

    def logits(p, x):
        h = jnp.maximum(w[0] @ x + b[0][:, None], 0)
        h = jnp.maximum(p["w"] @ h + p["b"][:, None], 0)
        last = jnp.maximum(w[2] @ h + b[2][:, None], 0)
        return p["head"] @ last + p["bias"][:, None] + p["skip"] @ h

    def objective(p):
        decayed = sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(p))
        return 0.5 * jnp.mean(jnp.sum((logits(p, x) - y) ** 2, axis=0)) + 0.5 * decay * decayed

    key = jax.random.fold_in(jax.random.fold_in(jax.random.key(0), 0), 1)
    head = np.asarray(jax.random.normal(key, (3, 5), jnp.float64)) / np.sqrt(5)
    point = {"w": w[1], "b": b[1], "head": head, "bias": np.zeros(3), "skip": np.zeros((3, 6))}
    memory = jax.tree.map(np.zeros_like, point)
    for i in range(steps):
        now = rate * min(1.0, (steps - i) / (0.2 * steps))
        memory = jax.tree.map(lambda v, g: 0.9 * v + np.asarray(g), memory, jax.grad(objective)(point))
        point = jax.tree.map(lambda x, v, r=now: x - r * v, point, memory)
    one = jax.tree.map(lambda leaf: leaf[1, 0], found.params)
    skipped = found.skip_weights[1][0]
    assert skipped is not None
    for ours, theirs in ((one.weights[1], "w"), (one.biases[1], "b"), (one.weights[3], "head"), (skipped, "skip")):
        np.testing.assert_allclose(ours, point[theirs], rtol=1e-8, atol=1e-11)
    decided = np.argmax(np.asarray(logits(point, TARGET.test_inputs.T)), axis=0)
    assert found.error[1, 0] == np.mean(decided != TARGET.test_labels)


def test_every_seed_and_episode_goes_its_own_way(trained):
    options: dict[str, Any] = dict(layers=(2,), skip=True, shots=3, steps=15)
    both = networks.fine_tune(trained, TARGET, episodes=2, **options)
    alone = jax.tree.map(lambda x: np.asarray(x)[1:], trained.params)
    rest = {name: getattr(trained, name)[1:] for name in ("seeds", "value", "fit", "grad_norm", "error")}
    second = trained._replace(params=alone, **rest)
    one = networks.fine_tune(second, TARGET, episodes=1, **options)
    jax.tree.map(lambda x, y: np.testing.assert_array_equal(x[1, 0], y[0, 0]), both.params, one.params)
    assert both.error[1, 0] == one.error[0, 0]
    lost = networks.fine_tune(trained._replace(value=np.array([np.inf, 1.0])), TARGET, episodes=1, **options)
    assert np.isnan(lost.error[0]).all()
    assert np.isnan(lost.params.weights[0][0]).all()
    assert lost.error[1, 0] == one.error[0, 0], "a seed that was lost costs no other"


def test_the_choice_by_collapse_is_the_layer_that_it_names(trained):
    options: dict[str, Any] = dict(shots=3, episodes=2, steps=15, key=1)
    chosen = networks.fine_tune(trained, TARGET, choose="nc", **options)
    for seed, episode in np.ndindex(2, 2):
        some = chosen.rows[episode]
        point = jax.tree.map(lambda x, i=seed: x[i], trained.params)
        features = trained.network.layers_of(point, TARGET.inputs.T)[:-1]
        values = [networks.few_shot_variability(np.asarray(h).T[some], TARGET.labels[some]) for h in features]
        np.testing.assert_allclose(chosen.variability[seed, episode], values, rtol=1e-12)
        layer = min(int(np.argmin(values)) + 1, 3)
        assert np.flatnonzero(chosen.layers[seed, episode]).tolist() == [layer - 1, 3]
        named = networks.fine_tune(trained, TARGET, layers=(layer,), **options)
        assert np.array_equal(named.rows, chosen.rows), "the same shots whatever is tuned"
        assert named.error[seed, episode] == chosen.error[seed, episode]


def test_no_test_label_has_a_say_in_the_choice(trained):
    other = dataclasses.replace(TARGET, test_labels=(TARGET.test_labels + 1) % 3)
    options: dict[str, Any] = dict(choose="nc", shots=3, steps=5)
    one, two = (networks.fine_tune(trained, data, **options) for data in (TARGET, other))
    np.testing.assert_array_equal(one.variability, two.variability)
    np.testing.assert_array_equal(one.layers, two.layers)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda t: networks.fine_tune(t, TARGET), "layers: expected either layers or choose"),
        (lambda t: networks.fine_tune(t, TARGET, layers=(4,), shots=2), r"different ones of 1 to 3, got \(4,\)"),
        (lambda t: networks.fine_tune(t, TARGET, layers=(0,), shots=2), "layers: expected different ones of 1 to 3"),
        (lambda t: networks.fine_tune(t, TARGET, layers=(1, 1), shots=2), "layers: expected different ones"),
        (lambda t: networks.fine_tune(t, TARGET, choose="middle", shots=2), "choose: expected one of head, first"),
        (lambda t: networks.fine_tune(t, TARGET, choose="nc", shots=1), "choose: expected two shots or more"),
        (lambda t: networks.fine_tune(t, TARGET, choose="head", skip=True, shots=2), "skip: expected the number of a layer"),
        (lambda t: networks.fine_tune(t, TARGET, choose="all", skip=3, shots=2), "skip: expected True, False or a layer"),
        (lambda t: networks.fine_tune(t, TARGET, choose="all", shots=10), "shots: expected at most the 9 samples of class 0"),
        (lambda t: networks.fine_tune(t, TARGET, choose="all", episodes=2), "episodes: expected 1 without shots"),
        (lambda t: networks.fine_tune(t, TARGET, choose="all", shots=2, key=-1), "key: expected a whole number"),
        (lambda t: networks.fine_tune(t, TARGET, choose="all", shots=2, steps=0), "steps: expected a whole number"),
        (lambda t: networks.fine_tune(t, UNTESTED, choose="all"), "data: expected a test set"),
        (lambda t: networks.fine_tune(t, TARGET.take((3, 0, 3)), choose="all"), "data: expected samples of every class"),
        (lambda t: networks.fine_tune(t, NARROW, choose="all"), "data: expected 6 numbers a sample, as in pretraining, got 4"),
    ],
)  # fmt: skip
def test_wrong_calls_are_named(trained, call, message):
    with unchecked_types(), pytest.raises(ValueError, match=message):
        call(trained)
