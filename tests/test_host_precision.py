"""What is computed for a host program of 32 bits is what is computed in float64."""

import ast
import inspect
import types

import jax
import numpy as np
import pytest

import nctheory as nct

CHAIN = nct.unconstrained_features(counts=(3, 2, 4), dim=4, loss="cross_entropy", weight_decay=(0.01, 0.02), bias=0.1)
SQUARED = nct.unconstrained_features(counts=(3, 2, 4), dim=4, loss="mse", weight_decay=(0.01, 0.02))
BARELY = nct.unconstrained_features(counts=(3, 2, 4), dim=4, loss="mse", weight_decay=(1e-60, 1e-60))
CALLS = {
    "lower_bound": lambda: nct.certificates.lower_bound(CHAIN, point(CHAIN)),
    "duality_bound": lambda: nct.certificates.duality_bound(CHAIN, point(CHAIN)),
    "separable_bound": lambda: nct.certificates.separable_bound(SQUARED),
    "spectral_norm": lambda: nct.certificates.spectral_norm(np.arange(6.0).reshape(2, 3) / 3),
    "scalar_minimum": lambda: nct.certificates.scalar_minimum(0.3, 1.1, 0.01, 3),
    "simplex_etf": lambda: nct.closed_form.simplex_etf(3),
    "soft_value": lambda: nct.closed_form.soft_value(0.3),
    "swap_probability": lambda: nct.protocols.swap_probability(0.1, 0.2, 1.0, 3.0),
    "unravel": lambda: nct.problems.unravel(SQUARED, np.linspace(0.0, 1.0, nct.problems.size(SQUARED))).features,
    "undecayed": lambda: nct.problems.undecayed(BARELY, 1),
}
BOUNDS = ("lower_bound", "duality_bound", "separable_bound", "spectral_norm", "scalar_minimum")
WITHIN_PROGRAMS = {
    "chain_gauge_penalty",
    "flat_objective",
    "follow_chain",
    "nearest_scale",
    "normal_blocks",
    "slope_derivatives",
    "slopes_nearby",
    "standard_normal",
    "unravel",
}
"""Parts of programs, whose precision they have."""
WITHIN_VERBS = {"check_loss", "search"}
"""Parts of verbs, whose precision they have."""
NO_NUMBERS = {"as_key", "check_points", "shape_of"}
ROOMS = (
    "certificates",
    "closed_form",
    "generalisation",
    "measures",
    "problems",
    "protocols",
    "sampling",
    "landscape",
    "flow",
)


def point(problem):
    drawn = np.random.default_rng(0)
    return jax.tree.map(lambda leaf: drawn.normal(size=leaf.shape), nct.problems.template(problem))


@pytest.mark.parametrize("name", CALLS)
def test_a_program_of_32_bits_has_the_same_numbers(name):
    with jax.enable_x64(True):
        expected = np.asarray(CALLS[name]())
    with jax.enable_x64(False):
        found = np.asarray(CALLS[name]())
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("name", BOUNDS)
def test_a_bound_is_not_traced_in_a_program_of_32_bits(name):
    bound = {
        "lower_bound": lambda shift: nct.certificates.lower_bound(
            CHAIN, jax.tree.map(lambda x: x + shift, point(CHAIN))
        ),
        "duality_bound": lambda shift: nct.certificates.duality_bound(
            CHAIN, jax.tree.map(lambda x: x + shift, point(CHAIN))
        ),
        "separable_bound": lambda shift: nct.certificates.separable_bound(moved(shift)),
        "spectral_norm": lambda shift: nct.certificates.spectral_norm(np.ones((2, 3)) + shift),
        "scalar_minimum": lambda shift: nct.certificates.scalar_minimum(0.3 + shift, 1.1, 0.01, 3),
    }[name]
    with jax.enable_x64(False), pytest.raises(ValueError, match=rf"^{name}: expected to be traced in float64"):
        jax.jit(bound)(0.0)
    with jax.enable_x64(True):
        np.testing.assert_allclose(jax.jit(bound)(0.0), bound(0.0), rtol=1e-12)


def moved(shift):
    return nct.unconstrained_features(counts=(3, 2, 4), dim=4, loss="mse", weight_decay=(0.01 + shift, 0.02))


DOUBLE = {"float64", "only_in_float64", "in_float64", "measured"}
"""What makes a function enter double precision."""


def computing_as_the_host_does():
    """The public functions of rooms that users compute with, which use JAX's numbers and do not enter double precision."""
    for room in ROOMS:
        for name in dir(getattr(nct, room)):
            value = getattr(getattr(nct, room), name)
            if isinstance(value, types.FunctionType) and not name.startswith("_"):
                text = ast.parse(inspect.getsource(inspect.unwrap(value))).body[0]
                assert isinstance(text, ast.FunctionDef)
                makers = {
                    node.id for one in text.decorator_list for node in ast.walk(one) if isinstance(node, ast.Name)
                }
                words = {getattr(node, "id", getattr(node, "attr", "")) for node in ast.walk(text)}
                if "jnp" in words and "enable_x64" not in words and not DOUBLE & makers:
                    yield name


def test_every_public_function_that_computes_does_so_in_float64():
    assert set(computing_as_the_host_does()) == WITHIN_PROGRAMS | WITHIN_VERBS | NO_NUMBERS
