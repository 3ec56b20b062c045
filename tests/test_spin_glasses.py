"""Spherical spin glasses: the problem, their census, and random matrices at finite size."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import nctheory as nct
from proofs_numeric.glasses import counts
from proofs_numeric.glasses.census import GlassCensus
from proofs_numeric.glasses.goe import density, order_statistics
from proofs_numeric.glasses.kac_rice import predict

P = nct.problems


@pytest.mark.parametrize(("size", "degree"), [(5, 2), (4, 3), (3, 4)])
def test_value_gradient_and_hessian_are_those_of_the_polynomial(size, degree):
    glass = P.spin_glass(size=size, degree=degree, seed=3)
    with jax.enable_x64(True):
        point = 1.7 * glass.init(jax.random.key(0), 1.0)
        value, slope = glass.value_and_grad(point)
        spins = np.sqrt(size) * np.asarray(point) / np.linalg.norm(np.asarray(point))
        # As it is written: H = N^(-(p-1)/2) sum J sigma ... sigma, and the energy is H/N.
        total = np.asarray(glass.couplings)
        for _ in range(degree):
            total = total @ spins
        assert float(value) == pytest.approx(float(total) * size ** (-(degree - 1) / 2) / size, rel=1e-12)
        np.testing.assert_allclose(np.asarray(slope), np.asarray(jax.grad(glass.objective)(point)), atol=1e-13)
        unit = glass.direction(point)
        across = np.eye(size) - np.outer(unit, unit)
        free = np.asarray(jax.hessian(glass.objective)(unit))
        np.testing.assert_allclose(
            across @ free @ across, np.asarray(glass.riemannian_hessian(unit)), atol=1e-12, rtol=1e-12
        )


def test_two_spins_have_as_many_critical_points_as_their_polynomial_has_roots():
    # On the circle the energy is a polynomial of degree p in tan(t); that of its derivative has all critical points as roots.
    for seed in range(6):
        glass = P.spin_glass(size=2, degree=3, seed=seed)
        j = np.asarray(glass.couplings)
        a, b, c, d = j[0, 0, 0], 3 * j[0, 0, 1], 3 * j[0, 1, 1], j[1, 1, 1]
        # J(cos, sin) = a c^3 + b c^2 s + c c s^2 + d s^3, and its derivative over c^3 in x = tan t.
        roots = np.roots([-c, 3 * d - 2 * b, 2 * c - 3 * a, b])
        real = int(np.sum(np.abs(roots.imag) < 1e-9))
        found = nct.census(glass, starts=60)
        points = np.concatenate([[row.params, -np.asarray(row.params)] for row in found.rows])
        assert len(np.unique(np.round(points, 6), axis=0)) == 2 * real


def test_the_minimum_of_two_spins_products_is_the_lowest_eigenvalue():
    glass = P.spin_glass(size=6, degree=2, seed=1)
    ends = nct.solve(glass, seeds=8)
    lowest = np.linalg.eigvalsh(np.asarray(glass.couplings))[0] / np.sqrt(6)
    np.testing.assert_allclose(ends.value, lowest, atol=1e-12)
    found = nct.census(glass, starts=120)
    np.testing.assert_allclose(found.value, np.linalg.eigvalsh(np.asarray(glass.couplings)) / np.sqrt(6), atol=1e-10)
    assert found.index.tolist() == list(range(6))


def test_order_statistics_are_those_of_sampled_matrices_and_add_up_to_the_density():
    with jax.enable_x64(True):
        for size, sharpness in ((2, 0.4), (3, 0.5), (4, 0.8)):
            told = np.asarray(order_statistics(size, sharpness, [jnp.inf, 0.3]))
            draw = np.random.default_rng(1).normal(size=(60_000, size, size))
            values = np.linalg.eigvalsh((draw + np.swapaxes(draw, 1, 2)) / (2 * np.sqrt(size)))
            weights = np.exp(-sharpness * values**2)
            for row, sampled in zip(told, (weights, weights * (values <= 0.3)), strict=True):
                deviation = np.abs(sampled.mean(axis=0) - row) / (sampled.std(axis=0) / np.sqrt(len(draw)) + 1e-12)
                assert deviation.max() < 6
            if size % 2 == 0:
                nodes, share = np.polynomial.legendre.leggauss(300)
                whole = 8 * share @ (density(size, 8 * nodes) * np.exp(-sharpness * 64 * nodes**2))
                assert told[0].sum() == pytest.approx(whole, rel=1e-10)


def test_every_disorder_adds_up_to_the_euler_characteristic_or_is_doubtful():
    with jax.enable_x64(True):
        glass = GlassCensus(blocks=1, block=1, size=3, degree=3, starts=64, level=jnp.zeros(()))
        rows = np.asarray(jax.jit(jax.vmap(glass.trial))(jax.random.split(jax.random.key(4), 64)))
    numbers, doubtful = rows[:, :3], rows[:, -1]
    clear = doubtful == 0
    assert (doubtful <= glass.most - numbers.sum(axis=1)).all()
    assert clear.mean() > 0.9
    assert (numbers[clear] @ [1, -1, 1] == 2).all()
    assert (numbers.sum(axis=1) <= glass.most).all()
    assert (numbers[clear, 0] == numbers[clear, 2]).all()  # p is odd
    with jax.enable_x64(True):
        assert abs(float(np.sum(numbers) / 64) - float(predict(glass).numbers.sum())) < 2.0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"size": 1, "degree": 3}, "size: expected a whole number of at least 2, got 1"),
        ({"size": 4, "degree": 1}, "degree: expected a whole number of at least 2, got 1"),
        ({"size": 1000, "degree": 4}, "size, degree: expected at most"),
    ],
)
def test_what_is_wrong_is_named(options, words):
    with pytest.raises(ValueError, match=words):
        P.spin_glass(**options)


@pytest.mark.slow
def test_disorders_are_counted_in_batches_and_a_killed_run_goes_on(tmp_path, monkeypatch, capsys):
    many = GlassCensus(blocks=1, block=1, size=4, degree=3, starts=1024, level=jnp.zeros(()))
    keys = jax.random.split(jax.random.key(3), 3)
    wanted = np.array([many.trial(key)[:4] for key in keys])  # one batch, in which every point is met
    whole = counts.counted(4, 3, 3, 32, key=3)
    np.testing.assert_array_equal(whole[:, :4], wanted)
    assert not whole[:, -1].any()
    monkeypatch.setattr(counts, "EACH", 1)
    monkeypatch.setattr(counts, "BATCHES", 1)  # after few starts points are missing, which is told
    assert counts.counted(4, 3, 3, 8, key=3)[:, -1].all()
    monkeypatch.undo()
    monkeypatch.setattr(counts, "EACH", 1)
    file = tmp_path / "rows.npz"
    first = counts.counted(4, 3, 2, 32, key=3, file=file)
    monkeypatch.setattr(
        counts, "one_disorder", lambda *_: np.full(5, 7.0)
    )  # what stands in the file is not counted again
    both = counts.counted(4, 3, 3, 32, key=3, file=file)
    np.testing.assert_array_equal(both[:2], first)
    assert np.all(both[2] == 7.0)
    monkeypatch.setattr("sys.argv", ["counts", "--size", "5", "--disorders", "2", "--file", str(file)])
    with pytest.raises(SystemExit) as ended:
        counts.main()
    assert ended.value.code == 2
    assert "argument --file: file: expected one of size 5" in capsys.readouterr().err
