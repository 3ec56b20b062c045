"""Problems of a user's own: what is no problem is refused before it is solved."""

import jax
import jax.numpy as jnp
import pytest

import nctheory as nct
from tests.helpers import unchecked_types


class OfSinglePrecision(nct.Problem):
    def init(self, key, scale):
        return {"x": jax.random.normal(key, (3,), jnp.float32)}

    def objective(self, params):
        return jnp.sum(params["x"] ** 2)


class OfThreeNumbers(nct.Problem):
    def init(self, key, scale):
        return scale * jax.random.normal(key, (3,), jnp.float64)

    def objective(self, params):
        return params**2


@pytest.mark.parametrize(
    ("problem", "message"),
    [
        (OfSinglePrecision(), r"OfSinglePrecision.init must return arrays of float64, got float32 at \['x'\]"),
        (OfThreeNumbers(), r"OfThreeNumbers.objective must return one number, shape \(\), got shape \(3,\)"),
        (OfThreeNumbers, "problem: expected a Problem, got .*; a class, of which an instance is meant"),
        ({}, "problem: expected a Problem, got dict"),
    ],
)
def test_what_is_no_problem_is_refused_before_it_is_solved(problem, message):
    with unchecked_types(), pytest.raises(ValueError, match=message):
        nct.solve(problem, seeds=2)
