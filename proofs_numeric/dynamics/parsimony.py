r"""Gradient descent of deep linear networks from orthogonal starts: invariant subspaces.

A wide linear network that learns a simple task moves in far fewer directions than it has. From an orthogonal start
each layer splits in two: a small part that learns, of twice the rank of the task at most, and the rest, which only
shrinks, by the same known factor in every step and in every direction. With K classes the rank is at most K. So a wide
network can be trained in compressed form without any loss, and the law holds for gradient descent itself, with steps
of finite size.

Problem:
    $f(W_1,\dots,W_L)=\frac12|W_L\cdots W_1-\Phi|_F^2+\frac\lambda2\sum_l|W_l|_F^2$, which squared error on white
    inputs is up to a constant, with $\Phi=YX^\top/N$. All layers are free and take steps of gradient descent,
    $W_l\mapsto W_l-\eta\nabla_{W_l}f$.
Theorem (Yaras et al. 2023, number unchecked):
    For $f=\frac12|W_L\cdots W_1-\Phi|_F^2+\frac\lambda2\sum_l|W_l|_F^2$, layers d x d, $\Phi$ of rank r, and gradient
    descent of step $\eta$ from $W_l(0)=\epsilon O_l$, $O_l$ orthogonal: each $W_l$ acts on a fixed subspace of
    dimension at least $d-2r$ as $\rho O_l$, into the fixed subspace of the next layer and from nowhere else, with
    $\rho\mapsto\rho(1-\eta\lambda-\eta\rho^{2(L-1)})$. At least $d-2r$ singular values of each layer are therefore
    $\rho$.
Hypotheses:
    - squared error, XX^T = N I
    - equal decays
    - all layers d x d
    - starts that are a multiple of orthogonal matrices
Notation:
    Yaras et al.: as ours. The process is gradient descent, not its flow.
Why:
    Let $v_1$ be in the null spaces of $\Phi$ and of $\Phi^\top O_L\cdots O_1$, which have dimension $d-r$ each and
    dimension $d-2r$ at least in common, and $v_{l+1}=O_lv_l$. Suppose $W_lv_l=\rho v_{l+1}$ and
    $W_l^\top v_{l+1}=\rho v_l$ in all layers, as at the start. Then with $E=W_L\cdots W_1-\Phi$ we have
    $Ev_1=\rho^Lv_{L+1}$ and $E^\top v_{L+1}=\rho^Lv_1$, since $\Phi v_1=0$ and $\Phi^\top v_{L+1}=0$. The gradient of
    the fit is $G_l=(W_L\cdots W_{l+1})^\top E(W_{l-1}\cdots W_1)^\top$, and collecting the factors $\rho$ gives
    $G_lv_l=\rho^{2L-1}v_{l+1}$ and $G_l^\top v_{l+1}=\rho^{2L-1}v_l$. After the step the supposition holds with
    $\rho-\eta\lambda\rho-\eta\rho^{2L-1}$. A layer thus maps the subspace, and its orthogonal complement, to those of
    the next layer, and its singular values on the former are $|\rho|$.
Checked:
    Ten thousand steps of gradient descent are taken from random orthogonal starts, and again from starts moved by what
    rounding may add up to, which bounds the error. The action of every layer on its subspace, what it sends into the
    next one, and the size there are held against the recursion at 41 times. The subspaces are computed from the start
    and the task alone. All this is sampled: a law about every start is not certified by some.
Refuted by:
    One run that leaves the law by more than twice the error and rounding. The same check must refute the power of one
    layer more, a step longer by 1e-6, and the law where the start is not orthogonal.
Example:
    The singular values of the first of two 4 x 4 layers after 300 steps towards a task of rank one: two of them are
    $\rho$, by the recursion in the first line.

    >>> rho = 0.5
    >>> for step in range(300):
    ...     rho *= 1 - RATE * rho**2
    >>> problem = white_chain(np.random.default_rng(0), (4, 4, 4), (1.5,), 4, Orthogonal, noise=0.0)
    >>> paths = nct.gradient_descent(problem, nct.starts(problem, seeds=1, scale=0.5), [300], RATE, light=True)
    >>> round(rho, 6), np.linalg.svd(paths.values.weights[0][0, 0])[1].round(6).tolist()
    (0.171093, [1.224799, 0.171093, 0.171093, 0.15428])
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

import nctheory as nct
from proofs_numeric.bibliography_of_networks import YARAS_2023
from proofs_numeric.dynamics.chains import WHITE_INPUTS, correlation, drawn_start, white_chain
from proofs_numeric.pool import log_uniform, pick
from proofs_numeric.thresholds import DISTINCT, ROUNDED

# Each shape is (width, layers, rank of the target): narrow, middle or wide. A key picks one of each group.
SHAPES = (((4, 2, 1), (3, 3, 1)), ((8, 2, 2), (7, 3, 1), (6, 4, 2)), ((10, 2, 3), (8, 3, 2)))
RATE = 0.05
STEPS = tuple(250.0 * k for k in range(41))


class Orthogonal(nct.problems.Starts):
    """Starts whose factors are orthogonal matrices, times one number."""

    noise: Float[np.ndarray | jax.Array, ""]
    """The relative size of what is added to them, which is 0 within the theorem."""

    def __call__(self, problem, key, scale):
        """Draw orthogonal matrices, Haar-distributed up to signs."""
        drawn = jax.random.normal(key, (2, problem.depth, problem.widths[0], problem.widths[0]), jnp.float64)
        frames = [jnp.linalg.qr(one)[0] for one in drawn[0]]
        return nct.problems.ChainParams(
            tuple(scale * (q + self.noise * x) for q, x in zip(frames, drawn[1], strict=True)), None, None
        )


class Curve(NamedTuple):
    """What is predicted of a path; every array has a leading axis of times."""

    inside: jax.Array
    outside: jax.Array
    size: jax.Array


def draw_instances(groups=SHAPES, noise=0.0, seed=0):
    """Draw for one shape of each group no decay and three decays, each with starts of another size."""

    def draw(key):
        rng = nct.theorems.numpy_rng(jax.random.fold_in(key, seed))
        drawn = []
        for group in groups:
            ((width, layers, rank),) = pick(rng, group)
            for decay in (
                0.0,
                log_uniform(rng, 1e-6, 1e-5),
                log_uniform(rng, 1e-5, 1e-4),
                log_uniform(rng, 1e-4, 1e-3),
            ):
                strengths = np.sort(rng.uniform(1.0, 2.0, size=rank))[::-1]
                size = log_uniform(rng, 0.2, 0.7)
                problem = white_chain(rng, (width,) * (layers + 1), strengths, width, Orthogonal, decay, noise=noise)
                shown = {"d": width, "L": layers, "rank": rank, "decay": decay, "epsilon": size}
                drawn.append(
                    nct.Instance(problem, shown, scale=size, trajectory=nct.theorems.TrajectorySpec(STEPS, rate=RATE))
                )
        return drawn

    return draw


def orthogonal_start(instance):
    """Tell whether all factors of a start are one multiple of orthogonal matrices."""
    start = drawn_start(instance)
    grams = jnp.stack([w @ w.T for w in start.weights]) / jnp.sum(start.weights[0] ** 2) * len(start.weights[0])
    return float(jnp.max(jnp.abs(grams - jnp.eye(grams.shape[1])[None]))) < ROUNDED


def spared(problem, start):
    r"""Return projectors $\Pi_1,\ldots,\Pi_{L+1}$ on what the target does not touch, the start's $O_l$, and its size.

    $\Pi_1$ projects on the common null space of $\Phi$ and $\Phi^\top O_L\cdots O_1$, and
    $\Pi_{l+1}=O_l\Pi_lO_l^\top$.
    """
    width, target = problem.widths[0], correlation(problem)
    size = jnp.sqrt(jnp.sum(start.weights[0] ** 2) / width)
    turns = [weight / size for weight in start.weights]
    whole = jnp.eye(width)
    for turn in turns:
        whole = turn @ whole
    left, singular, _ = jnp.linalg.svd(jnp.concatenate([target.T, whole.T @ target], axis=1), full_matrices=False)
    touched = left * (singular > DISTINCT * singular[0]).astype(float)[None, :]
    projectors = [jnp.eye(width) - touched @ touched.T]
    for turn in turns:
        projectors.append(turn @ projectors[-1] @ turn.T)
    return projectors, turns, size


def from_right(problem, params, start):
    """Return W_l on the spared subspace, for every layer."""
    return jnp.stack([w @ p for w, p in zip(params.weights, spared(problem, start)[0][:-1], strict=True)])


def from_left(problem, params, start):
    """Return what W_l sends to the spared subspace of the next layer, for every layer."""
    return jnp.stack([p @ w for w, p in zip(params.weights, spared(problem, start)[0][1:], strict=True)])


def spared_size(problem, params, start):
    """Return the root mean square of the singular values on the spared subspace, for every layer."""
    projectors = spared(problem, start)[0][:-1]
    return jnp.stack(
        [jnp.sqrt(jnp.sum((w @ p) ** 2) / jnp.trace(p)) for w, p in zip(params.weights, projectors, strict=True)]
    )


def recursion(problem, size, times, power=None, rate=RATE):
    r"""Iterate $\rho\mapsto\rho(1-\eta\lambda-\eta\rho^{2(L-1)})$, seen after the given numbers of steps."""
    decay, exponent = jnp.asarray(problem.weight_decay)[0], 2 * (problem.depth - 1) if power is None else power

    def step(rho, _):
        return rho * (1.0 - rate * decay - rate * rho**exponent), rho

    _, path = jax.lax.scan(step, size, None, length=int(STEPS[-1]) + 1)
    return path[times.astype(int)]


def predict_with(**wrong):
    """State the theorem with its recursion, or with a wrong one (see `recursion`)."""

    def predict(problem, start, times):
        projectors, turns, size = spared(problem, start)
        rho = recursion(problem, size, times, **wrong)
        right = jnp.stack([turn @ p for turn, p in zip(turns, projectors[:-1], strict=True)])
        left = jnp.stack([p @ turn for turn, p in zip(turns, projectors[1:], strict=True)])
        inside, outside = (rho[:, None, None, None] * x[None] for x in (right, left))
        return Curve(inside, outside, jnp.repeat(rho[:, None], problem.depth, axis=1))

    return predict


THEOREM = nct.register(
    nct.Theorem(
        id="yaras-parsimony",
        docstring=__doc__,
        hypotheses=(
            WHITE_INPUTS,
            lambda i: np.ptp(np.asarray(i.problem.weight_decay)) == 0,
            lambda i: len(set(i.problem.widths)) == 1,
            orthogonal_start,
        ),
        sources=(YARAS_2023,),
        instances=draw_instances(),
        predict=predict_with(),
        claims=(
            nct.Trajectory(
                "from the right",
                r"W_l\Pi_l=\rho O_l\Pi_l",
                from_right,
                lambda c: c.inside,
            ),
            nct.Trajectory(
                "from the left",
                r"\Pi_{l+1}W_l=\rho\Pi_{l+1}O_l",
                from_left,
                lambda c: c.outside,
            ),
            nct.Trajectory(
                "size",
                r"\rho",
                spared_size,
                lambda c: c.size,
            ),
        ),
        controls=(
            nct.Control(
                "one layer more",
                r"the power 2L in the place of 2(L-1)",
                lambda p, x, t: predict_with(power=2 * p.depth)(p, x, t),
            ),
            nct.Control("1e-6 fast", "a step longer by a relative 1e-6", predict_with(rate=(1 + 1e-6) * RATE)),
            nct.Control(
                "not orthogonal",
                "a start with a hundredth of noise",
                predict_with(),
                outside=draw_instances(SHAPES[1:2], noise=0.01, seed=1),
            ),
        ),
        method=nct.Integrate(),
        seeds=32,
    )
)

if __name__ == "__main__":
    nct.show(nct.verify(THEOREM))
