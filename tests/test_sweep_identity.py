"""What a sweep takes from its folder, or from another cell, is what it would have computed."""

import dataclasses
import json
import sys
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import nctheory as nct
from nctheory.engine import code_digest
from nctheory.sweeps._programs import program_digest

BASE = nct.unconstrained_features(counts=(2, 2), dim=2, loss="mse", weight_decay=(0.1, 0.1))


def model(decay):
    return nct.problems.class_mean_chain(sizes=(2.0, 2.0), widths=(2, 2), loss="mse", weight_decay=(decay, decay))


def nested(depth, constant):
    """A measure whose constant lies so many functions deep, each compiled by itself."""
    w = np.asarray(constant, float)
    f = lambda x: 0.0 * jnp.sum(x) + jnp.sum(w)  # noqa: E731
    for _ in range(depth):
        f = jax.jit(f)
    return {"norm": lambda problem, params: f(params.weights[0])}


def branched(constant):
    w = np.asarray(constant, float)
    return {
        "norm": lambda problem, params: jax.lax.cond(
            jnp.sum(params.weights[0]) > 1e9, lambda: 0.0, lambda: jnp.sum(jnp.asarray(w))
        )
    }


def looped(constant):
    w = np.asarray(constant, float)
    return {
        "norm": lambda problem, params: jax.lax.scan(
            lambda c, x: (c + x * jnp.sum(jnp.asarray(w)), None), 0.0, jnp.ones(1)
        )[0]
    }


def ruled(constant):
    """A constant in a derivative rule alone."""
    w = np.asarray(constant, float)

    @jax.custom_jvp
    def f(x):
        return jnp.sum(x)

    f.defjvp(lambda primals, tangents: (f(*primals), jnp.sum(tangents[0]) * jnp.sum(jnp.asarray(w))))
    return {"norm": lambda problem, params: jax.grad(lambda x: f(x))(params.weights[0])[0, 0]}


MEASURES: dict[str, Callable] = {
    "plain": lambda w: nested(0, w),
    "one function deep": lambda w: nested(1, w),
    "three functions deep": lambda w: nested(3, w),
    "in a branch": branched,
    "in a loop": looped,
    "in a derivative rule": ruled,
}


@pytest.mark.slow
@pytest.mark.parametrize("where", MEASURES)
def test_a_resumed_sweep_sees_every_constant_of_its_measures(where, tmp_path):
    measures = MEASURES[where]
    first = nct.sweep(model, {"decay": [0.1]}, measures=measures([1.0, 2.0]), seeds=1, folder=tmp_path)
    other = nct.sweep(model, {"decay": [0.1]}, measures=measures([10.0, 20.0]), seeds=1, folder=tmp_path)
    again = nct.sweep(model, {"decay": [0.1]}, measures=measures([1.0, 2.0]), seeds=1, folder=tmp_path)
    assert (other.reused, again.reused) == (0, 1)
    assert first.arrays["norm"].ravel().tolist() == [3.0]
    assert other.arrays["norm"].ravel().tolist() == [30.0]
    assert again.arrays["norm"].ravel().tolist() == [3.0]


class Pulled(nct.Problem):
    """|x|^2/2 + <w, x> with w hidden in a function of the problem's own."""

    pull: Callable = eqx.field(static=True)

    def init(self, key, scale):
        return scale * jax.random.normal(key, (2,), jnp.float64)

    def objective(self, params):
        return 0.5 * jnp.sum(params**2) + self.pull(params)


def test_two_cells_that_differ_in_hidden_data_have_their_own_results():
    def hidden(size):
        w = np.full(2, float(size))
        return Pulled(jax.jit(lambda x: jnp.sum(w * x)))

    found = nct.sweep(hidden, {"size": [1.0, 2.0]}, seeds=1)
    np.testing.assert_allclose(found.arrays["value"].ravel(), [-1.0, -4.0], rtol=1e-12)


def test_what_calls_back_into_python_is_refused_by_name():
    shape = jax.ShapeDtypeStruct((), jnp.float64)
    asks = {"norm": lambda problem, params: jax.pure_callback(lambda x: np.sum(x), shape, params.weights[0])}
    with pytest.raises(ValueError, match=r"measures\['norm'\]: expected a program in JAX alone.*pure_callback"):
        nct.sweep(model, {"decay": [0.1]}, measures=asks, seeds=1)


def test_a_loss_whose_gradient_alone_differs_is_another_program():
    class Half(nct.Loss):
        name = "half"

        def value(self, logits, targets):
            return 0.5 * jnp.sum((logits - targets) ** 2, axis=0)

        def gradient(self, logits, targets):
            return logits - targets

    class Wrong(Half):
        def gradient(self, logits, targets):
            return 0.5 * (logits - targets)

    one, other = (dataclasses.replace(BASE, loss=kind()) for kind in (Half, Wrong))
    assert program_digest(one, {}) != program_digest(other, {})
    assert program_digest(one, {}) == program_digest(dataclasses.replace(BASE, loss=Half()), {})


@pytest.mark.parametrize("name", ["nctheory", "jax", "jaxlib", "numpy", "device", "format"])
def test_a_folder_of_another_version_is_not_taken(name, tmp_path):
    nct.sweep(model, {"decay": [0.1]}, seeds=1, folder=tmp_path)
    manifest = tmp_path / "sweep.json"
    held = json.loads(manifest.read_text())
    assert held["nctheory"] == code_digest()
    manifest.write_text(json.dumps(held | {name: "another"}))
    with pytest.raises(nct.sweeps.StoreError, match=f"holds a sweep with {name} = 'another'"):
        nct.sweep(model, {"decay": [0.1]}, seeds=1, folder=tmp_path)


FACTOR = 1.0
"""What a measure reads besides its arguments."""


def scaled_norm(problem, params):
    """The squared norm of the features, times a global."""
    return FACTOR * jnp.sum(params.features**2)


class Weighed(nct.problems.MeanSquaredError):
    """A loss that reads a global."""

    name = "weighed"

    def value(self, logits, targets):
        return FACTOR * super().value(logits, targets)

    def gradient(self, logits, targets):
        return FACTOR * super().gradient(logits, targets)


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["mse", "weighed"])
def test_what_a_measure_or_a_loss_reads_may_change_between_two_sweeps(tmp_path, monkeypatch, loss):
    """The folder's digest saw the new number, and the program of this process had the old one."""

    def model(decay):
        kind = Weighed() if loss == "weighed" else loss
        return nct.unconstrained_features(counts=(2, 2), dim=2, loss=kind, weight_decay=(decay, decay))

    found = []
    for factor in (1.0, 3.0, 1.0):
        monkeypatch.setattr(sys.modules[__name__], "FACTOR", factor)
        outcome = nct.sweep(
            model, {"decay": [0.01]}, seeds=2, measures={"norm": scaled_norm}, folder=tmp_path, light=True
        )
        found.append((outcome.arrays["value"], outcome.arrays["norm"], outcome.reused))
    assert [reused for _, _, reused in found] == [0, 0, 2]
    np.testing.assert_array_equal(found[2][1], found[0][1])
    if loss == "mse":
        np.testing.assert_array_equal(found[1][0], found[0][0])
        np.testing.assert_allclose(found[1][1], 3.0 * found[0][1], rtol=1e-14)
    else:
        assert (found[1][0] > 1.001 * found[0][0]).all()
