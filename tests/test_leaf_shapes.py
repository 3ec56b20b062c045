"""Every verb works whatever shapes the leaves of the parameters have, one number among them, and however they are nested."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import nctheory as nct
from nctheory.problems import size, template, value_rounding
from tests.helpers import first


class DoubleWells(nct.Problem):
    """a sum over all entries of (x^2 - 1)^2/4 + x/10 + 1/5, which is positive; three critical points in every entry."""

    a: np.ndarray | jax.Array
    shapes: tuple = eqx.field(static=True)
    nesting: str = eqx.field(static=True)

    def init(self, key, scale):
        keys = jax.random.split(key, len(self.shapes))
        leaves = [scale * jax.random.normal(k, s, jnp.float64) for k, s in zip(keys, self.shapes, strict=True)]
        if self.nesting == "bare":
            return leaves[0]
        return {"b": leaves[0], "a": {"c": leaves[1:]}} if self.nesting == "dict" else (leaves[0], (tuple(leaves[1:]),))

    def objective(self, params):
        one = lambda x: jnp.sum(0.25 * (x**2 - 1.0) ** 2 + 0.1 * x + 0.2)  # noqa: E731
        return self.a * sum(one(x) for x in jax.tree.leaves(params))


CASES = {
    "()": (((),), "bare"),
    "(1,)": (((1,),), "bare"),
    "(2,)": (((2,),), "bare"),
    "(2, 3)": (((2, 3),), "bare"),
    "dict": (((), (2,)), "dict"),
    "tuple": (((), (1,), (2, 3)), "tuple"),
}
REAL = np.sort(np.roots([1.0, 0.0, -1.0, 0.1]).real)
"""The critical points of one entry: minimum, maximum, minimum."""


def model(case, a=1.0):
    return DoubleWells(np.asarray(a), *CASES[case])


def entries(params):
    """All entries of points with a leading seeds axis, seeds x P."""
    return np.concatenate([np.asarray(x).reshape(len(x), -1) for x in jax.tree.leaves(params)], axis=1)


USUAL = ("()", "(2,)", "dict")
"""One number, a vector and a nest of both; the others take as long and are asked by --exhaustive."""


@pytest.fixture(
    scope="module", params=[one if one in USUAL else pytest.param(one, marks=pytest.mark.exhaustive) for one in CASES]
)
def solved(request):
    with jax.enable_x64(True):
        problem = model(request.param)
        return request.param, problem, nct.solve(problem, 9)


@pytest.mark.slow
def test_seeds_end_at_minima_and_reports_say_so(solved):
    _, problem, ends = solved
    assert ends.converged.all()
    assert jax.tree.map(lambda x: x.shape[1:], ends.params) == jax.tree.map(lambda x: x.shape, template(problem))
    assert np.abs(entries(ends.params)[..., None] - REAL[[0, 2]]).min(axis=2).max() < 1e-9
    report = nct.hessian_report(problem, first(ends.params))
    assert (report.index, report.nullity, report.eigenvalues.size) == (0, 0, size(problem))
    assert nct.certify(problem, ends.params).reason == "DoubleWells defines no lower_bound"
    assert value_rounding(problem, ends.params).shape == (9,)
    again = nct.solve_from(problem, ends.params)
    np.testing.assert_allclose(again.value, ends.value, rtol=1e-12)
    if size(problem) < 5:
        with pytest.raises(ValueError, match=r"problem: expected at least 5 parameters, got [123]; hessian_report"):
            nct.certificates.lowest_curvature(problem, first(ends.params))
    else:
        assert nct.certificates.lowest_curvature(problem, first(ends.params), count=1).index == 0


@pytest.mark.slow
def test_the_census_knows_all_types(solved):
    _, problem, _ = solved
    numbers = size(problem)
    census = nct.census(problem, 60)
    assert census.critical == 60
    for row in census.rows:
        at = entries(jax.tree.map(lambda x: np.asarray(x)[None], row.params))[0]
        nearest = np.abs(at[:, None] - REAL).argmin(axis=1)
        np.testing.assert_allclose(at, REAL[nearest], atol=1e-9)
        assert (row.index, row.nullity) == (np.sum(nearest == 1), 0)
    if numbers == 1:
        assert [row.index for row in census.rows] == [0, 0, 1]
    assert (
        all(line.end >= 0 for line in nct.landscape.saddle_connections(problem, census)) or numbers > 2
    )  # not all types are found there


@pytest.mark.slow
def test_paths_sweeps_and_several_problems(solved):
    case, problem, ends = solved
    starts = nct.starts(problem, 3)
    followed = nct.gradient_flow(problem, starts, [0.5, 1.0], observe=lambda p, x: p.objective(x))
    assert np.all(np.diff(followed.values, axis=1) < 0)
    stepped = nct.gradient_descent(problem, starts, [5, 10], 0.01, observe=lambda p, x: p.objective(x))
    assert np.all(np.diff(stepped.values, axis=1) < 0)
    end = nct.flow.follow_flow(problem, first(starts), 1.0)
    assert float(problem.objective(end.params)) == pytest.approx(followed.values[0, 1], rel=1e-9)
    many = nct.solve_many([problem, model(case, 2.0)], 3)
    np.testing.assert_allclose(many.value[0], ends.value[:3], rtol=1e-12)
    swept = nct.sweep(lambda a: model(case, a), {"a": [1.0, 2.0]}, seeds=3)
    np.testing.assert_allclose(swept.arrays["value"], many.value, rtol=1e-12)
    beside = nct.solve(nct.problems.problem_sum([problem, model(case, 2.0)]), 3)
    assert beside.converged.all()


def chain(counts, **more):
    given = {"dim": 2, "loss": "mse", "weight_decay": (0.1, 0.1), **more}
    return nct.unconstrained_features(counts=counts, **given)


@pytest.mark.slow
def test_problems_of_other_class_counts_share_a_program():
    members = [chain((3, 1)), chain((2, 2)), chain((1, 3))]
    for some in (members, [nct.problems.reduce_to_class_means(chain(c)) for c in ((3, 1), (50, 2))]):
        together = nct.solve_many(some, 4, key=1)
        bound = nct.certificates.certify_many(some, together.params)
        assert together.converged.all()
        for i, one in enumerate(some):
            alone = nct.solve(one, 4, key=1)
            np.testing.assert_allclose(together.value[i], alone.value, rtol=1e-13)
            np.testing.assert_allclose(bound.lower_bound[i], nct.certify(one, alone.params).lower_bound, rtol=1e-9)
        assert bound.closed(together.value).all()


DIFFERENT = {
    r"members\[1\]: .* with widths \(2, 2\), got \(3, 2\)": lambda: chain((3, 1), dim=3),
    r"members\[1\]: .* with targets of shape \(2, 4\), got \(2, 5\); of other numbers of samples": lambda: chain(
        (3, 2)
    ),
    r"members\[1\]: .* with loss of type MeanSquaredError, got CrossEntropy": lambda: chain(
        (3, 1), loss="cross_entropy"
    ),
    r"members\[1\]: .* with bias_decay None, got 0.3": lambda: chain((3, 1), bias=0.3),
    r"members\[1\]: .* with the type DeepLinear, got DoubleWells": lambda: model("()"),
}


@pytest.mark.parametrize("message", DIFFERENT)
def test_what_differs_is_said_with_both_values(message):
    with pytest.raises(ValueError, match=message):
        nct.solve_many([chain((3, 1)), DIFFERENT[message]()])
    if "widths" in message:
        with pytest.raises(ValueError, match=r"problems\[1\]: .*, with widths \(2, 2\), got \(3, 2\)"):
            nct.problems.problem_sum([chain((3, 1)), chain((3, 1), dim=3)])
