"""The bound of linear programming for codes: tight where it should be, below every code, weak where a polynomial is wrong."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize

import nctheory as nct
from nctheory.certificates import _delsarte, delsarte_bound, problem_bound

GOLDEN = (1 + 5**0.5) / 2


def icosahedron():
    return np.array([np.roll([0.0, a, b * GOLDEN], k) for a in (1, -1) for b in (1, -1) for k in range(3)])


def six_hundred_cell():
    whole = np.concatenate([np.eye(4), -np.eye(4)])
    halves = np.array(list(itertools.product((0.5, -0.5), repeat=4)))
    even = [p for p in itertools.permutations(range(4)) if np.linalg.det(np.eye(4)[list(p)]) > 0]
    signs = list(itertools.product((1, -1), repeat=3))
    rest = [np.array([a * GOLDEN, b, c / GOLDEN, 0.0])[list(p)] / 2 for p in even for a, b, c in signs]
    return np.concatenate([whole, halves, rest])


def polygon(number):
    angles = 2 * np.pi * np.arange(number) / number
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


SHARP = {
    "pair": polygon(2),
    "triangle": polygon(3),
    "heptagon": polygon(7),
    "20-gon": polygon(20),
    "simplex in its space": np.eye(4) - 0.25,
    "simplex in a larger one": np.eye(5) - 0.2,
    "octahedron": np.concatenate([np.eye(3), -np.eye(3)]),
    "orthoplex": np.concatenate([np.eye(5), -np.eye(5)]),
    "icosahedron": icosahedron(),
}


def energy(code, beta):
    units = code / np.linalg.norm(code, axis=1, keepdims=True)
    return float(np.sum(np.exp(beta * (units @ units.T)[~np.eye(len(units), dtype=bool)])))


@pytest.mark.parametrize("beta", [0.1, 1.0, 4.0, 10.0])
@pytest.mark.parametrize("name", SHARP)
def test_tight_at_sharp_codes(name, beta):
    code = SHARP[name]
    dim = np.linalg.matrix_rank(code) if name != "simplex in a larger one" else 7
    bound, value = delsarte_bound(len(code), max(int(dim), 2), beta), energy(code, beta)
    assert -1e-14 * value <= value - bound.lower_bound <= 1e-12 * value
    assert 0 <= bound.rounding <= 1e-12 * value
    assert np.all(bound.coefficients[1:] > -1e-12 * value)


def test_the_600_cell_is_met_at_a_small_sharpness_only():
    """Its polynomial has degree 17; that of degree 11 is close to tight where the potential is nearly a polynomial."""
    code = six_hundred_cell()
    assert code.shape == (120, 4)
    gaps = [1 - delsarte_bound(120, 4, beta).lower_bound / energy(code, beta) for beta in (1.0, 10.0)]
    assert 0 <= gaps[0] < 1e-12 < gaps[1]


@pytest.mark.parametrize(
    ("beta", "octahedron", "icosahedron"), [(1.0, 26.207276647, 136.615891399), (4.0, 24.109893833, 369.204567021)]
)
def test_known_figures(beta, octahedron, icosahedron):
    assert delsarte_bound(6, 3, beta).lower_bound == pytest.approx(octahedron, abs=1e-9)
    assert delsarte_bound(12, 3, beta).lower_bound == pytest.approx(icosahedron, abs=1e-9)


@pytest.mark.parametrize("beta", [0.5, 3.0, 12.0])
@pytest.mark.parametrize(
    ("number", "dim"), [(2, 2), (5, 3), (7, 3), (8, 3), (13, 3), (40, 3), (9, 4), (24, 4), (60, 6)]
)
def test_below_all_codes(number, dim, beta, rng):
    bound = delsarte_bound(number, dim, beta).lower_bound
    values = [energy(rng.normal(size=(number, dim)), beta) for _ in range(50)]
    assert 0 < bound <= min(values)


def test_strictly_below_codes_that_are_not_sharp():
    """Seven points and the cube in three dimensions; eight points do better than the cube."""
    cube = energy(np.array(list(itertools.product((1.0, -1.0), repeat=3))), 1.0)
    for number, known in ((7, 38.807250613), (8, 53.585663717)):
        problem = nct.problems.unit_vectors(nct.problems.exponential_energy(vectors=number, sharpness=1.0), dim=3)
        ends = nct.solve(problem, 16)
        bound = nct.certify(problem, ends.params)
        assert float(ends.value.min()) == pytest.approx(known, abs=1e-8)
        assert not bound.closed(ends.value).any()
        assert not bound.contradicts(ends.value).any()
        assert float(bound.gap.min()) > 1e-4 * known
        assert bound.reason is not None
    assert known < cube


def program(number, dim, beta, degree):
    """The linear program on a grid: largest N^2 h_0 - N h(1) with h <= f there, by another algorithm."""
    grid = np.cos(np.linspace(0, np.pi, 2001))
    rows = _delsarte.gegenbauer(degree, dim, grid).T
    cost = np.full(degree + 1, float(number))
    cost[0] -= number**2
    found = scipy.optimize.linprog(
        cost, rows, np.exp(beta * grid), bounds=[(None, None)] + [(0, None)] * degree, method="highs"
    )
    return -found.fun


@pytest.mark.parametrize(
    ("number", "dim", "degree"), [(7, 3, 3), (8, 3, 3), (10, 3, 4), (5, 3, 2), (9, 4, 3), (6, 3, 3)]
)
def test_the_best_of_its_degree(number, dim, degree):
    bound = delsarte_bound(number, dim, 2.0)
    assert len(bound.coefficients) == degree + 1
    assert bound.lower_bound == pytest.approx(program(number, dim, 2.0, degree), rel=1e-5)


def test_the_excess_covers_what_is_sampled_and_sees_a_polynomial_that_is_too_high():
    nodes, found = _delsarte.interpolant(7, 3, 2.0)
    fine = np.linspace(-1, 1, 200_001)
    potential = np.exp(2.0 * (fine - 1.0))
    for change in (0.0, 1e-9, -1e-9, 1e-3, 0.1):
        moved = found + change * np.array([0.2, -0.5, 1.0, 0.7])
        sampled = np.max(moved @ _delsarte.gegenbauer(3, 3, fine) - potential)
        told = _delsarte.excess(moved, 3, nodes, 2.0)
        assert sampled <= told <= sampled + 1e-7 * abs(change) + 1e-12


@pytest.mark.parametrize(
    "spoil", [lambda h: h + 0.01, lambda h: h * np.where(np.arange(h.size) == 2, -1, 1), lambda h: 2 * h]
)
def test_a_wrong_polynomial_gives_a_weak_bound_and_no_wrong_one(spoil, monkeypatch):
    right = _delsarte.interpolant
    monkeypatch.setattr(_delsarte, "interpolant", lambda *args: (right(*args)[0], spoil(right(*args)[1])))
    found = _delsarte._bound.__wrapped__(12, 3, 1.5)
    value = energy(icosahedron(), 1.5) * math.exp(-1.5)
    assert found.lower_bound < value
    assert found.rounding > 1e-3 * value


def test_certify_takes_the_better_bound():
    """In three dimensions the eigenvalue's bound is open at the icosahedron; with room for all vectors it is tight as well."""
    potential = nct.problems.exponential_energy(vectors=12, sharpness=4.0)
    problem = nct.problems.unit_vectors(potential, dim=3)
    points = jnp.asarray(np.stack([icosahedron(), np.random.default_rng(0).normal(size=(12, 3))]))
    bound = nct.certify(problem, points)
    own = problem_bound(problem)
    assert own is not None
    np.testing.assert_array_equal(bound.lower_bound, own.lower_bound)
    np.testing.assert_array_equal(bound.closed(np.asarray(jax.vmap(problem.objective)(points))), [True, False])
    eigenvalue = float(nct.certificates.lower_bound(problem, points[0]))
    assert eigenvalue < (1 - 1e-3) * own.lower_bound
    many = nct.certificates.certify_many([problem, problem], jnp.stack([points, points]))
    np.testing.assert_array_equal(many.lower_bound, np.full((2, 2), own.lower_bound))


