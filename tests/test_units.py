"""Equivariance under units: f(x) = s g(x / r) has the critical points of g, whatever s and r are."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import nctheory as nct
from tests.helpers import first

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
    """Minima at x = 1e-3 and 2e-3 and the saddle between, a thousandth of a start away, where the gradient is 1e9 times less."""

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
    units = nct.problems.scales_of(problem)
    assert census.tolerance == 1e-10 * units.gradient
    return {
        "types": [(row.kind, row.rank, row.index, row.nullity, row.gauge_dimension, row.count) for row in census.rows],
        "ends": (census.critical, census.flat, census.unfinished),
        "value": census.value / s,
        "eigenvalues": [row.eigenvalues * (r * r / s) for row in census.rows],
        "params": [np.asarray(nct.ravel(row.params)) / r for row in census.rows],
        "descent": np.array([row.descent for row in census.rows]) / s,
    }


@pytest.mark.parametrize("kind", EXPECTED)
def test_the_census_of_a_polynomial_is_known(kind):
    assert types(nct.census(kind.of(*ORDINARY), 96)) == sorted(EXPECTED[kind])


@pytest.mark.parametrize("kind", EXPECTED)
def test_powers_of_two_change_no_bit_of_a_census(kind):
    plain = kind.of(*ORDINARY)
    expected = in_units(plain, nct.census(plain, 96), *ORDINARY)
    for s, r in POWERS_OF_TWO:
        problem = kind.of(s, r)
        np.testing.assert_equal(in_units(problem, nct.census(problem, 96), s, r), expected)


@pytest.mark.parametrize("units", POWERS_OF_TEN, ids=str)
@pytest.mark.parametrize("kind", EXPECTED)
def test_a_census_is_the_same_in_all_units(kind, units):
    problem, (s, r) = kind.of(*units), units
    census, plain = nct.census(problem, 96), nct.census(kind.of(*ORDINARY), 96)
    assert types(census) == sorted(EXPECTED[kind])
    assert (census.flat, census.unfinished) == (0, 0)
    np.testing.assert_allclose(census.value / s, plain.value, rtol=1e-9, atol=1e-12)
    lines = {(d.origin, d.side, d.end) for d in nct.descents(problem, census)}
    assert all(end >= 0 for _, _, end in lines)
    for row in census.rows:
        report = nct.hessian_report(problem, row.params)
        assert (report.index, report.nullity) == (row.index, row.nullity)
