r"""Exact learning dynamics of two-layer linear networks from any balanced start.

A network of two linear layers can be followed exactly even where its start knows nothing of the task: it need only be
balanced. The Gram matrix of all weights then obeys an equation of Riccati's type, and its solution is a formula in
matrix exponentials. So one sees how old knowledge is forgotten and new structure learned, from any prior. It is the
general case behind the curves that start aligned with the task, and it says how the modes of K classes turn into
place.

Problem:
    $f(W_1,W_2)=\frac12|W_2W_1-\Sigma|_F^2$, which squared error on white inputs is up to a constant, with
    $\Sigma=YX^\top/N$. Both layers are free and follow the gradient flow $\dot W_l=-\nabla_{W_l}f$.
Theorem (Fukumizu 1998, Braun et al. 2022, number unchecked):
    For $f=\frac12|W_2W_1-\Sigma|_F^2$ with $\Sigma$ invertible and $W_2^\top W_2=W_1W_1^\top$ at the start, let
    $Q=[W_1^\top;W_2]$ and $F=[0,\Sigma^\top;\Sigma,0]$. Then $\frac{d}{dt}QQ^\top=FQQ^\top+QQ^\top F-(QQ^\top)^2$, and
    $QQ^\top(t)=e^{Ft}Q_0[I+\frac12Q_0^\top(e^{Ft}F^{-1}e^{Ft}-F^{-1})Q_0]^{-1}Q_0^\top e^{Ft}$.
Hypotheses:
    - squared error, XX^T = N I
    - no decay
    - as many outputs as inputs, YX^T invertible
    - a balanced start
Notation:
    Braun et al.: time constant 1.
Why:
    With $E=\Sigma-W_2W_1$ the flow is $\dot W_1=W_2^\top E$, $\dot W_2=EW_1^\top$. It conserves
    $W_2^\top W_2-W_1W_1^\top$, which is zero, and so $Q^\top Q=W_1W_1^\top+W_2^\top W_2$ is twice either term. Hence
    $\frac12QQ^\top Q=[W_1^\top W_2^\top W_2;W_2W_1W_1^\top]$ and $\dot Q=FQ-\frac12QQ^\top Q$. The equation for
    $QQ^\top$ follows by the product rule. Let $M=I+Q_0^\top\int_0^te^{2Fs}ds\,Q_0$, at least I: then
    $e^{Ft}Q_0M^{-1}Q_0^\top e^{Ft}$ starts at $Q_0Q_0^\top$, and with $\dot M=Q_0^\top e^{2Ft}Q_0$ one sees that it
    solves the equation. F is symmetric, with eigenvalues $\pm$ the singular values of $\Sigma$, and where these are
    not zero the integral is $\frac12(e^{2Ft}F^{-1}-F^{-1})$.
Checked:
    All entries of both layers are integrated along the gradient flow, from balanced random starts that are not aligned
    with the task, twice with different tolerances; their difference bounds the error. The whole matrix $QQ^\top$, the
    product and its components along the task's modes are held against the formula at thirty times. Each path must keep
    the imbalance that the flow conserves. All this is sampled: a law about every start is not certified by some.
Refuted by:
    One path that leaves the formula by more than twice the integrator's error and rounding. The same check must refute
    the formula without the factor one half in the bracket, correlations larger by 1e-6, and the formula where the
    start is not balanced.
Example:
    The product at time 1, from a random balanced start: by the formula, and along a fresh flow.

    >>> import scipy.linalg
    >>> problem = white_chain(np.random.default_rng(0), (2, 3, 2), (2.0, 1.0), 4, Balanced, skew=1.0)
    >>> start = nct.starts(problem, seeds=1, scale=0.3)
    >>> (w1, w2), sigma, zero = (w[0] for w in start.weights), problem.targets @ problem.inputs.T / 4, np.zeros((2, 2))
    >>> f, q = np.block([[zero, sigma.T], [sigma, zero]]), np.concatenate([w1.T, w2])
    >>> e = scipy.linalg.expm(f)
    >>> inner = np.eye(3) + q.T @ (e @ np.linalg.inv(f) @ e - np.linalg.inv(f)) @ q / 2
    >>> (e @ q @ np.linalg.inv(inner) @ q.T @ e)[2:, :2].round(5).tolist()
    [[0.74662, 0.17744], [0.54968, 0.41705]]
    >>> w1, w2 = nct.gradient_flow(problem, start, [1.0], light=True).values.weights
    >>> (w2 @ w1)[0, 0].round(5).tolist()
    [[0.74662, 0.17744], [0.54968, 0.41705]]
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import nctheory as nct
from proofs_numeric.bibliography_of_networks import BRAUN_2022, FUKUMIZU_1998
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

# Each entry lists widths, of two classes, of more, and of more still. A key picks one of each group.
SHAPES = (((2, 3, 2), (2, 2, 2)), ((3, 5, 3), (4, 4, 4)), ((6, 6, 6), (5, 9, 5)))


class Curve(NamedTuple):
    """What is predicted of a path; every array has a leading axis of times."""

    gram: np.ndarray | jax.Array
    product: np.ndarray | jax.Array
    heights: jax.Array


def draw_instances(groups=SHAPES, skew=1.0, seed=0):
    """Draw for one shape of each group four strengths and scales, with times until the weakest mode can be learned."""

    def draw(key):
        rng = nct.theorems.numpy_rng(jax.random.fold_in(key, seed))
        drawn = []
        for group in groups:
            (widths,) = pick(rng, group)
            for _ in range(4):
                largest, scale = log_uniform(rng, 0.5, 3.0), log_uniform(rng, 3e-3, 0.3)
                strengths = np.sort(rng.uniform(0.5, 1.0, size=widths[0]))[::-1] * largest
                problem = white_chain(rng, widths, strengths, max(widths) + 2, Balanced, skew=skew)
                shown = {"widths": "-".join(map(str, widths)), "largest": largest, "least": float(strengths[-1])}
                last = (0.5 * np.log(10.0 / scale) + 4.0) / strengths[-1]
                spec = nct.theorems.TrajectorySpec(tuple((np.arange(1, 31) * last / 30).tolist()), tolerance=1e-12)
                drawn.append(nct.Instance(problem, shown | {"scale": scale}, scale, spec))
        return drawn

    return draw


def invertible(instance):
    """Tell whether the correlation is a square matrix of full rank."""
    strengths = jnp.linalg.svd(correlation(instance.problem), compute_uv=False)
    widths = instance.problem.widths
    return widths[0] == widths[-1] and float(strengths[-1]) > 1e-6 * float(strengths[0])


def gram(problem, params, start):
    """Return QQ^T with Q = [W_1^T; W_2]."""
    lower, upper = params.weights
    stacked = jnp.concatenate([lower.T, upper])
    return stacked @ stacked.T


def predict_with(strength=1.0, whole=1.0):
    """State the solution for correlations times `strength`, and with `whole`/2 in the place of the bracket's 1/2."""

    def predict(problem, start, times):
        low = problem.widths[0]
        stronger = scaled_targets(problem, strength)
        # A start larger by a root stands for another factor in the bracket.
        larger = jax.tree.map(lambda x: jnp.sqrt(whole) * x, start)
        grams = nct.closed_form.balanced_trajectory(stronger, larger, times) / whole
        left, _, right = modes(problem)
        products = grams[:, low:, :low]
        return Curve(grams, products, jnp.einsum("ik,tij,kj->tk", left, products, right))

    return predict


