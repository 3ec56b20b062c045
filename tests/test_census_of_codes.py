"""The census on spheres: codes with their symmetry groups, held against the topology of the space that they live in."""

import math

import jax
import numpy as np
import pytest

import nctheory as nct

P = nct.problems


def code(vectors, dim, sharpness=1.0):
    return P.unit_vectors(P.exponential_energy(vectors=vectors, sharpness=sharpness), dim=dim)


def symmetry(problem, row):
    with jax.enable_x64(True):
        return nct.landscape.relabellings(np.asarray(problem.gram(row.params)), 1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("vectors", [3, 4, 5])
def test_critical_points_on_a_circle_add_up_to_the_euler_characteristic_of_a_torus(vectors):
    problem = code(vectors, 2)
    found = nct.census(problem, starts=400)
    assert found.critical == found.starts == 400
    assert all(row.nullity == 0 for row in found.rows)
    # Modulo rotations the vectors live on a torus of dimension m - 1 >= 2, on which sum_i (-1)^i c_i = 0 and the sum of c_i is
    # at least 2^(m-1), c_i being the number of critical points of index i (Morse). A type with a group of order s stands for
    # m!/s Gram matrices, each of which is that of two codes, mirror images, or of one where all vectors are on a line.
    each = []
    for row in found.rows:
        with jax.enable_x64(True):
            flat = np.linalg.matrix_rank(np.asarray(problem.directions(row.params)), tol=1e-6) == 1
        number, left = divmod(math.factorial(vectors), symmetry(problem, row))
        assert left == 0
        each.append((row.index, number * (1 if flat else 2)))
    assert sum((-1) ** index * number for index, number in each) == 0
    assert sum(number for _, number in each) >= 2 ** (vectors - 1)
    # The control: without any one of the types the sum is not zero.
    for left_out in each:
        assert sum((-1) ** index * number for index, number in each if (index, number) != left_out) != 0


@pytest.mark.slow
def test_the_census_of_four_vectors_in_space():
    problem = code(4, 3)
    found = nct.census(problem, starts=240)
    assert found.critical == 240
    seen = [(row.index, row.nullity, symmetry(problem, row)) for row in found.rows]
    # The tetrahedron, the square, a kite in a plane, and four on a line: 2 + 2, 3 + 1 and 4 + 0.
    assert [one for one in seen if one[0] < 4] == [(0, 0, 24), (1, 0, 8), (2, 0, 4)]
    assert set(seen[3:]) <= {(4, 0, 8), (4, 0, 6), (6, 0, 24)}
    values = {3: 12 * math.exp(-1 / 3), 2: 8 * 1 + 4 * math.exp(-1.0)}
    assert found.rows[0].value == pytest.approx(values[3], rel=1e-12)
    assert found.rows[1].value == pytest.approx(values[2], rel=1e-12)
    # Lengths stay 1, although the gradient would fall if they grew.
    for row in found.rows:
        np.testing.assert_allclose(np.linalg.norm(np.asarray(row.params), axis=1), 1.0, atol=1e-12)


@pytest.mark.slow
def test_the_census_of_features_on_spheres():
    problem = P.spherical_features(counts=(1, 1), dim=2, temperature=0.5, weight_radius=1.0)
    found = nct.census(problem, starts=120)
    assert found.critical == 120
    best = found.rows[0]
    assert (best.kind, best.value) == ("minimum", pytest.approx(math.log1p(math.exp(-4.0)), rel=1e-12))
    assert all(row.kind == "strict saddle" for row in found.rows[1:])
    assert len(found.rows) >= 3


@pytest.mark.parametrize(
    ("gram", "order"),
    [
        (np.eye(3), 6),
        (np.ones((3, 3)), 6),
        (np.array([[1.0, 0.5, 0.0], [0.5, 1.0, 0.5], [0.0, 0.5, 1.0]]), 2),
        (np.array([[1.0, 0.1, 0.2], [0.1, 1.0, 0.3], [0.2, 0.3, 1.0]]), 1),
        (np.cos(2 * np.pi * np.subtract.outer(np.arange(5), np.arange(5)) / 5), 10),
    ],
)
def test_relabellings_are_counted(gram, order):
    assert nct.landscape.relabellings(gram) == order
    shuffled = np.random.default_rng(0).permutation(len(gram))
    assert nct.landscape.relabellings(gram[np.ix_(shuffled, shuffled)]) == order


def test_relabellings_refuses_what_is_no_gram_matrix():
    with pytest.raises(ValueError, match="gram: expected a symmetric matrix"):
        nct.landscape.relabellings(np.arange(4.0).reshape(2, 2))
    with pytest.raises(ValueError, match="more than most = 5"):
        nct.landscape.relabellings(np.eye(3), most=5)
