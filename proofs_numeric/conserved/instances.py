"""Chains of two to four factors on which the theorems on conserved quantities are checked."""

import jax
import jax.numpy as jnp
import numpy as np

import nctheory as nct

SAMPLES = 6
COUNTS = {2: (2, 1), 3: (3, 2, 1), 4: (2, 1, 1, 1), 5: (1,) * 5}
"""Where the features are free, each class has so many samples, by number of classes."""
START = {2: 1.0, 3: 1.5, 4: 1.6}
"""Starts have this scale, by number of factors: from small ones the longer chains fall to zero, a local minimum."""


def white_inputs(rng, rows):
    """Draw inputs with X X^T = N I."""
    return np.sqrt(SAMPLES) * np.linalg.qr(rng.normal(size=(SAMPLES, rows)))[0].T


def soft_labels(rng, rows):
    """Draw columns of positive entries that sum to 1."""
    raw = np.exp(rng.normal(size=(rows, SAMPLES)))
    return raw / raw.sum(axis=0)


def strong_targets(rng, rows, inputs):
    """Draw targets whose correlation with white inputs has singular values from 0.7 to 1.6, and noise on top.

    No input explains the noise. Chains of four factors have a mode in their global minimum from about 0.4 on, at the
    largest decays here; next to that point random starts seldom find it.
    """
    left, right = (np.linalg.qr(rng.normal(size=(size, size)))[0] for size in (rows, len(inputs)))
    rank = min(rows, len(inputs))
    noise = rng.normal(size=(rows, SAMPLES))
    explained = (left[:, :rank] * rng.uniform(0.7, 1.6, size=rank)) @ right[:, :rank].T @ inputs
    return explained + 0.5 * (noise - noise @ inputs.T @ inputs / SAMPLES)


def chain(rng, widths, loss, decay, free):
    """Draw a chain with free features or with given inputs, white for squared error."""
    if free:
        return nct.deep_linear(widths=widths, counts=COUNTS[widths[-1]], loss=loss, weight_decay=decay)
    white = white_inputs(rng, widths[0])
    inputs = white if loss == "mse" else white + 0.5 * rng.normal(size=white.shape)
    targets = strong_targets(rng, widths[-1], white) if loss == "mse" else soft_labels(rng, widths[-1])
    return nct.deep_linear(widths=widths, inputs=inputs, targets=targets, loss=loss, weight_decay=decay)


def factors_of(shape):
    """Count the free factors."""
    widths, _, free = shape
    return len(widths) - 1 + free


def mixed_sizes(rng, pool):
    """Pick one shape of each row of a pool: one of two classes, one of three, one of more, the others of any."""
    columns = rng.permutation([*range(3), *rng.integers(3, size=len(pool) - 3)])
    return [row[column] for row, column in zip(pool, columns, strict=True)]


def instance(rng, shape, decay, build=chain, scale=None):
    """Build a named instance; `decay` is by factor, as `nctheory.deep_linear` takes them."""
    widths, loss, free = shape
    shown = {"loss": loss, "widths": "-".join(map(str, widths)), "features": "free" if free else "given"}
    shown |= {"least decay": float(min(decay)), "largest decay": float(max(decay))}
    return nct.Instance(build(rng, widths, loss, decay, free), shown, scale=scale or START[len(decay)])


def decayed(instance):
    """Tell whether there is any decay."""
    return bool(np.any(np.asarray(instance.problem.weight_decay) > 0))


def unequal(instance):
    """Tell whether the decays differ."""
    return bool(np.ptp(np.asarray(instance.problem.weight_decay)) > 0)


def smooth(instance):
    """Tell whether the slope that the loss states is that of its value, at random logits."""
    return float(_unlike(instance.problem.loss, instance.problem.targets)) < 1e-8


@jax.jit
def _unlike(loss, targets):
    logits = jax.random.normal(jax.random.key(0), targets.shape, jnp.float64)
    slope = jax.grad(lambda z: jnp.sum(loss.value(z, targets)))(logits)
    return jnp.max(jnp.abs(slope - loss.gradient(logits, targets)))


FREE_CHAIN = nct.Hypothesis(
    "a chain of at least two free factors without a bias, with free features or given inputs",
    lambda i: len(np.asarray(i.problem.weight_decay)) >= 2 and i.problem.bias_decay is None,
)
ANY_DECAYS = nct.Hypothesis("decays >= 0", lambda i: bool(np.all(np.asarray(i.problem.weight_decay) >= 0)))
EQUAL_DECAYS = nct.Hypothesis(
    "one decay >= 0 for all free factors", lambda i: not unequal(i) and np.min(np.asarray(i.problem.weight_decay)) >= 0
)
ANY_LOSS = nct.Hypothesis("any differentiable loss of the logits", smooth)
