"""`unique_minimiser` on spheres: said of simplices, never where two different Gram matrices are optimal."""

from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import nctheory as nct
from nctheory.certificates import _unique_gram, unique_minimiser
from nctheory.problems import ChainParams
from tests.helpers import Linear

P = nct.problems


class Concave(Linear):
    """The same, without saying that it is convex."""

    convex: ClassVar[bool] = False


class Kinked(P.Energy):
    """The sum of |g_ij + 1/3|, whose kinks are at the tetrahedron."""

    convex: ClassVar[bool] = True

    @property
    def vectors(self):
        return 4

    def value(self, gram):
        return jnp.sum(jnp.abs(gram + 1 / 3) * (1.0 - jnp.eye(4)))


def simplex(number, dim):
    """The unit vectors of a simplex, one a row."""
    values, vectors = np.linalg.eigh(np.eye(number) - 1 / number)
    corners = np.sqrt(number / (number - 1)) * vectors[:, values > 0.5]
    return np.pad(corners, ((0, 0), (0, dim - number + 1)))


def asked(problem, point):
    """The verdict at one point."""
    with jax.enable_x64(True):
        return unique_minimiser(problem, point, nct.hessian_report(problem, point))


def closed(problem, point):
    """Whether the certificate closes there."""
    with jax.enable_x64(True):
        many = jax.tree.map(lambda x: np.asarray(x)[None], point)
        return bool(nct.certify(problem, many).closed(np.asarray(problem.objective(point))[None]).all())


def spherical(kind, counts=(2, 2, 2), dim=2):
    """A balanced problem of one kind with its minimiser, written down."""
    corners = simplex(3, max(dim, 2))
    features = np.repeat(corners, counts, axis=0).T
    if kind == "fixed":
        frame = np.eye(3) - 1 / 3
        problem = P.spherical_features(counts=counts, dim=3, radius=2.0, weights=np.eye(3))
        return problem, ChainParams((), np.repeat(frame, counts, axis=1), None)
    held: dict[str, Any] = {"sphere": {"weight_radius": 1.5}, "norm": {"weight_norm": 2.0}}[kind]
    return P.spherical_features(counts=counts, dim=dim, radius=2.0, **held), ChainParams((corners,), features, None)


@pytest.mark.parametrize(
    ("problem", "point", "kernel"),
    [
        pytest.param(P.unit_vectors(P.exponential_energy(vectors=4, sharpness=1.0), dim=3), simplex(4, 3), 3, id="code"),
        pytest.param(P.unit_vectors(P.tied_cross_entropy(classes=3), dim=4), simplex(3, 4), 2, id="more-room"),
        pytest.param(
            P.unit_vectors(P.supervised_contrastive(counts=(2, 2, 2), temperature=0.5), dim=2),
            np.repeat(simplex(3, 2), 2, axis=0), 2, id="contrastive",
        ),
        pytest.param(*spherical("sphere"), 2, id="sphere"),
        pytest.param(*spherical("norm"), 2, id="norm"),
        pytest.param(*spherical("fixed"), 0, id="fixed"),
    ],
)  # fmt: skip
def test_a_simplex_is_the_only_minimiser(problem, point, kernel):
    assert closed(problem, point)
    found = asked(problem, point)
    assert found.unique, found.reason
    assert found.rank == kernel
    assert 1e-3 < found.margin <= 1.0
    # The dual matrix has the point in its kernel, by dense algebra.
    if isinstance(problem, P.UnitVectors):
        with jax.enable_x64(True):
            dual = np.asarray(_unique_gram.dual_matrix(problem, point))
        np.testing.assert_allclose(dual @ point, 0.0, atol=1e-13)
        assert np.linalg.eigvalsh(dual)[0] > -1e-13


def segment(rng):
    """A positive semidefinite S in whose kernel, of three dimensions, lies one segment of Gram matrices of five unit vectors.

    With N the rows $n_i$ of the kernel, $NMN^\\top$ has a unit diagonal for M = I and for M = I + tA, where A is the one
    symmetric matrix with $n_i^\\top An_i=0$ for all five; at both ends M has rank two. Returns S and the ends as vectors.
    """
    rows = rng.normal(size=(5, 3))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    pairs = [(0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2)]
    forms = np.stack([rows[:, i] * rows[:, j] * (1 if i == j else 2) for i, j in pairs], axis=1)
    entries = np.linalg.svd(forms)[2][-1]
    across = np.zeros((3, 3))
    for (i, j), entry in zip(pairs, entries, strict=True):
        across[i, j] = across[j, i] = entry
    values = np.linalg.eigvalsh(across)
    ends = []
    for reach in (-1 / values[-1], -1 / values[0]):
        sizes, basis = np.linalg.eigh(np.eye(3) + reach * across)
        ends.append(rows @ basis[:, 1:] * np.sqrt(sizes[1:])[None, :])
    return np.eye(5) - rows @ np.linalg.inv(rows.T @ rows) @ rows.T, ends


