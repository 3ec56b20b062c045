"""Unit vectors and features on spheres: the flow of the sphere, its Hessian, and a certificate that is never violated."""

from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import nctheory as nct
from nctheory.certificates._elliptope import quadratic_bound
from tests.helpers import Linear

P = nct.problems


class Largest(P.Energy):
    """The largest inner product, smoothly: convex, and does not say so."""

    @property
    def vectors(self):
        return 4

    def value(self, gram):
        return jax.scipy.special.logsumexp(5.0 * jnp.triu(gram, 1))


def models():
    """A model of every kind, with the dimension at which its minimum is known to be certified."""
    counts, pool = (3, 2, 1), {"counts": (3, 2, 1), "dim": 6}
    return {
        "sphere": P.spherical_features(**pool, temperature=0.2, weight_radius=1.5),
        "norm": P.spherical_features(**pool, radius=2.0, weight_norm=3.0),
        "decay": P.spherical_features(**pool, radius=2.0, weight_decay=0.05),
        "decay-mse": P.spherical_features(**pool, loss="mse", weight_decay=0.02),
        "fixed": P.spherical_features(**pool, radius=2.0, weights=np.random.default_rng(0).normal(size=(3, 6))),
        "contrastive": P.unit_vectors(P.supervised_contrastive(counts=counts, temperature=0.5), dim=6),
        "orthant": P.unit_vectors(P.supervised_contrastive(counts=counts, temperature=0.5), dim=6, nonnegative=True),
        "tied": P.unit_vectors(P.tied_cross_entropy(classes=5, temperature=0.5), dim=4),
        "sigmoid": P.unit_vectors(P.paired_sigmoid(pairs=3, scale=2.0, bias=-0.5), dim=3),
        "pairs": P.unit_vectors(P.exponential_energy(vectors=4, sharpness=2.0), dim=3),
        "linear": P.unit_vectors(Linear(symmetric(5)), dim=5),
    }


def symmetric(size, seed=0):
    draw = np.random.default_rng(seed).normal(size=(size, size))
    return draw + draw.T


MODELS = models()
EACH = pytest.mark.parametrize("name", MODELS)


@EACH
def test_the_gradient_is_that_of_the_objective_and_orthogonal_to_the_symmetry(name):
    problem = MODELS[name]
    with jax.enable_x64(True):
        point = problem.init(jax.random.key(1), 1.0)
        point = jax.tree.map(lambda x: 1.3 * x, point)
        value, slope = problem.value_and_grad(point)
        assert float(value) == pytest.approx(float(problem.objective(point)), rel=1e-14)
        expected = np.asarray(P.ravel(jax.grad(problem.objective)(point)))
        np.testing.assert_allclose(
            np.asarray(P.ravel(slope)), expected, atol=float(1e-14 * np.linalg.norm(expected) + 1e-15)
        )
        tangents = np.asarray(jax.vmap(P.ravel)(problem.gauge_tangents(point)))
        assert np.abs(tangents @ expected).max() < 1e-13
        # The form is positive semidefinite, zero across the orbit, and not zero along any of it.
        unit = jnp.eye(P.size(problem))
        form = np.asarray(jax.vmap(lambda v: P.ravel(problem.gauge_penalty(point, P.unravel(problem, v))))(unit))
        np.testing.assert_allclose(form, form.T, atol=1e-12)
        eigenvalues, vectors = np.linalg.eigh(form)
        rank = np.linalg.matrix_rank(tangents, tol=1e-9)
        assert eigenvalues[0] > -1e-12
        assert (eigenvalues > 1e-9).sum() == rank
        assert np.linalg.matrix_rank(np.concatenate([vectors[:, -rank:].T, tangents]), tol=1e-9) == rank


