r"""Networks of rank two with any number of classes: points on a quarter of a circle, told apart by one layer of hinges.

Classes lie at equal angles on the arc, with nuclear norm s. Two layers behind it, W_L max(W_{L-1} x, 0), put out one
direction a class at the cost h, the least sum of |a_j| over units of direction n_j, |n_j| = 1, and outputs a_j. All layers
between are the identity, at a cost of two each: $R=F(sh/4)^{2/F}$.
"""

from functools import cache

import numpy as np

from proofs_numeric.nonlinear.low_rank import Network

ROUNDS = 400
"""Rounds of reweighted least squares for the least sum of lengths; the last weights units below 1e-9 by next to nothing."""
GRID = 8
"""Directions that are tried besides those at which a class has its kink (measured: a finer grid saves less than 1e-4)."""
USED = 1e-5
"""A unit whose output is below this is dropped (conventional: the rest is solved for again)."""


def arc(classes):
    """Return the features of the classes, 2 x K, on a quarter of the unit circle."""
    angles = np.linspace(0.0, np.pi / 2, classes)
    return np.stack([np.cos(angles), np.sin(angles)])


@cache
def head(classes):
    """Return directions n (units x 2) and outputs a (K x units) of least cost that put out the identity on the arc."""
    points = arc(classes)
    kinks = np.linspace(0.0, np.pi / 2, classes)
    turned = np.concatenate([kinks + np.pi / 2, kinks - np.pi / 2, np.linspace(-np.pi, np.pi, GRID, endpoint=False)])
    directions = np.stack([np.cos(turned), np.sin(turned)], axis=1)
    seen = np.maximum(directions @ points, 0.0)
    seen[seen < 1e-14] = 0.0
    alive = np.linalg.norm(seen, axis=1) > 0
    directions, seen = directions[alive], seen[alive]
    for drop in (False, True):
        if drop:
            kept = np.linalg.norm(outputs, axis=0) > USED
            directions, seen = directions[kept], seen[kept]
        weights = np.ones(len(seen))
        for round_ in range(ROUNDS):
            # The least sum of |a_j|^2/w_j with a seen = I, w_j the lengths so far.
            weighted = seen * weights[:, None]
            outputs = np.linalg.solve(seen.T @ weighted, weighted.T)
            floor = max(10.0 ** (-1 - 10 * round_ / ROUNDS), 1e-10)
            weights = np.sqrt(np.sum(outputs**2, axis=0) + floor**2)
    return directions, outputs


def head_cost(classes):
    """Return h."""
    return float(np.linalg.norm(head(classes)[1], axis=0).sum())


def arc_norm(classes):
    """Return s, the nuclear norm of the arc."""
    return float(np.linalg.norm(arc(classes), "nuc"))


def arc_cost(classes, depth):
    r"""Return $R=F(sh/4)^{2/F}$."""
    factors = depth + 1
    return factors * (arc_norm(classes) * head_cost(classes) / 4) ** (2 / factors)


def arc_network(classes, depth):
    """Return the network that puts out the identity."""
    left, values, right = np.linalg.svd(arc(classes), full_matrices=False)
    features, first = np.sqrt(values)[:, None] * right, left * np.sqrt(values)[None, :]
    directions, outputs = head(classes)
    root = np.sqrt(np.linalg.norm(outputs, axis=0))
    return Network(features, (first, *[np.eye(2)] * (depth - 3), root[:, None] * directions, outputs / root[None, :]))
