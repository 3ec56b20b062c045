"""What once made a true theorem come out refuted: thresholds met just beyond, ranks told too finely, minima of ties."""

import dataclasses
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import nctheory as nct
from nctheory.theorems._locate import POINTS, locate_threshold
from nctheory.theorems._observe import sensitivities
from tests.helpers import unchecked_types
from tests.test_sensitivity import SOFT, Valley

MODEL = nct.unconstrained_features(counts=(2, 2), dim=2, loss="mse", weight_decay=(0.1, 0.1))
ONSET = np.sqrt(2) / 4
"""The equal decays at which the minimiser vanishes, sqrt(n)/N."""


def with_decay(problem, x):
    return dataclasses.replace(problem, weight_decay=jnp.asarray([x, x]))


def with_inverse_decay(problem, x):
    return with_decay(problem, 1.0 / x)


def largest_logit(problem, params):
    return jnp.max(jnp.abs(problem.logits(params)))


RUN: Any = SimpleNamespace(width=256, key=jax.random.key(0), scale=1.0, light=True)


@pytest.mark.slow
@pytest.mark.parametrize("inverse", [False, True])
@pytest.mark.parametrize("before", [1e-7, 8e-7, 3e-4])
def test_a_value_just_beyond_a_threshold_does_not_exclude_it(inverse, before):
    """One of the tried values lies a relative 1e-7 within the ordered phase, where the order is still below its level."""
    exact = 1.0 / ONSET if inverse else ONSET
    ordered = np.log(exact) + (before if inverse else -before)
    # The first round tries values evenly between the ends; the fifth of them is to be this one.
    step = 0.05
    low, high = ordered - 5 * step, ordered + (POINTS - 5) * step
    claim = nct.Threshold(
        "vanishes", "x", with_inverse_decay if inverse else with_decay, largest_logit, lambda p: p,
        lambda problem: (float(np.exp(low)), float(np.exp(high))),
    )  # fmt: skip
    with jax.enable_x64(True), unchecked_types():
        found = locate_threshold(claim, MODEL, RUN)
    assert found.reason is None
    assert found.low <= exact <= found.high, (found, exact)
    assert found.width < 1.1e-4


def chain(size):
    """A rank-one critical point of four layers on data, with further singular values of that size in every layer."""
    data = {"inputs": np.eye(2), "targets": np.diag([2.0, 1.0])}
    problem = nct.deep_linear(widths=(2,) * 5, loss="mse", weight_decay=(0.0,) * 4, **data)
    layer = np.diag([2.0**0.25, size])
    return problem, nct.problems.ChainParams((layer,) * 4, None, None)


def test_ranks_are_in_doubt_where_the_gradient_is_of_the_third_degree_in_what_is_left_of_them():
    """Four layers with second singular values of 5e-6 have a gradient of 1e-16: whether they have rank one is not known."""
    problem, exact = chain(0.0)
    assert float(nct.closed_form.pivot_blocks(problem, exact)) >= 1
    problem, near = chain(5e-6)
    assert not np.isfinite(float(nct.closed_form.pivot_blocks(problem, near)))


def smallest(problem, x):
    return jnp.min(x[:2])[None]


@pytest.mark.parametrize("tie", [1e-12, -1e-12])
def test_the_smallest_of_several_numbers_is_as_open_as_the_softest_of_them(tie):
    """At the end state one number is the smaller, at a neighbour the other, which lies along the valley."""
    problem, at = Valley(), np.zeros(40)
    at[0] = tie
    report = nct.hessian_report(problem, jnp.asarray(at))
    claims = [
        nct.Equality("rough", "x", smallest, lambda p: jnp.zeros(1), scope="critical points"),
        nct.Equality(
            "smallest", "x", smallest, lambda p: jnp.zeros(1), scope="critical points",
            moves_like=lambda problem, x: x[:2],
        ),
    ]  # fmt: skip
    found = sensitivities(problem, jnp.asarray(at), report, claims, [1, 2], 0.0)
    assert found[claims[1]] >= 1.0 / SOFT * (1 - 1e-6)
    assert (found[claims[0]] < 2.0) == (tie > 0), "without the hint it is that of the number that happens to be smaller"
