"""Equivariance under units: f(x) = s g(x / r) has the critical points of g, whatever s and r are."""

import abc
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import nctheory as nct
from nctheory.problems import scales_of
from nctheory.report import census_lines

ORDINARY = (1.0, 1.0)
POWERS_OF_TWO = ((2.0**-28, 1.0), (2.0**28, 2.0**-24), (1.0, 2.0**-28), (2.0**-24, 2.0**24))
POWERS_OF_TEN = (
    (1e-8, 1e-8),
    (1e8, 1e8),
    (1e-8, 1e8),
    (1e8, 1e-8),
    (1e-8, 1.0),
    (1.0, 1e-8),
    (1e3, 1e-2),
    (1e8, 1.0),
    (1.0, 1e8),
)


class Polynomial(nct.Problem):
    """s g(x / r), started within r of zero."""

    s: jax.Array | np.ndarray
    r: jax.Array | np.ndarray

    @classmethod
    def of(cls, s, r):
        return cls(np.asarray(s, np.float64), np.asarray(r, np.float64))

    @abc.abstractmethod
    def g(self, x, y) -> jax.Array:
        """The polynomial in ordinary units."""

    def init(self, key, scale):
        return self.r * scale * jax.random.normal(key, (2,), jnp.float64)

    def objective(self, params):
        return self.s * self.g(params[0] / self.r, params[1] / self.r)

    def invariants(self, params):
        return params


class Wells(Polynomial):
    """Four minima, four saddles of index 1 and a maximum; no two values agree."""

    def g(self, x, y):
        return 0.25 * (x**2 - 1.0) ** 2 + 0.1 * x + 0.25 * (y**2 - 1.2) ** 2 + 0.03 * y


class CloseWells(Polynomial):
    """Minima at x = 1e-3 and 2e-3 and the saddle between, a thousandth of a start away and far less steep."""

    def g(self, x, y):
        u = 1e3 * x - 1.5
        return 0.25 * (u**2 - 0.25) ** 2 + 1e-3 * u + 0.5 * y**2


class Degenerate(Polynomial):
    """A quartic minimum at zero along x, and minima of the square beside a saddle along y."""

    def g(self, x, y):
        return 0.25 * x**4 + 0.25 * (y**2 - 1.0) ** 2 + 0.05 * y


class Valley(Polynomial):
    """A circle of minimisers that no gauge explains, around a maximum at zero."""

    def g(self, x, y):
        return 0.25 * (x**2 + y**2 - 1.0) ** 2

    def invariants(self, params):
        return jnp.linalg.norm(params)


EXPECTED = {
    Wells: [("minimum", 0, 0)] * 4 + [("strict saddle", 1, 0)] * 4 + [("strict saddle", 2, 0)],
    CloseWells: [("minimum", 0, 0)] * 2 + [("strict saddle", 1, 0)],
    Degenerate: [("degenerate", 0, 1)] * 2 + [("strict saddle", 1, 1)],
    Valley: [("degenerate", 0, 1), ("strict saddle", 2, 0)],
}


def types(census):
    return sorted((row.kind, row.index, row.nullity) for row in census.rows)


def in_units(problem, census, s, r):
    """What does not depend on the units."""
    units = scales_of(problem)
    assert census.tolerance == 1e-10 * units.gradient
    return {
        "types": [(row.kind, row.rank, row.index, row.nullity, row.gauge_dimension, row.count) for row in census.rows],
        "ends": (census.critical, census.flat, census.unfinished),
        "value": census.value / s,
        "eigenvalues": [row.eigenvalues * (r * r / s) for row in census.rows],
        "params": [np.asarray(nct.problems.ravel(row.params)) / r for row in census.rows],
        "descent": np.array([row.descent for row in census.rows]) / s,
    }


@pytest.mark.slow
@pytest.mark.parametrize("kind", EXPECTED)
def test_the_census_of_a_polynomial_is_known(kind):
    census = nct.census(kind.of(*ORDINARY), 96)
    assert types(census) == sorted(EXPECTED[kind])
    for row in census.rows:  # no gauge is given, so that every flat direction is unexplained
        flat = "1 flat direction off the gauge"
        assert (row.caveat is not None) == (row.nullity > 0)
        assert any(flat in line and f"{row.value:.8g}" in line for line in census_lines(census)) == (row.nullity > 0)


@pytest.mark.parametrize("kind", EXPECTED)
def test_powers_of_two_change_no_bit_of_a_census(kind):
    plain = kind.of(*ORDINARY)
    expected = in_units(plain, nct.census(plain, 96), *ORDINARY)
    for s, r in POWERS_OF_TWO:
        problem = kind.of(s, r)
        np.testing.assert_equal(in_units(problem, nct.census(problem, 96), s, r), expected)


@pytest.mark.slow
@pytest.mark.parametrize("units", POWERS_OF_TEN, ids=str)
@pytest.mark.parametrize("kind", EXPECTED)
def test_a_census_is_the_same_in_all_units(kind, units):
    problem = kind.of(*units)
    census, plain = nct.census(problem, 96), nct.census(kind.of(*ORDINARY), 96)
    assert types(census) == sorted(EXPECTED[kind])
    assert (census.flat, census.unfinished) == (0, 0)
    np.testing.assert_allclose(census.value / units[0], plain.value, rtol=1e-9, atol=1e-12)
    lines = {(d.origin, d.side, d.end) for d in nct.landscape.saddle_connections(problem, census)}
    assert all(end >= 0 for _, _, end in lines)
    for row in census.rows:
        report = nct.hessian_report(problem, row.params)
        assert (report.index, report.nullity) == (row.index, row.nullity)


