"""Kinks off which the value falls at first order: stationary in Clarke's sense, and no minimum."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import nctheory as nct
from nctheory.landscape._census import take_census
from nctheory.problems import branches_at
from nctheory.theorems._end_types import examine
from nctheory.theorems._evidence import EndType, Points


class Creased(nct.Problem):
    r"""$\sum_ka_k\max(n_k\cdot x,0)+c\cdot x+|x|^2/2$, with rows $n_k$."""

    normals: jax.Array | np.ndarray
    weights: jax.Array | np.ndarray
    slope: jax.Array | np.ndarray

    def init(self, key, scale):
        return scale * jax.random.normal(key, self.slope.shape, jnp.float64)

    def objective(self, params):
        kinks = jnp.maximum(self.normals @ params, 0.0)
        return self.weights @ kinks + self.slope @ params + 0.5 * jnp.sum(params**2)


class Peak(nct.Problem):
    """a|x| + x^2 + y^2: at zero a maximum in x where a is negative."""

    size: float = eqx.field(static=True, default=-1.0)

    def init(self, key, scale):
        return scale * jax.random.normal(key, (2,), jnp.float64)

    def objective(self, params):
        return self.size * jnp.abs(params[0]) + jnp.sum(params**2)


class Nested(Peak):
    """A kink that is fed by two others, falls in x, and rises in y."""

    def objective(self, params):
        inner = jnp.maximum(params, 0.0)
        return jnp.sum(params**2) - jnp.maximum(inner[0] - inner[1], 0.0) + inner[1]


def creased(rng, kinks, dim, signs):
    """A problem that is stationary at zero in Clarke's sense, with slopes inside (0, 1)."""
    normals, weights = rng.normal(size=(kinks, dim)), signs * rng.uniform(0.5, 2.0, size=kinks)
    return Creased(normals, weights, -(weights * rng.uniform(0.2, 0.8, size=kinks)) @ normals)


def test_of_independent_kinks_the_value_falls_off_those_that_are_concave(rng):
    for kinks in (1, 3, 5):
        signs = rng.choice([-1.0, 1.0], size=kinks)
        problem = creased(rng, kinks, 5, signs)
        here = branches_at(problem, np.zeros(5))
        assert here.met.all()
        assert np.linalg.norm(here.gradient) < 1e-12
        np.testing.assert_array_equal(here.falling, signs < 0)
        for way, steepness in zip(here.falls[here.falling], here.steepness[here.falling], strict=True):
            with jax.enable_x64(True):
                fallen = float(problem.objective(jnp.zeros(5)) - problem.objective(jnp.asarray(1e-6 * way)))
            assert fallen == pytest.approx(1e-6 * steepness, rel=1e-4)
        report = nct.hessian_report(problem, np.zeros(5))
        assert (report.index, report.falling, report.met) == (0, int(np.sum(signs < 0)), kinks)
        assert report.kinks == kinks  # at zero too, where the point has no length
        assert report.saddle == bool(np.any(signs < 0))
        assert ("no minimum" in (report.caveat or "")) == report.saddle


def test_of_dependent_kinks_no_fall_is_told_that_is_none(rng):
    """More kinks than directions: what is told is seen in values, and of convex problems nothing is told."""
    seen = 0
    for trial in range(12):
        problem = creased(rng, 5, 3, rng.choice([-1.0, 1.0], size=5) if trial % 3 else np.ones(5))
        here = branches_at(problem, np.zeros(3))
        told = here.steepness > 0
        seen += int(told.sum())
        assert trial % 3 or not told.any()
        with jax.enable_x64(True):
            values = [float(problem.objective(jnp.asarray(1e-6 * way))) for way in here.falls[told]]
        assert np.all(np.array(values) < 0.0)
    assert seen > 4


def test_two_kinks_of_one_argument_are_one():
    class Twice(Peak):
        def objective(self, params):
            return jnp.sum(params**2) - jnp.abs(params[0]) - self.size * jnp.maximum(params[0], -params[0])

    for size, falls in ((-2.0, False), (-0.5, True)):
        report = nct.hessian_report(Twice(size), np.zeros(2))
        assert report.saddle == falls


def test_a_kink_that_is_fed_by_others():
    here = branches_at(Nested(), np.zeros(2))
    ways = here.falls[here.falling]
    assert len(ways)
    with jax.enable_x64(True):
        for way, steepness in zip(ways, here.steepness[here.falling], strict=True):
            assert float(Nested().objective(jnp.asarray(1e-6 * way))) == pytest.approx(-1e-6 * steepness, rel=1e-3)


def test_a_census_calls_it_a_saddle_and_shows_the_descent():
    for size, kind in ((-1.0, "strict saddle"), (1.0, "minimum")):
        problem = Peak(size)
        ends = nct.solve_from(problem, np.zeros((2, 2)), method="polish")
        assert ends.converged.all()  # stationary in Clarke's sense
        (row,) = take_census(problem, ends).rows
        assert (row.kind, row.index, row.kinks) == (kind, 0, 1)
        assert row.eigenvalues == pytest.approx([2.0])
        if size < 0:
            assert np.abs(row.direction) == pytest.approx([1.0, 0.0])
            assert 0.2 < row.descent <= 0.25  # the value at x = 1/2 is -1/4; a few lengths are looked at
            assert row.caveat is not None
        else:
            assert (row.descent, row.caveat) == (0.0, None)


def test_claims_about_the_index_count_the_fall():
    """On the list such a point counts against the claim; off it, it is the saddle that the claim says it is."""
    problem = Peak(-1.0)
    ends = nct.solve_from(problem, np.zeros((2, 2)), method="polish")
    none, rounding = np.zeros(2, bool), np.zeros(2)
    (kind,) = examine(problem, ends, none, rounding, (), (), most=None, points=1, best=False).types
    assert isinstance(kind, EndType)
    assert kind.fall == pytest.approx(1.0)
    assert kind.smallest_curvature > 0
    claim = nct.Index("index", "", lambda p, x: p.objective(x), lambda m: m.value)

    evidence = Points(
        problem=problem, ensemble=ends, bound=nct.certify(problem, ends.params), certified=none,
        observed={claim: np.zeros((2, 1))}, terms={}, sizes={}, sensitivity={}, reports=(), types=(kind,),
        value_rounding=rounding,
    )  # fmt: skip
    for listed, counts in (([0.0], True), ([7.0], False)):
        check = claim.check(evidence, np.array(listed))
        assert bool(np.all(check.residual > check.tolerance)) == counts
        assert np.all(np.isfinite(check.tolerance))


def test_a_minimiser_that_falls_off_a_kink_is_not_the_only_one():
    model = nct.unconstrained_features(counts=(3, 3), dim=2, loss="mse", weight_decay=(0.05, 0.05))
    end = jax.tree.map(lambda x: x[0], nct.solve(model, seeds=1).params)
    report = nct.hessian_report(model, end)
    assert nct.certificates.unique_minimiser(model, end, report).unique
    found = nct.certificates.unique_minimiser(model, end, report._replace(falling=1))
    assert not found.unique
    assert "1 kink off which the value falls" in (found.reason or "")