@EACH
def test_the_bound_is_below_every_value_at_any_point_and_closes_at_the_best(name):
    problem = MODELS[name]
    ends = nct.solve(problem, seeds=24)
    assert ends.converged.mean() > 0.9
    bound = nct.certify(problem, ends.params)
    best = ends.value.min()
    assert bound.closed(ends.value)[ends.value.argmin()], bound.gap.min()
    assert not bound.contradicts(np.full(24, best)).any()
    with jax.enable_x64(True):
        for size in (1e-3, 0.1, 1.0, 30.0, 1e4):
            moved = jax.tree.map(
                lambda x, size=size: x + size * jax.random.normal(jax.random.key(3), x.shape, jnp.float64), ends.params
            )
            anywhere = nct.certify(problem, moved)
            assert anywhere.valid.all()
            assert not anywhere.contradicts(np.full(24, best)).any(), size
            assert anywhere.reason is not None


@pytest.mark.parametrize("size", [3, 6])
def test_the_bound_of_a_linear_energy_is_the_value_of_the_semidefinite_program(size):
    cvxpy = pytest.importorskip("cvxpy")
    for seed in range(3):
        matrix = symmetric(size, seed)
        gram = cvxpy.Variable((size, size), PSD=True)
        program = cvxpy.Problem(cvxpy.Minimize(cvxpy.trace(matrix @ gram)), [cvxpy.diag(gram) == 1])
        program.solve(solver=cvxpy.CLARABEL, tol_gap_abs=1e-9, tol_gap_rel=1e-9, tol_feas=1e-9)
        problem = P.unit_vectors(Linear(matrix), dim=size)
        ends = nct.solve(problem, seeds=8)
        bound = nct.certify(problem, ends.params)
        assert bound.lower_bound.max() == pytest.approx(program.value, rel=1e-7)
        assert bound.closed(ends.value).all()  # the dimension is that of the program, whose landscape is then benign


def test_the_bound_of_decayed_classifiers_is_the_value_of_the_convex_program():
    cvxpy = pytest.importorskip("cvxpy")
    counts, radius, decay = np.array([5, 2, 1]), 1.5, 0.1
    gram = cvxpy.Variable((6, 6), PSD=True)
    fit = sum(n / 8 * (cvxpy.log_sum_exp(gram[:3, 3 + k]) - gram[k, 3 + k]) for k, n in enumerate(counts))
    program = cvxpy.Problem(
        cvxpy.Minimize(fit + decay / 2 * cvxpy.trace(gram[:3, :3])), [cvxpy.diag(gram)[3:] == radius**2]
    )
    program.solve(solver=cvxpy.CLARABEL, tol_gap_abs=1e-9, tol_gap_rel=1e-9, tol_feas=1e-9)
    problem = P.spherical_features(counts=tuple(counts.tolist()), dim=6, radius=radius, weight_decay=decay)
    ends = nct.solve(problem, seeds=4)
    bound = nct.certify(problem, ends.params)
    assert bound.lower_bound.max() == pytest.approx(program.value, rel=1e-7)
    assert bound.closed(ends.value).all()


def test_a_quadratic_form_is_bounded_whatever_the_multipliers():
    rng, matrix = np.random.default_rng(4), symmetric(5, 4)
    rows = rng.normal(size=(2000, 5, 3))
    rows /= np.linalg.norm(rows, axis=-1, keepdims=True)
    least = np.einsum("ij,sid,sjd->s", matrix, rows, rows).min()
    with jax.enable_x64(True):
        for size in (0.0, 1.0, 100.0):
            lower, _ = quadratic_bound(jnp.asarray(matrix), jnp.asarray(size * rng.normal(size=5)))
            assert float(lower) <= least


