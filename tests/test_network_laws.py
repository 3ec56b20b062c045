"""Networks as problems, and laws at the points that their training passes."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import nctheory as nct
from nctheory.networks import NetworkParams, feed_forward
from nctheory.theorems import Train
from tests.helpers import first, unchecked_types

X, LABELS = np.random.default_rng(3).normal(size=(3, 7)), np.array([0, 0, 1, 1, 2, 2, 2])
GOOD: dict[str, Any] = {"widths": (3, 4, 5, 3), "inputs": X, "labels": LABELS, "loss": "mse", "weight_decay": 0.01}


def by_hand(network, params, slope):
    """Value and gradients by plain backward propagation, one sample at a time, without the library's functions."""
    act = {
        "relu": lambda x: np.maximum(x, 0),
        "leaky_relu": lambda x: np.where(x > 0, x, 0.01 * x),
        "identity": lambda x: x,
    }
    dact = {
        "relu": lambda x: 1.0 * (x > 0),
        "leaky_relu": lambda x: np.where(x > 0, 1.0, 0.01),
        "identity": np.ones_like,
    }
    weights = [np.asarray(w) for w in params.weights]
    biases = [np.asarray(b) for b in params.biases or [np.zeros(len(w)) for w in weights]]
    decay, samples = np.asarray(network.weight_decay), network.inputs.shape[1]
    fit, slopes, shifts = 0.0, [0.0 * w for w in weights], [0.0 * b for b in biases]
    for x, y in zip(np.asarray(network.inputs).T, np.asarray(network.targets).T, strict=True):
        before, after = [], [x]
        for w, b, name in zip(weights, biases, network.activations, strict=True):
            before.append(w @ after[-1] + b)
            after.append(act[name](before[-1]))
        value, back = slope(after[-1], y)
        fit += value / samples
        for i in reversed(range(len(weights))):
            back = back * dact[network.activations[i]](before[i])
            slopes[i] += np.outer(back, after[i]) / samples
            shifts[i] += back / samples
            back = weights[i].T @ back
    total = fit + sum(0.5 * d * (np.sum(w**2) + np.sum(b**2)) for d, w, b in zip(decay, weights, biases, strict=True))
    slopes = [g + d * w for g, d, w in zip(slopes, decay, weights, strict=True)]
    shifts = [c + d * b for c, d, b in zip(shifts, decay, biases, strict=True)]
    return total, slopes, shifts


def squared(z, y):
    return 0.5 * np.sum((z - y) ** 2), z - y


def entropy(z, y):
    p = np.exp(z - z.max()) / np.exp(z - z.max()).sum()
    return -np.sum(y * np.log(p)), p - y


@pytest.mark.parametrize("activation", ["relu", "leaky_relu"])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("loss", "slope"), [("mse", squared), ("cross_entropy", entropy)])
def test_value_and_gradient_are_those_of_backward_propagation(activation, bias, loss, slope):
    network = feed_forward(
        **GOOD | {"loss": loss, "activation": activation, "bias": bias, "weight_decay": (0.1, 0.2, 0.3)}
    )
    point = first(nct.starts(network, 1))
    value, gradient = network.value_and_grad(point)
    total, slopes, shifts = by_hand(network, point, slope)
    assert float(value) == pytest.approx(total, rel=1e-13)
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-11, atol=1e-14), gradient.weights, tuple(slopes))
    if bias:
        jax.tree.map(
            lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-11, atol=1e-14), gradient.biases, tuple(shifts)
        )
    else:
        assert gradient.biases is None


def test_the_symmetry_is_that_of_linear_spaces_alone():
    """The objective does not change along a tangent; a space behind a ReLU has none."""
    wide: dict[str, Any] = {"widths": (3, 4, 4, 5, 3), "linear": 3, "bias": True}
    network = feed_forward(**GOOD | wide)
    point = first(nct.starts(network, 1))
    tangents = network.gauge_tangents(point)
    assert network.linear_spaces == (2, 3)
    assert tangents.weights[0].shape[0] == 6 + 10
    slope = network.value_and_grad(point)[1]
    along = sum(
        jnp.sum(t * g[None], axis=tuple(range(1, t.ndim)))
        for t, g in zip(*map(jax.tree.leaves, (tangents, slope)), strict=True)
    )
    np.testing.assert_allclose(along, 0.0, atol=1e-14)
    hessian = np.asarray(network.hessian(point))
    assert hessian.shape == (nct.problems.size(network),) * 2
    plain = feed_forward(**GOOD)
    assert plain.gauge_tangents(first(nct.starts(plain, 1))).weights[0].shape[0] == 0


