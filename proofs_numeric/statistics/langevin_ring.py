"""Claims about moments of Langevin chains that are iterated as matrices: nothing in them is sampled."""

import jax
import jax.numpy as jnp

import nctheory as nct
from proofs_numeric.conserved.vector_field import one, rounding_unit, zero
from proofs_numeric.statistics.langevin_chains import DIM, LAGS, WAITS, units
from proofs_numeric.statistics.langevin_moments import (
    flow_displacement,
    powers,
    recursive_displacement,
    settled,
    step_displacement,
)

HALVINGS = 9
"""The limit of small steps is extrapolated from steps eta/4, eta/8, ..., so many of them (conventional: the error is below
rounding then, for eta L < 2)."""
MEMORY = 400
"""The steps over which rounding is followed; a chain has forgotten it by then."""


def memory(problem):
    """Return the sum over steps of |M^k|^2: so many times the rounding of a step is in the moments."""
    step, _ = problem.step()
    return jnp.sum(powers(step, MEMORY) ** 2)


def settled_moments(problem, params):
    """Return where the recursion goes from the random moments of a point, in units, with the positions first."""
    step, added = problem.step()
    unit = units(problem)
    return problem.in_basis(settled(step, added, params.start)) / (unit[:, None] * unit[None, :])


def settled_terms(problem, params):
    """Return the size of their rounding, and what 2^14 steps leave of a start."""
    return memory(problem) * 2.0 * DIM


def recursion():
    """State that second moments settle in the closed forms, wherever they start."""
    statement = r"\Sigma=M\Sigma M^\top+Q"

    def predicted(prediction):
        if prediction.momenta.shape == (0,):
            return prediction.covariance
        return jax.scipy.linalg.block_diag(prediction.covariance, prediction.momenta)

    return nct.Equality("recursion", statement, settled_moments, predicted, scope="any point", terms=settled_terms)


def two_times(noise=2.0, waited=True, **more):
    """State that displacements from random moments are those of the formula; predicted is a difference of zero."""

    def observed(problem, params):
        if problem.kind != "overdamped":
            return jnp.zeros(0)
        step, added = problem.step()
        found = recursive_displacement(step, added, params.start, WAITS, LAGS)
        start = jnp.sqrt(jnp.diagonal(problem.in_basis(params.start)))
        told = step_displacement(
            problem.curvature, start, problem.temperature, problem.step_size, *in_steps(), waited, noise
        )
        return found / told - 1.0

    statement = r"\Delta(w,l)=\sum_i(1-m_i^l)^2v_i(w)+2\eta T\tfrac{1-m_i^{2l}}{1-m_i^2}"
    return nct.Equality(
        "two times", statement, observed, zero, scope="any point", terms=settled_terms, size=one, **more
    )


def in_steps():
    """Return waiting times and lags as floating-point numbers."""
    return jnp.asarray(WAITS, jnp.float64), jnp.asarray(LAGS, jnp.float64)


def limits(problem):
    """Return two extrapolations to small steps of settled variances and displacements, the second of them the better.

    Both are functions of the step that have power series, of which Richardson's scheme takes one power after the other away.
    """
    begun = problem.turn @ problem.begun
    rows = []
    for level in range(2, 2 + HALVINGS):
        step, added = problem.step(0.5**level)
        # The small step is doubled until it is one of eta again, so that waits and lags are the same times.
        for _ in range(level):
            step, added = step @ step, added + step @ added @ step.T
        moved = recursive_displacement(step, added, begun[:, None] * begun[None, :], WAITS, LAGS)
        variances = jnp.diagonal(problem.in_basis(settled(step, added, jnp.zeros_like(step))))
        rows.append(jnp.concatenate([variances, jnp.ravel(moved)]))
    table, before = jnp.stack(rows), rows[-1]
    for order in range(1, HALVINGS):
        before = table[-1]
        table = (2.0**order * table[1:] - table[:-1]) / (2.0**order - 1.0)
    return before, table[-1]


def of_flow(problem, half_step=0.0):
    """Return what the formulas of the flow say of the same; with a part of the step left in the variances."""
    a, (waits, lags) = problem.curvature, in_steps()
    times = (problem.step_size * waits, problem.step_size * lags)
    moved = flow_displacement(a, problem.begun, problem.temperature, *times)
    return jnp.concatenate([problem.temperature / (a - half_step * problem.step_size * a**2), jnp.ravel(moved)])


def flow(half_step=0.0, **more):
    """State that the limits of small steps are the flow's variances and displacements, relatively."""

    def observed(problem, params):
        if problem.kind != "overdamped":
            return jnp.zeros(0)
        return limits(problem)[1] / of_flow(problem, half_step) - 1.0

    def terms(problem, params):
        if problem.kind != "overdamped":
            return jnp.zeros(())
        before, last = limits(problem)
        # Rounding of a small step is in 2^10 of them for each one of eta, and the extrapolation has weights of up to 4.
        rounding = 4.0 * 2.0**HALVINGS * memory(problem)
        return 2.0 * jnp.sqrt(jnp.sum(((last - before) / last) ** 2)) / rounding_unit(params) + rounding

    statement = r"\Sigma\to TA^{-1},\ \Delta\to\Delta_0\quad(\eta\to0)"
    return nct.Equality("flow", statement, observed, zero, scope="any point", terms=terms, size=one, **more)


def stationarity(off=0.0, **more):
    """State that from the settled moments the displacement is the same after every wait; `off` by a part of them."""

    def observed(problem, params):
        if problem.kind != "overdamped":
            return jnp.zeros(0)
        step, added = problem.step()
        start = settled(step, added, params.start)
        found = recursive_displacement(step, added, (1.0 + off) * start, WAITS, LAGS)
        return found[1:] / found[:1] - 1.0

    statement = r"\Delta(w,l)=\Delta(0,l)"
    return nct.Equality(
        "stationarity", statement, observed, zero, scope="any point", terms=settled_terms, size=one, **more
    )