def test_the_flow_is_that_of_the_sphere():
    problem = P.unit_vectors(P.tied_cross_entropy(classes=5), dim=4)
    start = nct.starts(problem, 1)
    point, step = np.asarray(start[0], float), 1e-4

    def velocity(rows):
        """Minus the Riemannian gradient: the gradient in the ambient space, less its part along each vector."""
        logits = rows @ rows.T - 1.0
        np.fill_diagonal(logits, -np.inf)
        odds = np.exp(logits)
        share = odds / (1.0 + odds.sum(axis=1, keepdims=True)) / len(rows)
        slope = (share + share.T) @ rows
        return -(slope - rows * np.sum(slope * rows, axis=1, keepdims=True))

    for _ in range(2000):  # the midpoint rule on the sphere itself
        half = point + 0.5 * step * velocity(point)
        point = point + step * velocity(half / np.linalg.norm(half, axis=1, keepdims=True))
        point /= np.linalg.norm(point, axis=1, keepdims=True)
    end = nct.gradient_flow(problem, start, [0.2]).values[0, -1]
    np.testing.assert_allclose(np.linalg.norm(end, axis=1), 1.0, atol=1e-10)
    np.testing.assert_allclose(end, point, atol=1e-9)


def test_the_hessian_at_a_simplex_is_that_on_the_sphere():
    problem = P.unit_vectors(P.tied_cross_entropy(classes=4), dim=5)
    ends = nct.solve(problem, seeds=1)
    report = nct.hessian_report(problem, ends.params[0])
    # 4 lengths; of the 10 rotations of five dimensions one leaves the three that the simplex spans alone.
    assert (report.index, report.gauge_dimension, report.nullity) == (0, 13, 0)
    # The Riemannian Hessian of the energy at a simplex, by differences along great circles: its least positive curvature.
    with jax.enable_x64(True):
        units = np.asarray(problem.directions(ends.params[0]))
    rng = np.random.default_rng(2)
    for _ in range(20):
        step = rng.normal(size=units.shape)
        step -= units * np.sum(step * units, axis=1, keepdims=True)
        speed = np.linalg.norm(step, axis=1, keepdims=True)
        path = [np.cos(t * speed) * units + np.sin(t * speed) * step / speed for t in (-1e-4, 0.0, 1e-4)]
        values = [float(problem.energy.value(u @ u.T)) for u in path]
        along = (values[0] - 2 * values[1] + values[2]) / 1e-8
        hessian = float(step.ravel() @ np.asarray(dense(problem, units)) @ step.ravel())
        assert along == pytest.approx(hessian, abs=1e-5)


def dense(problem, point):
    with jax.enable_x64(True):
        return problem.hessian(jnp.asarray(point))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (
            lambda: P.unit_vectors(P.tied_cross_entropy(classes=3), dim=1),
            "dim: expected a whole number of at least 2, got 1",
        ),
        (lambda: P.tied_cross_entropy(classes=1), "classes: expected a whole number of at least 2, got 1"),
        (
            lambda: P.tied_cross_entropy(classes=3, temperature=0.0),
            "temperature: expected a finite number above 0, got 0.0",
        ),
        (
            lambda: P.supervised_contrastive(counts=(1, 1), temperature=1.0),
            "counts: expected a class with at least two",
        ),
        (lambda: P.paired_sigmoid(pairs=2, scale=-1.0), "scale: expected a finite number above 0, got -1.0"),
        (lambda: P.paired_sigmoid(pairs=2, scale=1.0, bias=np.nan), "bias: expected a finite number, got nan"),
        (
            lambda: P.exponential_energy(vectors=3, sharpness=np.inf),
            "sharpness: expected a finite number above 0, got inf",
        ),
        (
            lambda: P.spherical_features(counts=(1, 1), dim=1, weight_norm=1.0),
            "dim: expected a whole number of at least 2",
        ),
        (lambda: P.spherical_features(counts=(1, 1), dim=2), "expected exactly one of these, got none"),
        (
            lambda: P.spherical_features(counts=(1, 1), dim=2, weight_norm=1.0, weight_decay=0.1),
            "expected exactly one of these, got weight_norm and weight_decay",
        ),
        (
            lambda: P.spherical_features(counts=(1, 1), dim=2, weight_norm=1.0, radius=0),
            "radius: expected a finite number",
        ),
        (
            lambda: P.spherical_features(counts=(1, 1), dim=2, weight_norm=1.0, temperature=-1),
            "temperature: expected a finite number above 0",
        ),
        (
            lambda: P.spherical_features(counts=(1, 1), dim=2, weight_decay=0.0),
            "weight_decay: expected a finite number above",
        ),
        (
            lambda: P.spherical_features(counts=(1, 1), dim=2, weights=np.eye(3)),
            "weights: expected K x d = 2 x 2, got shape",
        ),
        (
            lambda: P.spherical_features(counts=(4,), dim=2, weight_norm=1.0),
            "counts: expected at least two classes, got 1",
        ),
    ],
)
def test_what_is_wrong_is_named(call, words):
    with pytest.raises(ValueError, match=r"^[a-z_, ]+: ") as error:
        call()
    assert words in str(error.value)


