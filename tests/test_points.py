"""Points that are none of a problem's are refused by every verb, however well their sizes happen to match."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import nctheory as nct
from nctheory.certificates import certify_many, unique_minimiser
from nctheory.problems import check_points, value_rounding

# Square layers, as many classes as dimensions: the leaves of one point all begin with an axis of length 3.
MODEL = nct.unconstrained_features(counts=(1, 1, 1), dim=3, loss="mse", weight_decay=(0.05, 0.05))
MANY = nct.starts(MODEL, 3)
ONE = jax.tree.map(lambda x: x[0], MANY)
OF_SEEDS = {
    "certify": lambda p: nct.certify(MODEL, p),
    "value_rounding": lambda p: value_rounding(MODEL, p),
    "solve_from": lambda p: nct.solve_from(MODEL, p),
    "flow": lambda p: nct.gradient_flow(MODEL, p, [1.0]),
    "descend": lambda p: nct.gradient_descent(MODEL, p, [1], 0.1),
}
OF_ONE = {
    "hessian_report": lambda p: nct.hessian_report(MODEL, p),
    "lowest_curvature": lambda p: nct.certificates.lowest_curvature(MODEL, p, count=2),
    "follow_flow": lambda p: nct.flow.follow_flow(MODEL, p, 1.0),
    "unique_minimiser": lambda p: unique_minimiser(MODEL, p, nct.hessian_report(MODEL, ONE)),
}


@pytest.mark.parametrize("verb", OF_SEEDS)
def test_a_single_point_is_not_read_as_seeds(verb):
    hint = re.escape("expected .weights[0] of shape (seeds, 3, 3), got (3, 3); a single point x is passed as")
    with pytest.raises(ValueError, match=hint):
        OF_SEEDS[verb](ONE)
    ragged = MANY._replace(features=MANY.features[:2])
    with pytest.raises(ValueError, match=re.escape("expected .features of shape (3, 3, 3), got (2, 3, 3)")):
        OF_SEEDS[verb](ragged)
    with pytest.raises(ValueError, match=re.escape("expected .features of shape (3, 3, 3), got (3, 3, 2)")):
        OF_SEEDS[verb](MANY._replace(features=MANY.features[..., :2]))
    with pytest.raises(ValueError, match="expected the parameters of DeepLinear, 2 arrays, got 1"):
        OF_SEEDS[verb](MANY._replace(features=None))


@pytest.mark.parametrize("verb", OF_ONE)
def test_seeds_are_not_read_as_a_single_point(verb):
    hint = re.escape("params: expected .weights[0] of shape (3, 3), got (3, 3, 3); the first of several points x is")
    with pytest.raises(ValueError, match=hint):
        OF_ONE[verb](MANY)
    with pytest.raises(ValueError, match=re.escape("params: expected .features of shape (3, 3), got (3,)")):
        OF_ONE[verb](ONE._replace(features=ONE.features[0]))


def test_members_and_seeds_are_two_axes():
    both = jax.tree.map(lambda x: jnp.stack([x, x]), MANY)
    assert certify_many([MODEL, MODEL], both).gap.shape == (2, 3)
    for wrong, message in (
        (MANY, "params: expected .weights[0] of shape (members, seeds, 3, 3), got (3, 3, 3)"),
        (jax.tree.map(lambda x: x[:1], both), "params: expected leading axes 2 members x seeds, got 1 x 3"),
    ):
        with pytest.raises(ValueError, match=re.escape(message)):
            certify_many([MODEL, MODEL], wrong)


def test_points_of_any_problem_are_checked_against_its_own_template():
    class Number(nct.Problem):
        """Parameters that are one number."""

        def init(self, key, scale):
            return jnp.asarray(scale, jnp.float64)

        def objective(self, params):
            return (params - 1.0) ** 2

    assert check_points(Number(), np.zeros(5)) == (5,)
    assert check_points(Number(), np.zeros(()), ()) == ()
    with pytest.raises(ValueError, match=re.escape("params: expected an array of shape (seeds), got (5, 2)")):
        check_points(Number(), np.zeros((5, 2)))
    sides = nct.problems.problem_sum([MODEL, MODEL])
    points = nct.starts(sides, 2)
    assert check_points(sides, points) == (2,)
    with pytest.raises(ValueError, match=re.escape("got (2, 3, 3); a single point x is passed as")):
        check_points(sides, jax.tree.map(lambda x: x[0], points))
