r"""The end-to-end flow of a balanced chain, as a trajectory.

From balanced factors the product follows a flow of its own, in which it is its own preconditioner.

Theorem:
    From balanced factors ($W_{l+1}^\top W_{l+1}=W_lW_l^\top$) the product $W=W_N\cdots W_1$ follows
    $\dot W=-\sum_{j=1}^N(WW^\top)^{(N-j)/N}\nabla\ell(W)(W^\top W)^{(j-1)/N}$.
Hypotheses:
    - squared error, XX^T = N I
    - no decay
    - a balanced start
    - as many outputs as inputs and no narrower layer, so that W has full rank
Notation:
    Arora et al.: N layers; their learning rate is 1. Their equation is integrated anew.
"""

from typing import NamedTuple

import diffrax
import jax
import jax.numpy as jnp
import numpy as np

import nctheory as nct
from proofs_numeric.bibliography_of_networks import ARORA_2018
from proofs_numeric.dynamics.chains import (
    BALANCED_START,
    NO_DECAY,
    WHITE_INPUTS,
    Balanced,
    correlation,
    heights,
    modes,
    product,
    white_chain,
)
from proofs_numeric.pool import log_uniform, pick

# widths: two classes, and more of them; a key picks one of each group
SHAPES = (((2, 3, 2), (2, 2, 3, 2), (2, 2, 2, 2, 2)), ((4, 4, 4), (4, 5, 4, 4), (5, 5, 6, 5)))
TOLERANCE = 1e-13
MAX_STEPS = 4000


class Curve(NamedTuple):
    """What is predicted of a path, times x ...."""

    product: jax.Array
    heights: jax.Array


def draw_instances(groups=SHAPES, skew=1.0, seed=0):
    """For one shape of each group five sets of strengths and scales."""

    def draw(key):
        rng = nct.theorems.numpy_rng(jax.random.fold_in(key, seed))
        drawn = []
        for group in groups:
            (widths,) = pick(rng, group)
            for _ in range(5):
                largest, scale = log_uniform(rng, 0.5, 3.0), log_uniform(rng, 0.1, 0.6)
                strengths = np.sort(rng.uniform(0.5, 1.0, size=min(widths)))[::-1] * largest
                problem = white_chain(rng, widths, strengths, max(widths) + 2, Balanced, skew=skew)
                shown = {"widths": "-".join(map(str, widths)), "largest": largest, "least": float(strengths[-1])}
                times = tuple((np.arange(1, 25) * 4.0 / 24 / strengths[-1]).tolist())
                spec = nct.theorems.TrajectorySpec(times, tolerance=1e-12)
                drawn.append(nct.Instance(problem, shown | {"scale": scale}, scale, spec))
        return drawn

    return draw


def full_rank(instance):
    """Whether no layer is narrower than the first and the last, which are equal."""
    widths = instance.problem.widths
    return widths[0] == widths[-1] == min(widths)


def predict_with(layers=lambda depth: depth, rate=1.0):
    """The product's own flow, for another number of layers or at another rate."""

    def predict(problem, start, times):
        number = layers(problem.depth)
        target = correlation(problem)

        def velocity(t, whole, args):
            left, singular, right = jnp.linalg.svd(whole, full_matrices=False)
            slope = left.T @ (whole - target) @ right.T
            total = jnp.zeros_like(slope)
            for j in range(1, number + 1):
                above, below = singular ** (2.0 * (number - j) / number), singular ** (2.0 * (j - 1) / number)
                total += above[:, None] * slope * below[None, :]
            return -rate * left @ total @ right

        begin = product(problem, start, start)
        found = diffrax.diffeqsolve(
            diffrax.ODETerm(velocity),
            diffrax.Dopri8(),
            t0=0.0,
            t1=times[-1],
            dt0=None,
            y0=begin,
            stepsize_controller=diffrax.ClipStepSizeController(
                diffrax.PIDController(rtol=TOLERANCE, atol=TOLERANCE * jnp.max(jnp.abs(begin))), step_ts=times
            ),
            saveat=diffrax.SaveAt(ts=times),
            max_steps=MAX_STEPS,
            throw=False,
        )
        left, _, right = modes(problem)
        return Curve(found.ys, jnp.einsum("ik,tij,kj->tk", left, found.ys, right))

    return predict


THEOREM = nct.register(
    nct.Theorem(
        id="arora-trajectory",
        docstring=__doc__,
        hypotheses=(
            WHITE_INPUTS,
            NO_DECAY,
            BALANCED_START,
            full_rank,
        ),
        sources=(ARORA_2018,),
        instances=draw_instances(),
        predict=predict_with(),
        claims=(
            nct.Trajectory(
                "product",
                r"W_N\cdots W_1",
                product,
                lambda c: c.product,
            ),
            nct.Trajectory(
                "modes",
                r"u_i^\top Wv_i",
                heights,
                lambda c: c.heights,
            ),
        ),
        controls=(
            nct.Control("one layer more", "N+1 in the place of N", predict_with(layers=lambda depth: depth + 1)),
            nct.Control("1e-6 fast", "a rate larger by a relative 1e-6", predict_with(rate=1 + 1e-6)),
            nct.Control("no preconditioner", "plain gradient descent of the product", predict_with(lambda depth: 1)),
            nct.Control(
                "unbalanced",
                "a start that is not balanced",
                predict_with(),
                outside=draw_instances(SHAPES[1:], skew=2.0, seed=1),
            ),
        ),
        method=nct.Integrate(),
        seeds=32,
    )
)

if __name__ == "__main__":
    nct.show(nct.verify(THEOREM))
