r"""The end-to-end flow of a balanced chain, as a trajectory.

A deep linear network computes one matrix, and from a balanced start this matrix moves by an equation of its own: its
gradient is multiplied by fractional powers of its own Gram matrices, so that the directions that are large already are
learned faster. Here the equation is not checked at single points but on the way: it is integrated by itself, without
the layers, and must lead where the layers lead. So depth can be studied without the parameters that cause it.

Problem:
    $f(W_1,\dots,W_N)=\ell(W_N\cdots W_1)$ with $\ell(W)=\frac12|W-\Sigma|_F^2$, which squared error on white inputs is
    up to a constant, $\Sigma=YX^\top/N$ with N samples there. All N layers are free and follow the gradient flow
    $\dot W_j=-\nabla_{W_j}f$.
Theorem (Arora et al. 2018, Theorem 1):
    From balanced factors ($W_{l+1}^\top W_{l+1}=W_lW_l^\top$) the product $W=W_N\cdots W_1$ follows
    $\dot W=-\sum_{j=1}^N(WW^\top)^{(N-j)/N}\nabla\ell(W)(W^\top W)^{(j-1)/N}$.
Hypotheses:
    - squared error, XX^T = N I
    - no decay
    - a balanced start
    - as many outputs as inputs and no narrower layer, so that W has full rank
Notation:
    Arora et al.: N layers; their learning rate is 1. Their equation is integrated anew.
Why:
    With $P_j=W_N\cdots W_{j+1}$ and $Q_j=W_{j-1}\cdots W_1$ the flow of a layer is
    $\dot W_j=-P_j^\top\nabla\ell(W)Q_j^\top$, and by the product rule
    $\dot W=\sum_jP_j\dot W_jQ_j=-\sum_jP_jP_j^\top\,\nabla\ell(W)\,Q_j^\top Q_j$. The flow keeps the layers balanced.
    Replacing the innermost $W_{j+1}W_{j+1}^\top$ by $W_{j+2}^\top W_{j+2}$ again and again gives
    $P_jP_j^\top=(W_NW_N^\top)^{N-j}$ and $WW^\top=(W_NW_N^\top)^N$; so $P_jP_j^\top=(WW^\top)^{(N-j)/N}$, because
    powers of positive semidefinite matrices are unique, and likewise $Q_j^\top Q_j=(W^\top W)^{(j-1)/N}$. Where W has
    full rank these powers are smooth, and the equation alone determines the path.
Checked:
    All entries of all layers are integrated along the gradient flow, from balanced random starts, twice with different
    tolerances; their difference bounds the error. The equation of the product is integrated by another run of a
    Runge-Kutta method, from the product at the start alone. The whole product and its components along the task's
    modes are compared at 24 times, for two to four layers. Each path must keep the imbalances that the flow conserves.
    All this is sampled: a law about every start is not certified by some.
Refuted by:
    One path of the layers whose product leaves the path of the equation by more than twice the integrator's error and
    rounding. The same check must refute the powers of one layer more, a rate larger by 1e-6, plain gradient flow of
    the product, and the equation where the start is not balanced.
Example:
    The product at time 1 from a random balanced start: by the equation for two layers, and from a fresh flow of both.

    >>> from scipy.integrate import solve_ivp
    >>> from scipy.linalg import sqrtm
    >>> problem = white_chain(np.random.default_rng(0), (2, 3, 2), (2.0, 1.0), 4, Balanced, skew=1.0)
    >>> start, sigma = nct.starts(problem, seeds=1, scale=0.5), problem.targets @ problem.inputs.T / 4
    >>> def velocity(t, flat):
    ...     w = flat.reshape(2, 2)
    ...     return -(sqrtm(w @ w.T) @ (w - sigma) + (w - sigma) @ sqrtm(w.T @ w)).ravel()
    >>> begin = (start.weights[1] @ start.weights[0]).ravel()
    >>> solve_ivp(velocity, (0.0, 1.0), begin, rtol=1e-10, atol=1e-12).y[:, -1].round(5).tolist()
    [0.9421, 0.1924, 0.67146, 0.55554]
    >>> w1, w2 = nct.gradient_flow(problem, start, [1.0], light=True).values.weights
    >>> (w2 @ w1).ravel().round(5).tolist()
    [0.9421, 0.1924, 0.67146, 0.55554]
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

# Each entry lists widths, of two classes and of more. A key picks one of each group.
SHAPES = (((2, 3, 2), (2, 2, 3, 2), (2, 2, 2, 2, 2)), ((4, 4, 4), (4, 5, 4, 4), (5, 5, 6, 5)))
TOLERANCE = 1e-13
MAX_STEPS = 4000


class Curve(NamedTuple):
    """What is predicted of a path; both arrays have a leading axis of times."""

    product: jax.Array
    heights: jax.Array


def draw_instances(groups=SHAPES, skew=1.0, seed=0):
    """Draw for one shape of each group five strengths and scales."""

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
    """Tell whether no layer is narrower than the first and the last, which are equal."""
    widths = instance.problem.widths
    return widths[0] == widths[-1] == min(widths)


def predict_with(layers=lambda depth: depth, rate=1.0):
    """Integrate the product's own flow, or a wrong one: for another number of layers, or at another rate."""

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
        assert found.ys is not None
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
        sources=(ARORA_2018.remark("The number is as public reading notes cite it.", number="Theorem 1"),),
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