def test_other_problems_have_no_bound_of_their_own():
    tied = nct.problems.unit_vectors(nct.problems.tied_cross_entropy(classes=4), dim=3)
    assert problem_bound(tied) is None
    assert problem_bound(nct.unconstrained_features(counts=(1, 1), dim=2, loss="mse", weight_decay=(0.1, 0.1))) is None

    def inside(beta):
        energy = nct.problems.exponential_energy(vectors=3, sharpness=beta)
        assert problem_bound(nct.problems.unit_vectors(energy, dim=2)) is None
        return beta

    jax.jit(inside)(1.0)


def test_numbers_out_of_range_leave_a_bound_that_is_valid():
    assert delsarte_bound(5, 3, 2000.0).lower_bound >= 0.0
    assert delsarte_bound(5, 3, 800.0).lower_bound >= 0.0
    assert delsarte_bound(5, 3, 300.0, origin=-10.0).lower_bound >= 0.0
    shifted, plain = delsarte_bound(6, 3, 2.0, origin=0.3), delsarte_bound(6, 3, 2.0)
    assert shifted.lower_bound == pytest.approx(math.exp(-0.6) * plain.lower_bound, rel=1e-14)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"vectors": 1}, "vectors: expected a whole number of at least 2"),
        ({"dim": 1}, "dim: expected a whole number of at least 2"),
        ({"sharpness": 0.0}, "sharpness: expected a finite number above 0"),
        ({"sharpness": math.inf}, "sharpness: expected a finite number above 0"),
        ({"origin": math.nan}, "origin: expected a finite number"),
    ],
)
def test_wrong_use(change, message):
    with pytest.raises(ValueError, match=message):
        delsarte_bound(**{"vectors": 6, "dim": 3, "sharpness": 1.0, **change})
