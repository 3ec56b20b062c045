"""What a certificate needs of a spectrum, by products alone, as on a GPU: against factorisations, and in the bound itself."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import nctheory as nct
from nctheory.certificates import _duality, _spectra
from nctheory.certificates._activated import nonnegative_norm
from nctheory.problems import unravel

SPECTRA = {
    "spread": np.linspace(0.0, 3.0, 12),
    "flat": np.r_[0.0, np.full(11, 2.0)],
    "at one": np.r_[0.0, np.ones(6), np.full(5, 1.0 + 1e-9)],
    "low rank": np.r_[np.zeros(10), 1.0, 5e4],
    "zero": np.zeros(12),
}
"""Those of a collapsed point are flat but for the class means' zero, and lie at one where the decay binds."""


def with_spectrum(values, rng):
    turn = np.linalg.qr(rng.normal(size=(len(values), len(values))))[0]
    matrix = (turn * values) @ turn.T
    return 0.5 * (matrix + matrix.T), turn


@pytest.fixture
def by_products(monkeypatch):
    """As on a GPU, and for small matrices too."""
    monkeypatch.setattr(_spectra, "FACTORISED", 1)
    monkeypatch.setattr(_spectra.jax.lax, "platform_dependent", lambda *args, cpu, default: default(*args))


@pytest.mark.parametrize("name", SPECTRA)
def test_products_bound_the_norm_and_cut_as_factors_do(name, rng):
    values = SPECTRA[name]
    matrix, turn = with_spectrum(values, rng)
    top = np.linalg.norm(matrix, 2)
    found = float(jax.jit(_spectra.largest_by_products)(matrix))
    assert top <= found <= top * (1.0 + 1e-12)
    # An entry of the cut is 1 where b <= 1 and b^(-1/2) elsewhere.
    cut = (turn * np.minimum(1.0, 1.0 / np.sqrt(np.maximum(values, 1e-300)))) @ turn.T
    np.testing.assert_allclose(jax.jit(_spectra.contraction_by_products)(matrix), cut, atol=2e-10)


def test_fewer_squarings_give_a_looser_bound_that_holds(monkeypatch, rng):
    matrix, _ = with_spectrum(SPECTRA["flat"], rng)
    monkeypatch.setattr(_spectra, "SQUARINGS", 3)
    # Too large by 11^(1/8) where all eleven eigenvalues are alike.
    assert float(_spectra.largest_by_products(jnp.asarray(matrix))) == pytest.approx(2.0 * 11 ** (1 / 8), rel=1e-12)


def test_a_bound_by_products_is_the_bound_by_factors(by_products, rng):
    problem = nct.unconstrained_features(
        counts=(2, 3, 1), dim=4, loss="cross_entropy", weight_decay=(0.02, 0.03), bias=0.0
    )
    # Points at which singular values are cut, near the minimum and far from it.
    points = np.stack([0.1, 1.0, 30.0])[:, None] * rng.normal(size=(3, 3 * 4 + 4 * 6 + 3))

    def bound(point):
        return _duality.rounded_duality_bound(problem, unravel(problem, point))[0]

    found = jax.jit(jax.vmap(bound))(points)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_spectra, "FACTORISED", 32)
        same = jax.jit(jax.vmap(lambda point: bound(point)))(points)
    np.testing.assert_allclose(found, same, rtol=1e-10)
    assert np.all(np.isfinite(same))
    # The norm over Gram matrices of non-negative vectors too; and no decay at all is no infinite norm.
    matrix = jnp.asarray(rng.normal(size=(3, 5)))
    top = np.linalg.eigvalsh(np.maximum(matrix.T @ matrix, 0.0))[-1] ** 0.5
    assert float(nonnegative_norm(matrix)) == pytest.approx(min(top, np.linalg.norm(matrix, 2)), rel=1e-12)


def test_a_gpus_program_of_a_certificate_factorises_no_large_matrices(monkeypatch):
    """Read off the program that the compiler for CUDA devices gets; a batch of small matrices is factorised at a time."""

    def program(rows):
        matrices = jnp.zeros((2, rows, rows + 1))
        lowered = jax.jit(jax.vmap(_duality.spectral_norm)).trace(matrices).lower(lowering_platforms=("cuda",))
        return lowered.as_text()

    assert "cusolver" in program(_spectra.FACTORISED)
    assert "cusolver" not in program(_spectra.FACTORISED + 1)
    monkeypatch.setattr(_spectra, "FACTORISED", 100)
    assert "cusolver" in program(33)
    host = jax.jit(_duality.spectral_norm).trace(jnp.zeros((101, 102))).lower(lowering_platforms=("cpu",)).as_text()
    assert "lapack" in host
