"""Chains of stochastic processes on quadratic forms as experiments, and the same processes' moments by recursion."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import nctheory as nct
from proofs_numeric.pool import log_uniform
from proofs_numeric.statistics.experiments import Experiment, in_terms
from proofs_numeric.statistics.langevin_moments import (
    FIRST_ORDER,
    powers,
    product_bands,
    quadratic_band,
    recursive_displacement,
    settled,
    stationary,
    step_displacement,
    step_of,
)

DIM = 4
"""The dimension of every form."""
KEPT, EVERY = 192, 2
"""The steps of a chain over which products of positions are averaged, and of how many of them one is taken."""
SETTLING = 96
"""The steps before them; what they leave of the start is in the band."""
WAITS, LAGS = np.array([0, 2, 8]), np.array([1, 3, 12])
"""The waiting times and lags at which displacements are taken, in steps."""


class Outcome(NamedTuple):
    """What the chains of a record gave, and the second moments from which a recursion starts."""

    mean: jax.Array
    variance: jax.Array
    start: jax.Array


class NoisyQuadratic(Experiment):
    """Chains of one process on a quadratic form."""

    kind: str = eqx.field(static=True, kw_only=True)
    """One of `FIRST_ORDER`, or a splitting of the underdamped equation."""
    curvature: jax.Array = eqx.field(kw_only=True)
    """The eigenvalues of the form."""
    turn: jax.Array = eqx.field(kw_only=True)
    """Its eigenvectors, as columns."""
    step_size: jax.Array = eqx.field(kw_only=True)
    temperature: jax.Array = eqx.field(kw_only=True)
    friction: jax.Array = eqx.field(kw_only=True)
    noise: jax.Array = eqx.field(kw_only=True)
    """The covariance of the gradient noise, in the basis of the eigenvectors."""
    begun: jax.Array = eqx.field(kw_only=True)
    """The start of all chains, in that basis."""

    @property
    def underdamped(self):
        """Tell whether there are momenta."""
        return self.kind not in FIRST_ORDER

    def matrix(self):
        """Return the form."""
        return self.turn @ (self.curvature[:, None] * self.turn.T)

    def in_basis(self, matrix):
        """Return a matrix of positions, or of positions and momenta, in the basis of the eigenvectors."""
        turn = jax.scipy.linalg.block_diag(*[self.turn] * (matrix.shape[0] // DIM))
        return turn.T @ matrix @ turn

    def step(self, factor=1.0):
        """Return M and Q of a step; `factor` times as long."""
        noise = self.turn @ self.noise @ self.turn.T
        size = factor * self.step_size
        return step_of(self.kind, self.matrix(), size, self.temperature, self.friction, noise)

    def trial(self, key):
        """Run a chain: means of products of positions, products of its last momenta, and displacements."""
        form = nct.problems.Quadratic(self.matrix(), jnp.zeros(DIM))
        kind = "underdamped" if self.underdamped else "sgd" if self.kind == "sgd" else "overdamped"
        scheme = nct.sampling.Scheme(kind, self.kind if self.underdamped else "BAOAB")
        root = self.turn @ jnp.linalg.cholesky(self.noise) if self.kind in ("sgd", "sgld") else jnp.zeros(())
        numbers = nct.sampling.Numbers(self.step_size, self.temperature, self.friction, root)
        stops = np.unique(np.concatenate([(WAITS[:, None] + LAGS).ravel(), WAITS, [SETTLING + KEPT]]))

        def products(problem, params):
            z = self.turn.T @ params
            return z[:, None] * z[None, :]

        counted = (jnp.asarray(SETTLING), jnp.asarray(EVERY))
        words = jax.random.bits(key, (6,), jnp.uint32)
        found = nct.sampling.follow_chain(
            form, scheme, numbers, words, self.turn @ self.begun, jnp.asarray(stops), products, counted
        )
        assert found.running is not None
        momentum = self.turn.T @ found.state.momentum if self.underdamped else jnp.zeros(DIM)
        here = found.points[np.searchsorted(stops, WAITS)]
        there = found.points[np.searchsorted(stops, WAITS[:, None] + LAGS[None, :])]
        moved = jnp.sum((there - here[:, None]) ** 2, axis=-1)
        parts = (found.running.mean, momentum[:, None] * momentum[None, :], moved)
        return jnp.concatenate([jnp.ravel(part) for part in parts])

    def init(self, key, scale):
        """Run all chains, and draw second moments."""
        size = 2 * DIM if self.underdamped else DIM
        root = jax.random.normal(key, (size, size), jnp.float64)
        return Outcome(*super().init(key, scale), root @ root.T)

    def truth(self):
        """Return the settled moments by recursion, positions first, in the basis of the eigenvectors."""
        step, added = self.step()
        return self.in_basis(settled(step, added, jnp.zeros_like(step)))


def form_of(rng, kind, product, blocks=16, block=1024):
    """Draw a form, its largest curvature times the step (for splittings the squared step) being `product`."""
    curvature = np.sort(log_uniform(rng, 0.5, 2.0) * np.exp(rng.uniform(0.0, np.log(4.0), size=DIM)))
    over = product / curvature[-1]
    factor = rng.normal(size=(DIM, DIM))
    return NoisyQuadratic(
        blocks=blocks,
        block=block,
        kind=kind,
        curvature=jnp.asarray(curvature),
        turn=jnp.asarray(np.linalg.qr(rng.normal(size=(DIM, DIM)))[0]),
        step_size=jnp.asarray(over if kind in FIRST_ORDER else np.sqrt(over)),
        temperature=jnp.asarray(log_uniform(rng, 0.2, 5.0)),
        # Below the critical friction of the softest mode, so that all modes forget quickly.
        friction=jnp.asarray(1.5 * np.sqrt(curvature[0])),
        noise=jnp.asarray(factor @ factor.T + 0.3 * np.eye(DIM)),
        begun=jnp.asarray(rng.normal(size=DIM)),
    )


def units(problem):
    """Return the stationary deviations of the coordinates along the eigenvectors: what covariances are measured in."""
    return jnp.sqrt(jnp.diagonal(problem.truth()))


def in_units(problem, covariance, momenta=False):
    """Return a covariance as correlations, and as ratios of variances on the diagonal."""
    unit = units(problem)[DIM:] if momenta else units(problem)[:DIM]
    return covariance / (unit[:, None] * unit[None, :])


def covariance(problem, params):
    """Return the mean products of positions."""
    return in_units(problem, params.mean[: DIM**2].reshape(DIM, DIM))


def covariance_terms(problem, params):
    """Return their bands, and what the start may have left."""
    step, _ = problem.step()
    whole = problem.truth()
    times, unit = KEPT // EVERY, units(problem)
    walk = powers(jnp.linalg.matrix_power(problem.in_basis(step), EVERY), times)
    correlations = (walk @ whole[None])[:, :DIM, :DIM] / (unit[:DIM, None] * unit[None, :DIM])[None]
    bands = product_bands(correlations, times, problem.trials)
    # What is left of the start's moments, which differ from the settled ones by no more than both together.
    kept = problem.in_basis(jnp.linalg.matrix_power(step, SETTLING))
    begun = jnp.zeros_like(unit).at[:DIM].set(problem.begun)
    left = (kept @ (whole + begun[:, None] * begun[None, :]) @ kept.T)[:DIM, :DIM]
    sizes = jnp.sqrt(jnp.abs(jnp.diagonal(left))) / unit[:DIM]
    return in_terms(params, bands + 2.0 * sizes[:, None] * sizes[None, :])


def momenta(problem, params):
    """Return the mean products of momenta after the last step; nothing where there are none."""
    if not problem.underdamped:
        return jnp.zeros(0)
    return in_units(problem, params.mean[DIM**2 : 2 * DIM**2].reshape(DIM, DIM), momenta=True)


def momenta_terms(problem, params):
    """Return their bands."""
    if not problem.underdamped:
        return jnp.zeros(())
    unit = units(problem)[DIM:]
    correlations = problem.truth()[DIM:, DIM:] / (unit[:, None] * unit[None, :])
    return in_terms(params, product_bands(correlations[None], 1, problem.trials))


def true_displacement(problem):
    """Return the displacements from the start by recursion, without a formula; ones where none are predicted."""
    if problem.kind != "overdamped":
        return jnp.ones((len(WAITS), len(LAGS)))
    step, added = problem.step()
    begun = problem.turn @ problem.begun
    return recursive_displacement(step, added, begun[:, None] * begun[None, :], WAITS, LAGS)


def displacement(problem, params):
    """Return the mean displacements, relative to those by recursion."""
    return params.mean[2 * DIM**2 :].reshape(len(WAITS), len(LAGS)) / true_displacement(problem)


def displacement_terms(problem, params):
    """Return their bands."""
    if problem.kind != "overdamped":
        return jnp.zeros(())
    step, added = problem.step()
    step, added = problem.in_basis(step), problem.in_basis(added)
    walk = powers(step, int(WAITS[-1] + LAGS[-1]) + 1)
    # The covariance of what noise has added in so many steps.
    grown = jnp.cumsum(walk @ added[None] @ jnp.swapaxes(walk, 1, 2), axis=0)
    grown = jnp.concatenate([jnp.zeros_like(grown[:1]), grown])
    off = walk[LAGS][None] - jnp.eye(DIM)[None, None]
    spread = off @ grown[WAITS][:, None] @ jnp.swapaxes(off, 2, 3) + grown[LAGS][None]
    shift = (off @ (walk[WAITS] @ problem.begun)[:, None, :, None])[..., 0]
    squares = jnp.sum(spread**2, axis=(2, 3)) + 2.0 * jnp.einsum("wli,wlij,wlj->wl", shift, spread, shift)
    largest = jnp.trace(spread, axis1=2, axis2=3)
    return in_terms(params, quadratic_band(squares, largest, problem.trials) / true_displacement(problem))


class Prediction(NamedTuple):
    """What is predicted, each in the units of what is observed."""

    covariance: jax.Array
    momenta: jax.Array
    """There is no entry where there are no momenta."""
    displacement: jax.Array
    """Only of overdamped chains; relative to what the recursion gives."""


def predict_with(waited=True, loud=2.0, **change):
    """Predict by the closed forms; a change says what a formula is given instead, as a function of the problem.

    Displacements are predicted without the waiting time, or with another factor of the noise than 2.
    """

    def predict(problem):
        names = ("curvature", "step_size", "temperature", "noise")
        given = {name: getattr(problem, name) for name in names} | {"kind": problem.kind}
        given |= {name: new(problem) for name, new in change.items()}
        positions, moments = stationary(given["kind"], *[given[name] for name in names])
        told = jnp.ones((len(WAITS), len(LAGS)))
        if problem.kind == "overdamped":
            times = (jnp.asarray(WAITS, jnp.float64), jnp.asarray(LAGS, jnp.float64))
            a, start, size = problem.curvature, problem.begun, problem.step_size
            told = step_displacement(a, start, problem.temperature, size, *times, waited, loud) / true_displacement(
                problem
            )
        momenta = in_units(problem, moments, True) if problem.underdamped else jnp.zeros(0)
        return Prediction(in_units(problem, positions), momenta, told)

    return predict
