"""N9: the complexity of critical points of a given index is printed with a jump at the energy where it is continuous."""

import jax
import numpy as np
from scipy.linalg import eigh_tridiagonal

import nctheory as nct
from proofs_numeric.bibliography_of_glasses import AUFFINGER_2013, CHOROMANSKA_2015

DEGREE = 3
SIZES = (25, 50, 100, 200, 400)
MATRICES = 64
"""Matrices for each seed and size."""


def energy_scale(degree):
    """Return E_infinity."""
    return 2.0 * np.sqrt((degree - 1.0) / degree)


def decay_rate(u, degree):
    """Return I(u) of energies u <= -E_infinity; it is zero at the end."""
    end = energy_scale(degree)
    root = np.sqrt(max(u**2 - end**2, 0.0))
    return -u / end**2 * root - np.log(-u + root) + np.log(end)


def complexity(u, degree, index):
    """Return Theta_{k,p}(u) for u <= -E_infinity."""
    quadratic = (degree - 2.0) / (4.0 * (degree - 1.0)) * u**2
    return 0.5 * np.log(degree - 1.0) - quadratic - (index + 1.0) * decay_rate(u, degree)


def printed(degree):
    """Return what is printed for u >= -E_infinity."""
    return 0.5 * np.log(degree - 1.0) - (degree - 2.0) / (4.0 * (degree - 1.0))


def corrected(degree):
    """Return the continuation, with u^2 = E_infinity^2."""
    return 0.5 * np.log(degree - 1.0) - (degree - 2.0) / degree


def sampled_rate(size, degree, matrices, rng):
    """Return (1/N) log of the mean number of minima, by the exact formula in the least eigenvalue of sampled matrices.

    The matrices have independent normal entries of variance (1+delta_ij)/(2N); a tridiagonal one with normal diagonal and
    chi-distributed entries beside it has the same eigenvalues (Dumitriu and Edelman).
    """
    exponents = np.empty(matrices)
    for i in range(matrices):
        diagonal = rng.normal(size=size) / np.sqrt(size)
        beside = np.sqrt(rng.chisquare(np.arange(size - 1, 0, -1)) / (2.0 * size))
        least = eigh_tridiagonal(diagonal, beside, eigvals_only=True, select="i", select_range=(0, 0))[0]
        exponents[i] = -size * (degree - 2.0) / (2.0 * degree) * least**2
    top = exponents.max()
    logarithm = top + np.log(np.mean(np.exp(exponents - top)))
    return (np.log(2.0) + 0.5 * np.log(2.0 / degree) + logarithm) / size + 0.5 * np.log(degree - 1.0)


def reproduce(seeds, key):
    """Evaluate both sides of -E_infinity, and the mean number of minima at growing size."""
    rng = nct.theorems.numpy_rng(jax.random.key(key))
    end = energy_scale(DEGREE)
    left = [complexity(-end * (1.0 + step), DEGREE, index) for step in (1e-3, 1e-6, 0.0) for index in (0, 3)]
    rates = [sampled_rate(size, DEGREE, seeds * MATRICES, rng) for size in SIZES]
    figures = (
        (
            f"H = {DEGREE}, u = -E_infinity = {-end:.6f}: Theta_0 and Theta_3 from below",
            ", ".join(f"{x:.6f}" for x in left),
        ),
        ("printed from there on, and its continuation", f"{printed(DEGREE):.6f}, {corrected(DEGREE):.6f}"),
        (
            f"(1/N) log of the mean number of minima of any energy, N = {', '.join(map(str, SIZES))}",
            ", ".join(f"{x:.4f}" for x in rates),
        ),
    )
    jumps = abs(left[-1] - printed(DEGREE)) > 0.2 and abs(left[-1] - corrected(DEGREE)) < 1e-12
    # The rates fall with the size, and are far below what is printed.
    below = rates[-1] < 0.5 * printed(DEGREE) and bool(np.all(np.diff(rates) < 0))
    return nct.theorems.ErratumResult(jumps and below, "sampled", figures)


nct.theorems.register_erratum(
    nct.theorems.Erratum(
        id="N9",
        title="The complexity of critical points of index k above -E_infinity",
        published="Theta_{k,H}(u) = log(H-1)/2 - (H-2)/(4(H-1)) for u >= -E_infinity, and Theta_{k,H} is continuous.",
        why="The factor u^2 is left out: for u < -E_infinity the term is (H-2) u^2/(4(H-1)), and at the end u^2 is "
        "E_infinity^2 = 4(H-1)/H, not 1. As printed the function jumps there from 0.0132 to 0.2216 for H = 3.",
        instead="log(H-1)/2 - (H-2)/H for u >= -E_infinity.",
        convention="H = p spins a term, energies per spin u with E_infinity = 2 sqrt((p-1)/p); mean numbers exp(N Theta).",
        sources=(
            CHOROMANSKA_2015.remark(
                "Read as printed in the proceedings, with the claim of continuity on the same page."
            ),
            AUFFINGER_2013.remark("The mean numbers at finite N, by which the rates are computed."),
        ),
        reproduce=reproduce,
        theorem="abc-complexity",
    )
)