def scaled_targets(problem, strength):
    """Return the same network on targets times `strength`."""
    return eqx.tree_at(lambda one: one.targets, problem, strength * jnp.asarray(problem.targets))


THEOREM = nct.register(
    nct.Theorem(
        id="braun-riccati",
        docstring=__doc__,
        hypotheses=(
            WHITE_INPUTS,
            NO_DECAY,
            invertible,
            BALANCED_START,
        ),
        sources=(BRAUN_2022, FUKUMIZU_1998),
        instances=draw_instances(),
        predict=predict_with(),
        claims=(
            nct.Trajectory(
                "gram",
                "QQ^\\top",
                gram,
                lambda c: c.gram,
            ),
            nct.Trajectory(
                "product",
                "W_2W_1",
                product,
                lambda c: c.product,
            ),
            nct.Trajectory(
                "modes",
                r"u_i^\top W_2W_1v_i",
                heights,
                lambda c: c.heights,
            ),
        ),
        controls=(
            nct.Control("without the half", "the factor 1/2 in the bracket left out", predict_with(whole=2.0)),
            nct.Control("1e-6 strong", "correlations larger by a relative 1e-6", predict_with(strength=1 + 1e-6)),
            nct.Control(
                "unbalanced",
                "a start that is not balanced",
                predict_with(),
                outside=draw_instances(SHAPES[1:2], skew=2.0, seed=1),
            ),
        ),
        method=nct.Integrate(),
        seeds=64,
    )
)

if __name__ == "__main__":
    nct.show(nct.verify(THEOREM))
