"""Chains of two to four factors on which the theorems on conserved quantities are checked."""

import numpy as np

import nctheory as nct

SAMPLES = 6
START = {2: 1.0, 3: 1.5, 4: 1.6}
"""Scale of the starts by number of factors: from small ones the longer chains fall to zero, a local minimum."""


def white_inputs(rng, rows):
    """Inputs with X X^T = N I."""
    return np.sqrt(SAMPLES) * np.linalg.qr(rng.normal(size=(SAMPLES, rows)))[0].T


def mixed_targets(rng, rows, loss):
    """Gaussian targets, or for cross-entropy soft labels."""
    raw = rng.normal(size=(rows, SAMPLES))
    return raw if loss == "mse" else np.exp(raw) / np.exp(raw).sum(axis=0)


def chain(rng, widths, loss, decay, free):
    """A chain with free features (class counts 3, 2, 1) or with given inputs, white for squared error."""
    if free:
        return nct.deep_linear(widths=widths, counts=(3, 2, 1), loss=loss, weight_decay=decay)
    white = white_inputs(rng, widths[0])
    inputs = white if loss == "mse" else white + 0.5 * rng.normal(size=white.shape)
    targets = mixed_targets(rng, widths[-1], loss)
    return nct.deep_linear(widths=widths, inputs=inputs, targets=targets, loss=loss, weight_decay=decay)


def instance(rng, shape, decay, equal, build=chain, scale=None):
    """A named instance; `decay` by factor, as `nctheory.deep_linear` takes them."""
    widths, loss, free = shape
    shown = {"loss": loss, "widths": "-".join(map(str, widths)), "features": "free" if free else "given"}
    shown |= {"equal": int(equal), "least decay": float(min(decay)), "largest decay": float(max(decay))}
    return nct.Instance(build(rng, widths, loss, decay, free), shown, scale=scale or START[len(decay)])
