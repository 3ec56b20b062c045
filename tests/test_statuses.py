"""What kept a seed from a critical point is told: kinks, saddles of symmetric starts, minima at infinity, runaways."""

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import nctheory as nct
from tests.helpers import model, usual_environment

FUNCTIONS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "absolute value": ("kink", lambda x: jnp.sum(x**2) + 3.0 * jnp.abs(x[0] - x[1])),
    "hinge": ("kink", lambda x: jnp.sum(jnp.maximum(0.0, 1.0 - x)) + 0.1 * jnp.sum(x**2) + jnp.abs(x[2] - 0.3)),
    "cusp": ("kink", lambda x: jnp.sum(jnp.sqrt(jnp.abs(x - 0.1))) + jnp.sum(x**2)),
    "small units": ("kink", lambda x: 1e-9 * (jnp.sum(x**2) + 3.0 * jnp.abs(x[0] - x[1]))),
    "exponential": ("receding", lambda x: jnp.sum(jnp.exp(-x))),
    "logarithm": ("receding", lambda x: -jnp.log1p(jnp.sum(x**2))),
    "power": ("receding", lambda x: 1.0 / (1.0 + jnp.sum(x**2))),
    "quartic runaway": ("diverged", lambda x: -jnp.sum(x**4)),
    "quadratic runaway": ("diverged", lambda x: -jnp.sum(x**2)),
    "quartic": ("converged", lambda x: jnp.sum(x**4)),
    "sextic": ("converged", lambda x: jnp.sum((x - 1.0) ** 6) - 0.1),
    "double well": ("converged", lambda x: (x[0] ** 2 - 1.0) ** 2 + x[1] ** 2 + x[2] ** 2),
    "lower farther out": (
        "converged",
        lambda x: jnp.sum((x - 1.0) ** 2) - 2.0 * jnp.log1p(jnp.exp(8.0 * (x[0] - 5.0))),
    ),
}
"""Functions of three numbers, and how their seeds end."""


class Own(nct.Problem):
    """One of `FUNCTIONS`; its number is an array, so that they share one program."""

    which: jax.Array

    def init(self, key, scale):
        return scale * jax.random.normal(key, (3,), jnp.float64)

    def objective(self, x):
        return jax.lax.switch(self.which, [function for _, function in FUNCTIONS.values()], x)


class DeepReLU(nct.Problem):
    """Unconstrained features behind two hidden ReLU layers (C1 of what was found: no seed of 64 converged)."""

    def init(self, key, scale):
        shapes = ((3, 4), (4, 4), (4, 6))
        return [scale * jax.random.normal(k, s) for k, s in zip(jax.random.split(key, 3), shapes, strict=True)]

    def objective(self, factors):
        last, first, features = factors
        logits = last @ jax.nn.relu(first @ jax.nn.relu(features))
        fit = jnp.mean(jnp.sum((logits - jnp.repeat(jnp.eye(3), 2, axis=1)) ** 2, axis=0))
        return 0.5 * fit + 0.01 * sum(jnp.sum(x**2) for x in factors)


@pytest.mark.slow
@pytest.mark.parametrize("name", FUNCTIONS)
def test_ends_that_look_alike_are_told_apart(name):
    status, _ = FUNCTIONS[name]
    problem = Own(jnp.asarray(list(FUNCTIONS).index(name)))
    tolerance = 1e-19 if name == "small units" else 1e-9
    found = nct.solve(problem, 8, light=True, tolerance=tolerance)
    assert found.counts()[status] == 8, found.counts()
    assert found.converged.all() == (status == "converged")
    words = {
        "kink": "not differentiable",
        "receding": "no minimiser",
        "diverged": "not bounded below",
        "converged": "None",
    }
    assert words[status] in str(found.caveat)


@pytest.mark.slow
def test_a_deep_relu_model_ends_at_stationary_points():
    found = nct.solve(DeepReLU(), 64)
    assert found.converged.mean() >= 0.95, found.caveat
    assert found.counts()["kink"] + found.counts()["converged"] == 64
    # The flow of the problem as it is stops at its kinks.
    stopped = nct.solve(DeepReLU(), 8, method="flow", budget=20_000)
    assert not stopped.converged.all()


