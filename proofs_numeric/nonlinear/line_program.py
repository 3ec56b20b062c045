r"""The convex program of a ReLU network of one input in the space of its outputs, solved in NumPy: no neuron occurs in it.

It shares nothing with the certificate, which is made of the dual.
"""

from typing import NamedTuple

import numpy as np

from proofs_numeric.nonlinear.line_networks import BENDS, ENDS

STEPS = 100
"""The largest number of steps of the interior-point method."""
GAP = 1e-11
"""The solution is refused where its gap is larger than this part of the fit of zero outputs."""


class Outputs(NamedTuple):
    r"""The minimiser of $\frac1{2N}|z-y|^2+\lambda\gamma(z)$, and the minimum."""

    value: float
    outputs: np.ndarray


def solve_line(inputs, targets, decay, parts=(BENDS, ENDS)):
    r"""Minimise $\frac1{2N}|z-y|^2+\lambda t$ over z and $t\ge pV(z)+q|S(z)|$ for each (p, q) of `parts`.

    V is the sum of the absolute changes of slope of the straight connection of the outputs, S the sum of its first and last
    slope. Raises ArithmeticError where the gap does not close.
    """
    count = len(inputs)
    slopes = np.diff(np.eye(count), axis=0) / np.diff(inputs)[:, None]
    changes = np.concatenate([np.diff(slopes, axis=0), (slopes[:1] + slopes[-1:])])
    terms = len(changes)
    # The unknowns are z, bounds v on the absolute changes and s on |S|, and t: all inequalities are rows of G x <= 0.
    both = [np.hstack([sign * changes, -np.eye(terms), np.zeros((terms, 1))]) for sign in (1.0, -1.0)]
    tops = [np.concatenate([np.zeros(count), np.full(terms - 1, of), [at, -1.0]])[None, :] for of, at in parts]
    rows = np.concatenate([*both, *tops])
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    linear = np.concatenate([-targets / count, np.zeros(terms), [decay]])
    square = np.diag(np.concatenate([np.full(count, 1.0 / count), np.zeros(terms + 1)]))
    size = 0.5 * float(np.var(targets))
    inside = _interior(rows, square, linear, size, changes, parts, targets)
    outputs = _on_its_face(rows, square, linear, inside, targets)
    sizes = np.abs(changes @ outputs)
    paid = decay * max(of * np.sum(sizes[:-1]) + at * sizes[-1] for of, at in parts)
    return Outputs(float(0.5 * np.mean((outputs - targets) ** 2) + paid), outputs)


def _interior(rows, square, linear, size, changes, parts, targets):
    """Follow the central path until rounding ends it; return the best point, its slacks and their multipliers."""
    count = len(linear) - len(changes) - 1
    # It begins at the mean, with bounds that the data themselves would nearly need.
    reach = float(np.max(np.abs(changes @ targets)))
    point = np.concatenate([np.full(count, np.mean(targets)), np.full(len(changes), reach), [reach]])
    point[-1] += reach * max(of * (len(changes) - 1) + at for of, at in parts)
    slack, duals = np.maximum(-rows @ point, 1e-2 * reach), np.full(len(rows), size / len(rows))
    best, least, since = (point, slack, duals), np.inf, 0
    for _ in range(STEPS):
        stationary = square @ point + linear + rows.T @ duals
        feasible = rows @ point + slack
        gap = slack @ duals
        error = max(gap / size, np.max(np.abs(feasible)), np.linalg.norm(stationary) / np.linalg.norm(linear))
        since = 0 if error < 0.9 * least else since + 1
        if error < least:
            best, least = (point, slack, duals), error
        if least < 1e-15 or (least < 1e-12 and since == 3):
            break
        # One Newton step for slack * duals = a fifth of their mean.
        weight, aim = duals / slack, 0.2 * gap / len(rows) - slack * duals
        right = -stationary - rows.T @ (weight * feasible + aim / slack)
        moved = np.linalg.lstsq(square + (rows.T * weight) @ rows, right, rcond=0)[0]
        fall = -feasible - rows @ moved
        rise = (aim - duals * fall) / slack
        part = 0.9 * _longest(slack, fall, duals, rise)
        point, slack, duals = point + part * moved, slack + part * fall, duals + part * rise
    return best


def _longest(slack, fall, duals, rise):
    """Return the longest step, 1 at most, that leaves all numbers positive."""
    ratios = np.concatenate([slack, duals]) / np.maximum(-np.concatenate([fall, rise]), 1e-30)
    return min(1.0, float(np.min(ratios)))


def _on_its_face(rows, square, linear, inside, targets):
    """Solve anew with equality where the multiplier exceeds the slack, which ends at rounding."""
    point, slack, duals = inside
    scale = np.max(np.abs(point))
    active = rows[slack / scale < duals / np.max(duals)]
    system = np.block([[square, active.T], [active, np.zeros((len(active), len(active)))]])
    right = np.concatenate([-linear, np.zeros(len(active))])
    solved = np.linalg.lstsq(system, right, rcond=1e-13)[0][: len(point)]
    constant = 0.5 * float(np.mean(targets**2))
    if np.max(rows @ solved) <= 1e-11 * scale and np.max(np.abs(solved - point)) <= 1e-4 * scale:
        point = solved
    elif slack @ duals > GAP * constant:
        raise ArithmeticError(f"the program was not solved: a gap of {slack @ duals:.1e} is left open")
    return point[: len(targets)]