def test_two_optimal_gram_matrices_that_are_both_isolated_are_not_called_unique(rng, monkeypatch):
    """In the plane both ends of the segment are strict minimisers, and the kernel alone tells that there is another."""
    for _ in range(3):
        matrix, ends = segment(rng)
        problem = P.unit_vectors(Linear(matrix), dim=2)
        for end in ends:
            np.testing.assert_allclose(np.linalg.norm(end, axis=1), 1.0, atol=1e-9)
            assert closed(problem, end)
            found = asked(problem, end)
            assert not found.unique
            assert "kernel of dimension 3, above 2" in str(found.reason)
        assert np.abs(ends[0] @ ends[0].T - ends[1] @ ends[1].T).max() > 1e-2
    # The control: without the condition on the kernel they would be called unique.
    monkeypatch.setattr(_unique_gram, "_judged", lambda *_: None)
    assert asked(problem, ends[0]).unique


def test_a_family_of_gram_matrices_is_not_called_unique(rng):
    """|u_1 + … + u_4|^2 is zero at all quadrangles that close; and in three dimensions the segment is a family as well."""
    problem = P.unit_vectors(Linear(np.ones((4, 4))), dim=3)
    assert closed(problem, simplex(4, 3))
    assert "Hessian is not positive definite" in str(asked(problem, simplex(4, 3)).reason)
    matrix, (end, _) = segment(rng)
    found = asked(P.unit_vectors(Linear(matrix), dim=3), np.pad(end, ((0, 0), (0, 1))))
    assert not found.unique


def test_the_tie_of_bipyramid_and_pyramid_is_not_called_unique():
    """At the critical temperature of five classes in space both codes cost the same; neither is certified."""
    from proofs_numeric.spheres.orthoplex import bipyramid, pyramid, pyramid_heights, transition

    tau = transition()
    problem = P.spherical_features(counts=(1,) * 5, dim=3, weight_radius=tau)
    codes = [(bipyramid(), bipyramid()), tuple(pyramid(height) for height in pyramid_heights(tau))]
    for weights, features in codes:
        found = asked(problem, ChainParams((weights,), features.T, None))
        assert not found.unique
        assert "not a minimiser of the program" in str(found.reason)


@pytest.mark.parametrize("excess", [0.0, 0.5])
def test_pairs_that_come_apart_at_their_threshold(excess):
    """SigLIP is antipodal from b = t - log c on; exactly there the curvature vanishes, beyond it is the only minimiser."""
    scale = 2.0
    problem = P.unit_vectors(P.paired_sigmoid(pairs=3, scale=scale, bias=scale - np.log(0.5) + excess), dim=3)
    point = np.zeros((6, 3))
    point[:, 0] = [1, 1, 1, -1, -1, -1]
    assert closed(problem, point)
    found = asked(problem, point)
    assert found.unique == (excess > 0), found.reason
    assert found.rank == (1 if excess else found.rank)


@pytest.mark.slow
def test_where_it_is_unique_all_starts_end_at_one_gram_matrix():
    problem = P.unit_vectors(P.supervised_contrastive(counts=(3, 2), temperature=0.5), dim=3)
    ends = nct.solve(problem, seeds=16)
    good = nct.certify(problem, ends.params).closed(ends.value) & ends.converged
    assert good.sum() >= 8
    first = int(np.flatnonzero(good)[0])
    assert asked(problem, ends.params[first]).unique
    grams = np.asarray(jax.vmap(problem.gram)(ends.params[good]))
    assert np.ptp(grams, axis=0).max() < 1e-7
    # What is no minimiser at all is not called unique either.
    assert not asked(problem, np.asarray(nct.starts(problem, 1))[0]).unique


class OwnObjective(P.UnitVectors):
    """One that is no function of the Gram matrix."""

    def objective(self, params):
        return super().objective(params) + 0.0 * params[0, 0]


def test_where_the_argument_does_not_apply_it_says_so(monkeypatch):
    point = simplex(4, 3)
    energy = P.exponential_energy(vectors=4, sharpness=1.0)
    plain = P.unit_vectors(energy, dim=3)
    cases = [
        (P.unit_vectors(energy, dim=4, nonnegative=True), np.eye(4), "without negative entries"),
        (P.unit_vectors(Concave(np.ones((4, 4))), dim=3), point, "does not say that it is convex"),
        (OwnObjective(dim=3, nonnegative=False, energy=energy), point, "an objective of its own"),
        (P.unit_vectors(Kinked(), dim=3), point, "meets kinks"),
    ]
    for problem, where, words in cases:
        found = asked(problem, where)
        assert (found.unique, found.rank) == (False, -1)
        assert words in str(found.reason)
    monkeypatch.setattr(_unique_gram, "MOST_NUMBERS", 10)
    assert "more than 10 entries" in str(asked(plain, point).reason)
