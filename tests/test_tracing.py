"""Which functions can be part of a program (`jax.jit`, `vmap`, `grad`), with the right derivatives; the others say so."""

import inspect
import operator
import re
import warnings
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import nctheory as nct
from nctheory._moved import MOVED
from tests.traced_functions import NO_NUMBERS, RESULTS_ONLY, STOPPED, TRACED, UNTRACED, X, model

PAGE = Path(__file__).parents[1] / "docs" / "tracing.md"


def total(result):
    """The sum of all floating-point numbers of a result, however it is built."""
    if hasattr(result, "_asdict"):
        result = list(result._asdict().values())
    if isinstance(result, dict):
        result = list(result.values())
    if isinstance(result, list | tuple):
        return sum((total(part) for part in result), jnp.zeros(()))
    if isinstance(result, jax.Array | np.ndarray | float):
        array = jnp.asarray(result)
        return jnp.sum(array) if jnp.issubdtype(array.dtype, jnp.floating) else jnp.zeros(())
    leaves = jax.tree.leaves(result)
    return jnp.zeros(()) if len(leaves) == 1 and leaves[0] is result else total(leaves)


def functions():
    """All functions at the top of the package and those in its rooms that users are told of."""
    names = {*nct.__all__, *MOVED.values()} - {"show", "plot", "citation"}  # of results, as text and pictures
    found = {name: operator.attrgetter(name)(nct) for name in names}
    return {name.rpartition(".")[2]: one for name, one in found.items() if inspect.isfunction(one)}


def test_every_function_is_in_one_of_the_lists():
    lists = [set(TRACED), set(STOPPED), set(UNTRACED), RESULTS_ONLY, NO_NUMBERS]
    assert sum(map(len, lists)) == len(set.union(*lists))
    assert set.union(*lists) == set(functions())
    assert {name for name, one in functions().items() if hasattr(one, "untraced")} == set(UNTRACED) | RESULTS_ONLY


def test_the_page_has_the_same_lists():
    """docs/tracing.md: sections of the functions that can be traced and those that cannot."""
    sections = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", PAGE.read_text(), re.M | re.S))
    listed = {title: set(re.findall(r"^\| `(\w+)` \|", text, re.M)) for title, text in sections.items()}
    assert listed["Can be traced"] == set(TRACED) | set(STOPPED)
    assert listed["Cannot be traced"] == set(UNTRACED) | RESULTS_ONLY


OF_POINTS = {"expand_moments", "lift_to_samples", "ravel", "unravel", "vector_scaling"}
"""They are computed of points, here of single precision, and leave that as it is."""


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(TRACED) - OF_POINTS))
def test_what_is_computed_of_numbers_is_float64_whatever_the_host_program_does(name):
    """JAX's default, x64 off: closed forms, and the parameters of losses, were silently known to seven digits."""
    with jax.enable_x64(False), jax.numpy_dtype_promotion("standard"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of JAX, about arrays that this test makes
        found = jax.tree.leaves(TRACED[name](X))
    kinds = {str(np.asarray(one).dtype) for one in found if hasattr(one, "dtype")}
    assert not {kind for kind in kinds if kind in ("float32", "complex64")}


@pytest.mark.slow
@pytest.mark.parametrize("name", TRACED)
def test_values_and_derivatives_are_those_outside(name):
    function, step = TRACED[name], 1e-6
    at = jnp.array([X, 1.2 * X])
    values, slopes = jax.jit(jax.vmap(jax.value_and_grad(lambda x: total(function(x)))))(at)
    outside = [float(total(function(float(x)))) for x in at]
    assert np.all(np.isfinite(outside))
    np.testing.assert_allclose(values, outside, rtol=1e-11, atol=1e-11)
    differences = [
        (float(total(function(float(x) + step))) - float(total(function(float(x) - step)))) / (2 * step) for x in at
    ]
    # Central differences: rounding over the step, and a third derivative times its square.
    np.testing.assert_allclose(slopes, differences, rtol=1e-5, atol=1e-7 * (1 + np.max(np.abs(outside))))


@pytest.mark.slow
def test_derivatives_of_the_flow_are_stopped():
    def end(x):
        return jnp.sum(STOPPED["follow_flow"](x).params.weights[0])

    value, slope = jax.jit(jax.value_and_grad(end))(X)
    np.testing.assert_allclose(value, end(X), rtol=1e-11)
    assert slope == 0.0


@pytest.mark.parametrize("transform", [jax.jit, jax.grad, lambda f: lambda x: jax.vmap(f)(jnp.full(2, x))])
@pytest.mark.parametrize("name", UNTRACED)
def test_of_traced_numbers_a_verb_says_that_it_cannot_be_traced(name, transform):
    with pytest.raises(ValueError, match=rf"traced.* `{name}` runs programs of its own.*call it outside of jax.jit"):
        transform(lambda x: total(UNTRACED[name](x)))(X)


@pytest.mark.parametrize("transform", [jax.jit, jax.grad, lambda f: lambda x: jax.vmap(f)(jnp.full(2, x))])
def test_within_a_trace_of_other_numbers_a_verb_computes_at_once(transform):
    expected = nct.solve(model(X), 2).value

    def around(x):
        found = nct.solve(model(X), 2)
        assert type(found.value) is np.ndarray
        np.testing.assert_array_equal(found.value, expected)
        return x * float(found.value[0])

    transform(around)(1.0)


def test_it_names_the_place():
    class Mine(nct.Problem):
        inner: dict

        def init(self, key, scale):
            return key

        def objective(self, params):
            return 0.0

    with pytest.raises(ValueError, match=r"^problem\.inner\['decay'\] is traced, and `solve`"):
        jax.jit(lambda x: nct.solve(Mine({"decay": x})))(X)
    with pytest.raises(ValueError, match=r"^model's x is traced, and `sweep`"):
        jax.jit(UNTRACED["sweep"])(X)
    with pytest.raises(ValueError, match=r"^key is traced, and `solve`"):
        jax.vmap(lambda key: nct.solve(model(X), 2, key).value)(jax.random.split(jax.random.key(0), 2))


def test_objects_of_other_libraries_are_not_searched():
    class Foreign:
        def __init__(self):
            self.mixed = {1: self, "one": self}

        @property
        def trap(self):
            raise AssertionError("looked into")

    foreign = Foreign()

    def progress(done):
        assert foreign.mixed

    assert nct.solve(model(X), 2, progress=progress).converged.all()
