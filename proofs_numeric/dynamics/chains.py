"""Linear networks on white inputs, and starts for which their trajectories are known."""

from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

import nctheory as nct
from proofs_numeric.conserved.vector_field import imbalances
from proofs_numeric.conserved.vector_field import product as end_to_end
from proofs_numeric.thresholds import ROUNDED


def white_chain(rng, widths, strengths, samples, law=None, decay=0.0, **more):
    r"""Draw a chain on inputs with $XX^\top=NI$ whose targets are $Y=\Sigma X$, $\Sigma$ of the given singular values.

    Its objective is $\frac12|W_L\cdots W_1-\Sigma|^2$ and the decays. Its starts are `law(**more)`, or the usual ones.
    """
    low, high = widths[0], widths[-1]
    inputs = np.sqrt(samples) * np.linalg.qr(rng.normal(size=(samples, low)))[0].T
    left, right = (np.linalg.qr(rng.normal(size=(size, size)))[0] for size in (high, low))
    rank = len(strengths)
    target = left[:, :rank] * np.asarray(strengths) @ right[:, :rank].T
    chain = nct.deep_linear(
        widths=widths, inputs=inputs, targets=target @ inputs, loss="mse", weight_decay=(decay,) * (len(widths) - 1)
    )
    if law is None:
        return chain
    return chain.with_starts(law(**{name: np.asarray(value) for name, value in more.items()}))


def correlation(problem):
    r"""Return $\Sigma=YX^\top/N$."""
    return jnp.asarray(problem.targets) @ jnp.asarray(problem.inputs).T / problem.targets.shape[1]


def modes(problem):
    """Return the left singular vectors, singular values and right singular vectors (as rows) of the correlation.

    They are the largest ones, as many as the narrowest layer passes on.
    """
    left, strengths, right = jnp.linalg.svd(correlation(problem), full_matrices=False)
    rank = min(problem.widths)
    return left[:, :rank], strengths[:rank], right[:rank]


def product(problem, params, start):
    """Return W_L ... W_1."""
    return end_to_end(params)


def heights(problem, params, start):
    r"""Return $u_i^\top W_L\cdots W_1v_i$, mode by mode."""
    left, _, right = modes(problem)
    return jnp.sum(left * (product(problem, params, start) @ right.T), axis=0)


def frames(key, widths, rank):
    """Draw an orthonormal frame of `rank` columns in every inner space."""
    keys = jax.random.split(key, max(len(widths) - 2, 1))
    drawn = [jax.random.normal(one, (width, rank), jnp.float64) for one, width in zip(keys, widths[1:-1], strict=False)]
    return [jnp.linalg.qr(matrix)[0] for matrix in drawn]


def balanced(key, left, heights, right, widths):
    """Return balanced factors of left diag(heights) right, with random inner frames."""
    size = heights ** (1.0 / (len(widths) - 1))
    ends = [right.T, *frames(key, widths, heights.shape[0]), left]
    return nct.problems.ChainParams(tuple((up * size[None, :]) @ low.T for low, up in pairwise(ends)), None, None)


def skewed(point, skew):
    """Multiply the first factor by `skew` and divide the last by it: the product stays, the balance does not."""
    inner = point.weights[1:-1]
    return nct.problems.ChainParams((skew * point.weights[0], *inner, point.weights[-1] / skew), None, None)


class Aligned(nct.problems.Starts):
    """Starts that are balanced and aligned with the targets' modes, with heights that are log-uniform over a decade."""

    skew: Float[np.ndarray | jax.Array, ""]
    """It is 1 for balanced starts."""

    def __call__(self, problem, key, scale):
        """Draw heights from scale/10 to scale."""
        left, strengths, right = modes(problem)
        turned, drawn = jax.random.split(key)
        height = scale * 10.0 ** -jax.random.uniform(drawn, strengths.shape, jnp.float64)
        return skewed(balanced(turned, left, height, right, problem.widths), self.skew)


class Balanced(nct.problems.Starts):
    """Starts that are balanced and turned against the targets' modes at random."""

    skew: Float[np.ndarray | jax.Array, ""]
    """It is 1 for balanced starts."""

    def __call__(self, problem, key, scale):
        """Draw heights from scale/10 to scale."""
        turned, drawn, one, other = jax.random.split(key, 4)
        rank = min(problem.widths)
        left = jnp.linalg.qr(jax.random.normal(one, (problem.widths[-1], rank), jnp.float64))[0]
        right = jnp.linalg.qr(jax.random.normal(other, (problem.widths[0], rank), jnp.float64))[0].T
        height = scale * 10.0 ** -jax.random.uniform(drawn, (rank,), jnp.float64)
        return skewed(balanced(turned, left, height, right, problem.widths), self.skew)


def drawn_start(instance):
    """Return one start of an instance."""
    return instance.start()


def is_white(instance):
    """Tell whether the loss is squared error on inputs with XX^T = N I."""
    problem = instance.problem
    gram = problem.inputs @ np.transpose(problem.inputs) / problem.inputs.shape[1]
    return nct.losses.is_loss(problem.loss, "mse") and float(np.max(np.abs(gram - np.eye(len(gram))))) < ROUNDED


def starts_balanced(instance):
    """Tell whether neighbouring factors of a start have the same Gram matrix."""
    start = drawn_start(instance)
    size = max(float(jnp.sum(w**2)) for w in start.weights)
    return max(float(jnp.max(jnp.abs(x))) for x in imbalances(start)) < ROUNDED * size


def starts_aligned(instance):
    """Tell whether the product of a start is diagonal in the correlation's modes, heights below their strengths."""
    start, (left, strengths, right) = drawn_start(instance), modes(instance.problem)
    height = heights(instance.problem, start, start)
    off = end_to_end(start) - (left * height[None, :]) @ right
    low, high = float(jnp.min(height)), float(jnp.max(height / strengths))
    return float(jnp.max(jnp.abs(off))) < ROUNDED * float(jnp.max(height)) and low > 0 and high < 1


WHITE_INPUTS = nct.Hypothesis("squared error, XX^T = N I", is_white)
NO_DECAY = nct.Hypothesis("no decay", lambda i: not np.any(np.asarray(i.problem.weight_decay)))
BALANCED_START = nct.Hypothesis("a balanced start", starts_balanced)
ALIGNED_START = nct.Hypothesis(
    "a start aligned with the modes of YX^T, their heights above 0 and below their strengths", starts_aligned
)