def chain_in_units(kind, r):
    """A squared-error chain whose factors are r times as large at the same point of its landscape, and s."""
    number, widths, given = {
        "features": (2, (2, 3), {}),
        "deep": (3, (2, 2, 2), {}),
        "inputs": (2, (3, 2, 3), {"inputs": np.array([[1.0, 0.2, 0.0], [0.0, 1.0, 0.1], [0.3, 0.0, 0.8]])}),
        "undecayed": (2, (3, 2, 3), {"inputs": np.eye(3)}),
    }[kind]
    t = float(r) ** number
    s, decay = t * t, (0.0, 0.0) if kind == "undecayed" else (0.03, 0.05, 0.04)[:number]
    targets = np.diag([1.0, 0.8, 0.55])[: widths[-1], : widths[-1]]
    problem = nct.deep_linear(
        widths=widths, loss="mse", targets=t * targets, weight_decay=[a * s / r**2 for a in decay], **given
    )
    return problem, s


CHAINS = ("features", "deep", "inputs", "undecayed")


@functools.cache
def ordinary_census(kind):
    return nct.census(chain_in_units(kind, 1.0)[0], 400)


@pytest.mark.slow
@pytest.mark.parametrize("kind", CHAINS)
def test_powers_of_two_change_no_bit_of_a_chains_census(kind):
    expected = in_units(chain_in_units(kind, 1.0)[0], ordinary_census(kind), 1.0, 1.0)
    for r in (2.0**-24, 2.0**16):
        problem, s = chain_in_units(kind, r)
        np.testing.assert_equal(in_units(problem, nct.census(problem, 400), s, r), expected)


@pytest.mark.slow
@pytest.mark.parametrize("r", [1e-8, 0.3, 30.0, 1e8])
@pytest.mark.parametrize("kind", CHAINS)
def test_a_chain_has_one_landscape_in_all_units(kind, r):
    plain, (problem, s) = ordinary_census(kind), chain_in_units(kind, r)
    census = nct.census(problem, 400)
    assert [(row.kind, row.rank, row.index, row.nullity, row.gauge_dimension) for row in census.rows] == [
        (row.kind, row.rank, row.index, row.nullity, row.gauge_dimension) for row in plain.rows
    ]
    np.testing.assert_allclose(census.value / s, plain.value, rtol=1e-9, atol=1e-12)
    if kind in ("features", "deep"):
        held = nct.landscape.compare(census, nct.closed_form.critical_points(problem))
        assert (held.missing, held.extra, held.misjudged) == ((), (), ())


@pytest.mark.slow
@pytest.mark.parametrize("r", [1e-8, 1e-3, 30.0, 1e8])
@pytest.mark.parametrize("kind", CHAINS)
def test_solve_hessians_and_certificates_are_the_same_in_all_units(kind, r):
    plain, (problem, s) = chain_in_units(kind, 1.0)[0], chain_in_units(kind, r)
    expected, ends = nct.solve(plain, 6), nct.solve(problem, 6, scale=r)
    np.testing.assert_array_equal(ends.status, expected.status)
    np.testing.assert_allclose(ends.value / s, expected.value, rtol=1e-9, atol=1e-14)
    assert ends.tolerance == pytest.approx(1e-10 * s / r, rel=16.0)
    bound = nct.certify(problem, ends.params)
    np.testing.assert_array_equal(bound.closed(ends.value), nct.certify(plain, expected.params).closed(expected.value))
    for i in range(2):
        ours, theirs = (jax.tree.map(lambda x, i=i: x[i], e.params) for e in (ends, expected))
        report, other = nct.hessian_report(problem, ours), nct.hessian_report(plain, theirs)
        assert (report.index, report.nullity, report.gauge_dimension, report.caveat is None) == (
            other.index,
            other.nullity,
            other.gauge_dimension,
            other.caveat is None,
        )


@pytest.mark.parametrize("method", ["flow+polish", "flow", "polish"])
@pytest.mark.parametrize("units", [*POWERS_OF_TWO, *POWERS_OF_TEN], ids=str)
def test_a_solve_is_the_same_in_all_units(units, method):
    expected, ends = (nct.solve(Wells.of(*u), 16, method=method) for u in (ORDINARY, units))
    assert ends.converged.all()
    np.testing.assert_array_equal(ends.status, expected.status)
    if units in POWERS_OF_TWO:
        np.testing.assert_array_equal(ends.value / units[0], expected.value)
        np.testing.assert_array_equal(ends.params / units[1], expected.params)
        np.testing.assert_array_equal(ends.steps, expected.steps)
    elif method != "polish":  # whose first steps are long, so that rounding may choose the basin
        np.testing.assert_allclose(ends.value / units[0], expected.value, rtol=1e-9)
        np.testing.assert_allclose(ends.params / units[1], expected.params, rtol=1e-6)