def test_a_linear_network_is_a_chain():
    linear: dict[str, Any] = {"linear": 3}
    network = feed_forward(**GOOD | linear)
    chain = nct.deep_linear(
        widths=(3, 4, 5, 3), inputs=X, targets=np.eye(3)[:, LABELS], loss="mse", weight_decay=(0.01,) * 3
    )
    point = first(nct.starts(network, 1))
    same = nct.problems.ChainParams(point.weights, None, None)
    assert float(network.objective(point)) == pytest.approx(float(chain.objective(same)), rel=1e-14)
    assert network.layers(point)[1].shape == (4, 7)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"widths": 3}, "widths: expected"),
        ({"widths": (3,)}, "widths: expected .* at least two"),
        ({"widths": (3, 0, 3)}, r"widths\[1\]: expected a whole number"),
        ({"inputs": X[:2]}, "inputs: expected finite numbers, d_0 x N = 3 x N"),
        ({"inputs": np.where(X > 1, np.nan, X)}, "inputs: expected finite numbers"),
        ({"labels": None}, "labels: expected either labels or targets"),
        ({"targets": np.zeros((3, 7))}, "labels: expected either labels or targets"),
        ({"labels": LABELS[:5]}, "labels: expected 7"),
        ({"labels": LABELS + 1}, "labels: expected 0 to 2"),
        ({"labels": None, "targets": np.zeros((2, 7))}, "targets: expected finite numbers, K x N = 3 x 7"),
        ({"loss": "hinge"}, "loss: expected"),
        ({"activation": "softplus"}, "activation: expected one of absolute, gelu, identity, leaky_relu, relu, tanh"),
        ({"linear": 0}, "linear: expected a whole number of at least 1"),
        ({"linear": 4}, "linear: expected a whole number from 1 to the 3 layers"),
        ({"bias": "False"}, "bias: expected True or False"),
        ({"activation": ["relu"]}, "activation: expected"),
        ({"inputs": "abc"}, "inputs: expected real numbers"),
        ({"labels": None, "targets": -np.ones((3, 7)), "loss": "cross_entropy"}, "targets: cross-entropy expects"),
        ({"weight_decay": -0.1}, "weight_decay: expected finite numbers of at least 0"),
        ({"weight_decay": (0.1, 0.1)}, "weight_decay: expected one number, or 3 of them"),
    ],
)
def test_wrong_networks_are_named(wrong, message):
    with unchecked_types(), pytest.raises(ValueError, match=message):
        feed_forward(**GOOD | wrong)


def test_minibatches_and_traced_decays():
    network = feed_forward(**GOOD)
    paths = nct.gradient_descent(
        network, nct.starts(network, 2), [5], 0.05, batch=3, observe=lambda p, x: p.objective(x)
    )
    assert paths.followed.all()

    def value(decay):
        return feed_forward(**GOOD | {"weight_decay": decay}).objective(point)

    point = first(nct.starts(network, 1))
    assert float(jax.grad(value)(0.1)) == pytest.approx(
        0.5 * sum(float(jnp.sum(w**2)) for w in point.weights), rel=1e-12
    )


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"steps": (10, 0)}, "steps: expected whole numbers that increase"),
        ({"steps": ()}, "steps"),
        ({"steps": (0, 1.5)}, "steps"),
        ({"rate": -1.0}, "rate: expected a positive step size"),
        ({"rate": np.nan}, "rate"),
    ],
)
def test_a_wrong_training_is_named_when_it_is_made(wrong, message):
    with unchecked_types(), pytest.raises(ValueError, match=message):
        Train(**wrong)


def law(scope: Any = "any point"):
    """|W_1|^2 >= 0, which no point can break, as an equality with what is observed."""
    return nct.Equality(
        "nothing", "0", lambda problem, params: 0.0 * params.weights[0][0, 0], lambda _: jnp.zeros(()), scope=scope
    )


def test_claims_about_end_states_are_refused():
    with pytest.raises(ValueError, match="Train of theorem 'one' with a claim about critical points, 'nothing'"):
        Train().accepts(law("critical points"), "one")
    Train().accepts(law(), "one")
    with pytest.raises(ValueError, match="Train of theorem 'one' with a claim about"):
        Train().accepts(nct.GlobalValue("value", "f", lambda p: p), "one")


@pytest.mark.slow
def test_every_checkpoint_of_every_seed_is_looked_at_and_what_diverged_supports_nothing():
    """The claims are those of the theorem on the balance, with training so fast that some seeds fly off."""
    theorem = nct.theorems.find_theorem("network-balance")
    fast = dataclasses.replace(theorem, method=Train(steps=(0, 5, 40), rate=1.5))
    verdict = nct.verify(fast, seeds=12, instance=2)
    row = verdict.instances[0]
    assert row.statuses["diverged"] > 0
    assert row.statuses["trained"] + row.statuses["diverged"] == 12
    assert row.supporting == row.statuses["trained"]
    whole = nct.verify(theorem, seeds=12, instance=0)
    assert whole.outcome == "holds"
    assert next(claim for claim in whole.claims if claim.name == "neurons").checked == 3 * 12
    assert whole.method == "train"
    assert whole.evidence == "sampled"


@pytest.mark.slow
def test_a_wrong_gradient_is_refuted():
    """A network whose backward pass forgets the slope of the ReLU is none of which the law speaks."""

    class Forgetful(nct.networks.FeedForward):
        def value_and_grad(self, params):
            def surrogate(params):
                found = jnp.asarray(self.inputs)
                for weight, name in zip(params.weights, self.activations, strict=True):
                    linear = weight @ found
                    shown = nct.networks.ACTIVATIONS[name](linear)
                    found = linear + jax.lax.stop_gradient(shown - linear)
                return jnp.mean(self.loss.value(found, self.targets))

            slope = jax.grad(surrogate)(params)
            decayed = [g + d * w for g, d, w in zip(slope.weights, self.weight_decay, params.weights, strict=True)]
            return self.objective(params), NetworkParams(tuple(decayed), None)

    theorem = nct.theorems.find_theorem("network-balance")

    def forgetful(key):
        drawn: list[Any] = list(theorem.instances(key))
        one = next(i for i in drawn if not i.problem.has_bias)
        fields = {field.name: getattr(one.problem, field.name) for field in dataclasses.fields(one.problem)}
        return [dataclasses.replace(one, problem=Forgetful(**fields))]

    verdict = nct.verify(dataclasses.replace(theorem, instances=forgetful), seeds=4)
    assert verdict.outcome == "refuted"
    assert any("'neurons' fails" in reason for reason in verdict.reasons)