def test_zero_vectors_have_no_direction():
    problem = MODELS["tied"]
    points = np.ones((3, 5, 4))
    points[1, 2] = 0.0
    with pytest.raises(
        ValueError, match=r"points: expected vectors that are not zero, .* got length 0 at index \[1, 2\]"
    ):
        nct.solve_from(problem, points)
    for verb in (nct.certify, lambda one, at: nct.gradient_flow(one, at, [1.0])):
        with pytest.raises(ValueError, match=r"params: expected vectors that are not zero"):
            verb(problem, points)
    both = P.problem_sum([problem, problem])
    with pytest.raises(ValueError, match=r"points, member 1: expected vectors that are not zero"):
        nct.solve_from(both, np.stack([np.ones((3, 5, 4)), points], axis=1))
    features = MODELS["sphere"]
    starts = nct.starts(features, 2)
    with pytest.raises(ValueError, match=r"points.weights\[0\]: expected vectors that are not zero"):
        nct.solve_from(features, starts._replace(weights=(0.0 * starts.weights[0],)))


class Concave(Linear):
    """Says that it is convex, and is not."""

    def value(self, gram):
        return -jnp.sum(gram**2)


def test_the_convexity_of_a_users_energy_is_tested_and_not_taken_for_proved():
    honest = MODELS["linear"]
    ends = nct.solve(honest, seeds=4)
    bound = nct.certify(honest, ends.params)
    assert bound.closed(ends.value).all()
    assert bound.assumes is not None
    assert "Linear is convex was tested on 256 segments" in bound.assumes
    assert nct.certify(MODELS["tied"], nct.starts(MODELS["tied"], 2)).assumes is None
    wrong = P.unit_vectors(Concave(symmetric(4)), dim=4)
    refused = nct.certify(wrong, nct.starts(wrong, 2))
    assert not refused.valid.any()
    assert "the energy Concave says that it is convex and is not" in str(refused.reason)


class Apart(P.Energy):
    """The sum of |<u_i, u_j> + 1/3|, which has all its kinks at the tetrahedron."""

    convex: ClassVar[bool] = True

    @property
    def vectors(self):
        return 4

    def value(self, gram):
        return jnp.sum(jnp.abs(jnp.triu(gram + 1.0 / 3.0, 1)))


def test_kinks_of_an_energy_are_found_and_solved():
    problem = P.unit_vectors(Apart(), dim=3)
    assert P.kinks_of(problem)
    ends = nct.solve(problem, seeds=8)
    best = ends.converged & (ends.value < 1e-6)
    assert best.sum() >= 4
    np.testing.assert_allclose(ends.value[best], 0.0, atol=1e-9)


def test_an_energy_that_does_not_say_that_it_is_convex_has_no_bound():
    problem = P.unit_vectors(Largest(), dim=3)
    bound = nct.certify(problem, nct.solve(problem, seeds=2).params)
    assert not bound.valid.any()
    assert bound.reason is not None
    assert "does not say that it is convex" in bound.reason


def test_where_the_dimension_is_too_small_the_open_gap_says_so():
    problem = P.unit_vectors(P.exponential_energy(vectors=7, sharpness=1.0), dim=3)  # no sharp code
    ends = nct.solve(problem, seeds=4)
    bound = nct.certify(problem, ends.params)
    assert not bound.closed(ends.value).any()
    assert bound.reason is not None
    assert "dimension 3 is below 7" in bound.reason
