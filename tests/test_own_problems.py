"""Problems of a user's own: what is no problem is refused before it is solved."""

import jax
import jax.numpy as jnp
import numpy as np
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


class ThatRounds(OfThreeNumbers):
    def objective(self, params):
        return jnp.sum(params.astype(jnp.float32) ** 2).astype(jnp.float64)


class OfTracedShape(OfThreeNumbers):
    dim: int = 3  # not static

    def init(self, key, scale):
        return scale * jax.random.normal(key, (self.dim,), jnp.float64)


class WithoutScale(OfThreeNumbers):
    def init(self, key):
        return jax.random.normal(key, (3,), jnp.float64)


class BoundedWrongly(OfThreeNumbers):
    def objective(self, params):
        return jnp.sum(params**2)

    def lower_bound(self, params):
        return 1.0 + 0.0 * params[0]


@pytest.mark.parametrize(
    ("problem", "message"),
    [
        (ThatRounds(), "ThatRounds.objective must compute in float64, got float32 from convert_element_type"),
        (OfTracedShape(), r"OfTracedShape.init\(key, scale\) cannot be evaluated: .*field\(static=True\)"),
        (WithoutScale(), r"WithoutScale.init\(key, scale\) cannot be evaluated: TypeError: .* takes 2"),
        (OfSinglePrecision(), r"OfSinglePrecision.init must return arrays of float64, got float32 at \['x'\]"),
        (OfThreeNumbers(), r"OfThreeNumbers.objective must return one number, shape \(\), got shape \(3,\)"),
        (OfThreeNumbers, "problem: expected a Problem, got .*; a class, of which an instance is meant"),
        ({}, "problem: expected a Problem, got dict"),
    ],
)
def test_what_is_no_problem_is_refused_before_it_is_solved(problem, message):
    with unchecked_types(), pytest.raises(ValueError, match=message):
        nct.solve(problem, seeds=2)


def double(x):
    return 2 * x


@pytest.mark.parametrize(
    ("verb", "arguments"),
    [
        (nct.certify, (np.zeros((2, 3)),)),
        (nct.hessian_report, (np.zeros(3),)),
        (nct.census, ()),
        (nct.gradient_flow, (np.zeros((2, 3)), [1.0])),
        (nct.gradient_descent, (np.zeros((2, 3)), [1], 0.1)),
        (nct.langevin, (np.zeros((2, 3)), 5, 0.1)),
    ],
)
def test_every_verb_says_that_a_function_is_no_problem(verb, arguments):
    with unchecked_types(), pytest.raises(ValueError, match=r"^problem: expected a Problem, got function"):
        verb(double, *arguments)


@pytest.mark.parametrize("verb", [nct.verify, nct.falsify, nct.dynamics])
def test_what_is_no_theorem_is_refused_by_name(verb):
    with (
        unchecked_types(),
        pytest.raises(ValueError, match=r"^theorem: expected a Theorem or an identifier, got function"),
    ):
        verb(double)


def test_a_bound_above_the_value_is_said_to_be_wrong():
    bound = nct.certify(BoundedWrongly(), np.zeros((2, 3)))
    assert bound.contradicts(np.zeros(2)).all()
    assert not bound.closed(np.zeros(2)).any()
    assert "one of the two is wrong" in (bound.reason or "")
