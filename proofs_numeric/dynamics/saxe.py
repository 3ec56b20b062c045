"""Deep linear networks on white inputs from aligned, balanced starts: every mode learns by itself."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import nctheory as nct
from proofs_numeric.dynamics.chains import (
    ALIGNED_START,
    BALANCED_START,
    NO_DECAY,
    WHITE_INPUTS,
    Aligned,
    heights,
    modes,
    product,
    white_chain,
)
from proofs_numeric.pool import log_uniform, pick


class Curve(NamedTuple):
    """What is predicted of a path; every array has a leading axis of times."""

    heights: np.ndarray | jax.Array
    product: np.ndarray | jax.Array
    norms: jax.Array


def draw_instances(groups, start, longest, number, skew=1.0, seed=0):
    """Draw for one shape of each group `number` strengths and scales of the start, with times until all is learned."""

    def draw(key):
        rng = nct.theorems.numpy_rng(jax.random.fold_in(key, seed))
        drawn = []
        for group in groups:
            (widths,) = pick(rng, group)
            for part in range(number):
                largest, scale = (
                    log_uniform(rng, 0.5, 3.0),
                    start * log_uniform(rng, 0.01, 1.0) ** (part / (number - 1)),
                )
                strengths = np.sort(rng.uniform(0.5, 1.0, size=min(widths)))[::-1] * largest
                problem = white_chain(rng, widths, strengths, max(widths) + 2, Aligned, skew=skew)
                shown = {"widths": "-".join(map(str, widths)), "largest": largest, "least": float(strengths[-1])}
                last = longest(len(widths) - 1, scale, strengths[-1])
                times = tuple((np.arange(1, 31) * last / 30).tolist())
                drawn.append(nct.Instance(problem, shown | {"scale": scale}, scale, nct.theorems.TrajectorySpec(times)))
        return drawn

    return draw


def predict_with(layers=None, fast=1.0, strength=1.0):
    """State the law with another number of layers, a time that runs faster, or other strengths."""

    def predict(problem, start, times):
        left, strengths, right = modes(problem)
        begun = heights(problem, start, start)
        at = nct.closed_form.mode_height(
            layers or problem.depth, strength * strengths[None, :], begun[None, :], fast * times[:, None]
        )
        norms = jnp.sum(at ** (2.0 / problem.depth), axis=1)
        return Curve(
            at, jnp.einsum("ik,tk,kj->tij", left, at, right), jnp.repeat(norms[:, None], problem.depth, axis=1)
        )

    return predict


def predict(problem, start, times):
    """State the law for the modes, the product and all layers."""
    at, whole = nct.closed_form.aligned_trajectory(problem, start, times)
    norms = jnp.sum(at ** (2.0 / problem.depth), axis=1)
    return Curve(at, whole, jnp.repeat(norms[:, None], problem.depth, axis=1))


def layer_norms(problem, params, start):
    """Return |W_l|^2 of every layer."""
    return jnp.stack([jnp.sum(weight**2) for weight in params.weights])


CLAIMS = (
    nct.Trajectory(
        "modes",
        r"u_i^\top W_L\cdots W_1v_i",
        heights,
        lambda c: c.heights,
    ),
    nct.Trajectory(
        "product",
        r"W_L\cdots W_1",
        product,
        lambda c: c.product,
    ),
    nct.Trajectory(
        "layers",
        r"|W_l|_F^2",
        layer_norms,
        lambda c: c.norms,
    ),
)
HYPOTHESES = (WHITE_INPUTS, NO_DECAY, BALANCED_START, ALIGNED_START)