@pytest.mark.slow
def test_separable_cross_entropy_without_decay_has_no_minimiser():
    for bias in (None, 0.0):
        problem = model("cross_entropy", counts=(2, 3), dim=3, decay=(0.0, 0.0), bias=bias)
        found = nct.solve(problem, 8, light=True)
        assert found.counts()["receding"] == 8
        assert not found.converged.any()
        assert nct.certify(problem, found.params).reason is not None


@pytest.mark.parametrize("method", ["flow+polish", "flow"])
def test_a_saddle_that_a_symmetric_start_leads_to_is_called_one(method):
    problem = model("cross_entropy", counts=(3, 3, 3), dim=3, decay=(0.01, 0.01), bias=None)
    at_zero = nct.solve(problem, 2, scale=0.0, method=method, light=True)
    assert at_zero.counts()["saddle"] == 2
    assert "symmetric start" in str(at_zero.caveat)
    assert nct.solve(problem, 2, scale=0.0, method="polish", light=True).converged.all()


def test_the_stable_manifold_of_a_saddle_leads_to_it():
    problem = Own(jnp.asarray(list(FUNCTIONS).index("double well")))
    beside = np.random.default_rng(0).normal(size=(4, 3))
    assert nct.solve_from(problem, beside).converged.all()
    assert nct.solve_from(problem, beside * np.array([0.0, 1.0, 1.0])).counts()["saddle"] == 4


@pytest.mark.slow
def test_layers_of_width_one_have_no_rotation_that_could_hide_a_minimum():
    program = """
import numpy as np, nctheory as nct
problem = nct.deep_linear(
    widths=(1,) * 5, inputs=np.ones((1, 1)), targets=np.full((1, 1), 0.6), loss="mse", weight_decay=(0.1,) * 4
)
start = np.linspace(0.75, 0.8, 64)[:, None, None]
found = nct.solve_from(problem, nct.problems.ChainParams((start,) * 4, None, None))
print(found.converged.sum(), found.steps.max() < 200)
"""
    # In a process of its own: only the usual programs contract products into sums, by which the fault showed.
    done = subprocess.run([sys.executable, "-c", program], env=usual_environment(), capture_output=True, text=True)
    assert done.stdout.split() == ["64", "True"], done.stderr


def test_a_converged_ensemble_has_no_caveat():
    found = nct.solve(model("mse", counts=(2, 2), dim=2, decay=(0.05, 0.05)), 8)
    assert found.caveat is None


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["mse", "cross_entropy"])
def test_a_bifurcation_that_is_hit_exactly(loss):
    """Zero stops being the minimiser at a decay of sqrt(n)/N: the minimum is a quartic one there, and is certified."""
    for beside in (-1e-6, 0.0, 1e-6):
        decay = np.sqrt(5.0) / 20 * (1.0 + beside)
        problem = model(loss, counts=(5,) * 4, dim=8, decay=(decay, decay), bias=None)
        found = nct.solve(problem, 8)
        assert found.converged.all()
        assert np.max(found.steps) < 50_000  # it took the whole budget of 200,000, and did not get there
        assert nct.certify(problem, found.params).closed(found.value).all()


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["mse", "cross_entropy"])
def test_decays_down_to_1e_8_converge_and_their_certificate_is_honest(loss):
    for decay, tolerance in ((1e-5, 1e-10), (1e-6, 1e-14), (1e-8, 1e-10)):
        problem = model(loss, counts=(3, 3, 3), dim=4, decay=(decay, decay), bias=None)
        found = nct.solve(problem, 2, tolerance=tolerance)
        bound = nct.certify(problem, found.params)
        assert found.converged.all()
        assert np.all(bound.gap >= -bound.gap_rounding)
        assert (bound.reason is None) == bound.closed(found.value).all()
        assert bound.closed(found.value).all() or decay == 1e-8


def test_an_imbalance_of_1e5():
    problem = nct.problems.reduce_to_class_means(
        model("cross_entropy", counts=(100_000, 1), dim=2, decay=(1e-7, 1e-7), bias=None)
    )
    found = nct.solve(problem, 8)
    assert found.converged.all()
    assert nct.certify(problem, found.params).closed(found.value).all()
