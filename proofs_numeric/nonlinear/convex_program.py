"""The convex program of a two-layer ReLU network on given inputs, solved in NumPy by an interior-point method.

It shares nothing with the certificate, which is made of the dual. Barriers for the cones lead near the optimum; Newton's
method on the neurons that are then found active ends there to rounding.
"""

import dataclasses
import itertools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.optimize import nnls

FIRST, LAST, FASTER = 1.0, 1e-14, 0.2
"""The weight of the barrier at the start and at the end, in units of the fit at zero, and the factor between weights."""
GAP = 1e-11
"""The solution is refused where more than this part of its value is not known to be the minimum's."""
SPANNED = 1e-9
"""Products of unit vectors of at most this size are zero."""
INNER = 60
"""The largest number of Newton steps for one weight."""


@dataclasses.dataclass(frozen=True)
class Fit:
    """A convex function of the N numbers that the network puts out: value, gradient, and the diagonal second derivative."""

    value: Callable[[np.ndarray], float]
    gradient: Callable[[np.ndarray], np.ndarray]
    curvature: Callable[[np.ndarray], np.ndarray]


class Solution(NamedTuple):
    """The optimum: its value, what the network puts out, the penalty, and the least distance of a neuron from a wall of its
    cone (1 where there is no neuron)."""

    value: float
    outputs: np.ndarray
    penalty: float
    distance: float


def squared_error(targets):
    """Return the mean of (z_i - y_i)^2 / 2."""
    count = len(targets)
    return Fit(
        lambda z: float(np.sum((z - targets) ** 2) / (2 * count)),
        lambda z: (z - targets) / count,
        lambda z: np.full(count, 1.0 / count),
    )


def logistic(signs):
    r"""Return the mean of $\log(1+e^{-\sqrt2s_iz_i})$: cross-entropy of two classes at logits $(z,-z)/\sqrt2$."""
    count, scale = len(signs), np.sqrt(2.0) * signs

    def against(z):
        """Compute the probability of the other class."""
        return np.exp(-np.logaddexp(0.0, scale * z))

    return Fit(
        lambda z: float(np.mean(np.logaddexp(0.0, -scale * z))),
        lambda z: -scale * against(z) / count,
        lambda z: 2.0 * against(z) * (1.0 - against(z)) / count,
    )


def largest_response(inputs, slope):
    r"""Compute $\max_{|w|\le1}|\sum_ig_i\max(\langle w,x_i\rangle,0)|$: above it the decay leaves no neuron.

    In a cone $\{Aw\ge0\}$ the sum is linear, $\langle c,w\rangle$, and at most $\min_{\mu\ge0}|c+A^\top\mu|$, by duality.
    """
    inputs = in_their_span(inputs)
    largest = 0.0
    for active in patterns(inputs)[0]:
        walls = (2 * active - 1) * inputs
        largest = max(largest, *(nnls(walls, sign * (inputs @ (active * slope)))[1] for sign in (1.0, -1.0)))
    return float(largest)


def in_their_span(inputs):
    """Return the inputs in coordinates of their span, which lengths and angles do not depend on."""
    left, values, _ = np.linalg.svd(inputs, full_matrices=False)
    return left[:, values > SPANNED * values[0]].T @ inputs


def patterns(inputs):
    """Compute the patterns D_s of the signs of <w, x_i>, for inputs that span their space, and a direction w within each.

    An edge of a cone is orthogonal to inputs of all dimensions but one; what it does not tell of the pattern is tried, and a
    pattern is one if the sum of the edges that agree with it lies within.
    """
    dim, count = inputs.shape
    unit = inputs / np.linalg.norm(inputs, axis=0)
    edges = []
    for some in itertools.combinations(range(count), dim - 1):
        _, values, rows = np.linalg.svd(unit[:, list(some)].T.reshape(dim - 1, dim))
        if dim == 1 or values[-1] > SPANNED:
            edges += [rows[-1], -rows[-1]]
    signs = np.array(edges) @ unit
    signs = np.where(np.abs(signs) > SPANNED, np.sign(signs), 0.0)
    tried = {tuple(known + spread) for known in signs for spread in _spreads(np.flatnonzero(known == 0), count)}
    found = []
    for pattern in sorted(tried, reverse=True):
        middle = np.sum(np.array(edges)[np.all(signs * pattern >= 0, axis=1)], axis=0)
        if np.linalg.norm(middle) > 0 and np.min(pattern * (middle @ unit)) > SPANNED * np.linalg.norm(middle):
            found.append((np.array(pattern) > 0, middle / np.linalg.norm(middle)))
    return np.array([one for one, _ in found], float), np.array([one for _, one in found])


def _spreads(places, count):
    """List all choices of signs at some places, and zero elsewhere."""
    for choice in itertools.product((1.0, -1.0), repeat=len(places)):
        spread = np.zeros(count)
        spread[places] = choice
        yield spread


def solve_program(inputs, fit, decay, cones=True, signs=(1.0, -1.0), squared=False):
    r"""Minimise $L(\sum_sD_sX^\top(u_s-v_s))+\lambda\sum_s(|u_s|+|v_s|)$ over $u_s,v_s$ in the cones of their patterns.

    Raises ArithmeticError where the gap to a bound from below is larger than `GAP`. Wrong programs are solved too: without
    `cones`, with neurons of one sign only, or with the squares of the norms.
    """
    inputs = in_their_span(inputs)
    active, middle = patterns(inputs)
    sign = np.repeat(np.asarray(signs), len(active))
    active, middle = np.tile(active, (len(signs), 1)), np.tile(middle, (len(signs), 1))
    unit = inputs / np.linalg.norm(inputs, axis=0, keepdims=True)
    effect = sign[:, None, None] * active[:, :, None] * inputs.T[None]
    walls = (2 * active - 1)[:, :, None] * unit.T[None] if cones else np.zeros((len(active), 0, len(inputs)))
    barrier = _Barrier(fit, sign, effect, walls, 2 * active - 1, decay, squared)
    size = fit.value(np.zeros(inputs.shape[1]))
    at = 1e-2 * size / (decay * len(middle)) * middle
    weight = FIRST * size / len(at)
    while weight > LAST * size / len(at):
        at, weight = barrier.centre(at, weight), FASTER * weight
    if squared or not cones:
        return barrier.outcome(at)
    # The neurons that a threshold on their size tells active, and one on their distance from a wall puts on it. Of outcomes
    # that are equal to rounding the first is taken, which is zero where that is one of them.
    found = [barrier.outcome(np.zeros_like(at))]
    found += [end for small in (1e-4, 1e-6, 1e-8) if (end := barrier.polished(at, small)) is not None]
    found.append(barrier.outcome(at))
    least = min(end.value for end in found)
    best = next(end for end in found if end.value <= least * (1 + 4e-16))
    # The gap is at most the penalty times the relative excess of the largest response to the fit's gradient.
    excess = max(largest_response(inputs, fit.gradient(best.outputs)) / decay - 1.0, 0.0)
    if len(signs) == 2 and excess * best.penalty > GAP * best.value:
        raise ArithmeticError(f"the convex program was not solved: a gap of {excess * best.penalty:.1e} is left open")
    return best


@dataclasses.dataclass(frozen=True)
class _Barrier:
    """The program with logarithms for its cones: neurons A x d of a sign each, their effect A x N x d, the walls of their
    cones A x N x d."""

    fit: Fit
    sign: np.ndarray
    effect: np.ndarray
    walls: np.ndarray
    side: np.ndarray
    decay: float
    squared: bool

    def outcome(self, neurons):
        """Compute what the neurons make."""
        reached = np.einsum("aid,ad->i", self.effect, neurons)
        norms = np.linalg.norm(neurons, axis=1)
        penalty = self.decay * float(np.sum(norms**2 if self.squared else norms))
        slack = np.einsum("aid,ad->ai", self.walls, neurons)[norms > 0] / norms[norms > 0, None]
        return Solution(self.fit.value(reached) + penalty, reached, penalty, float(np.min(slack, initial=1.0)))

    def value(self, at, weight):
        r"""Compute the fit, the norms as the logarithm smooths them, and the walls' logarithms; infinite outside.

        The cone $|v|\le t$ adds $-\mu\log(t^2-|v|^2)$; with the best $t=(\mu+r)/\lambda$, $r^2=\mu^2+\lambda^2|v|^2$, norms
        become $r-\mu\log(\mu+r)$ and a constant.
        """
        slack = np.einsum("aid,ad->ai", self.walls, at)
        if np.any(slack <= 0):
            return np.inf
        squares = np.sum(at**2, axis=1)
        root = np.sqrt(weight**2 + self.decay**2 * squares)
        paid = self.decay * squares if self.squared else root - weight * np.log(weight + root)
        reached = np.einsum("aid,ad->i", self.effect, at)
        return self.fit.value(reached) + np.sum(paid) - weight * np.sum(np.log(slack))

    def step(self, at, weight):
        """Compute Newton's step and its decrement."""
        count, dim = at.shape
        reached = np.einsum("aid,ad->i", self.effect, at)
        flat = np.moveaxis(self.effect, 1, 0).reshape(self.effect.shape[1], dim * count)
        hessian = (flat.T * self.fit.curvature(reached)) @ flat
        gradient = (flat.T @ self.fit.gradient(reached)).reshape(count, dim)
        if self.squared:
            gradient += 2 * self.decay * at
            own = np.broadcast_to(2 * self.decay * np.eye(dim), (count, dim, dim)).copy()
        else:
            # The smoothed norm has the gradient lambda v/t and the curvatures lambda/t across v and mu/r times that along it.
            squares = np.sum(at**2, axis=1)
            root = np.sqrt(weight**2 + self.decay**2 * squares)
            steep = self.decay**2 / (weight + root)
            gradient += steep[:, None] * at
            along = at[:, :, None] * at[:, None, :] / np.where(squares > 0, squares, 1.0)[:, None, None]
            own = steep[:, None, None] * (np.eye(dim)[None] - (1 - weight / root)[:, None, None] * along)
        slack = np.einsum("aid,ad->ai", self.walls, at)
        gradient -= weight * np.einsum("aid,ai->ad", self.walls, 1 / slack)
        own += weight * np.einsum("aid,aie,ai->ade", self.walls, self.walls, 1 / slack**2)
        for index in range(count):
            own_place = slice(dim * index, dim * (index + 1))
            hessian[own_place, own_place] += own[index]
        scale = 1.0 / np.sqrt(np.diagonal(hessian))
        unit, right = scale[:, None] * hessian * scale[None, :], scale * gradient.ravel()
        try:
            step = -scale * np.linalg.solve(unit, right)
        except np.linalg.LinAlgError:  # singular to the last bit
            step = -scale * np.linalg.lstsq(unit, right, rcond=0)[0]
        return step.reshape(count, dim), float(-gradient.ravel() @ step)

    def centre(self, at, weight):
        """Follow Newton's method to the minimiser for one weight."""
        for _ in range(INNER):
            step, decrement = self.step(at, weight)
            here, part = self.value(at, weight), 1.0
            while part > 1e-12 and not self.value(at + part * step, weight) <= here - 0.1 * part * decrement:
                part *= 0.5
            if part <= 1e-12 or decrement <= 1e-3 * weight:
                return at
            at = at + part * step
        return at

    def polished(self, neurons, small):
        """Solve for the active neurons, each in its cone or on walls of it; None where that does not lead to a point."""
        norms = np.linalg.norm(neurons, axis=1)
        # The face on which a neuron lies: the signs of its products with the inputs, 0 on a wall.
        faces = {}
        for index in np.flatnonzero(norms > small * np.max(norms)):
            slack = self.walls[index] @ neurons[index] / norms[index]
            on = slack <= small
            face = self.sign[index], *np.where(on, 0.0, self.side[index])
            before = faces[face][2] if face in faces else 0.0
            faces[face] = index, on, before + neurons[index]
        # One on the closure of the face of another of its sign is added to that: the sum has the same effect at no more cost.
        for face in sorted(faces, key=np.count_nonzero):
            for other in [one for one in faces if one != face and one[0] == face[0]]:
                if all(x in (0.0, y) for x, y in zip(face[1:], other[1:], strict=True)):
                    faces[other] = *faces[other][:2], faces[other][2] + faces[face][2]
                    del faces[face]
                    break
        bases = []
        for index, on, start in faces.values():
            walls = self.walls[index][on]
            basis = (
                np.linalg.svd(walls)[2][np.linalg.matrix_rank(walls, 1e-6) :].T if np.any(on) else np.eye(len(start))
            )
            if basis.shape[1] > 0:
                bases.append((index, basis, start))
        return self._newton(neurons, bases)

    def _newton(self, neurons, bases):
        """Minimise over neurons in the spans of these bases and in their cones, by damped Newton steps on the whole cost."""
        effect = np.concatenate([self.effect[index] @ basis for index, basis, _ in bases], axis=1)
        places = np.split(np.arange(effect.shape[1]), np.cumsum([basis.shape[1] for _, basis, _ in bases])[:-1])
        free = np.concatenate([basis.T @ start for _, basis, start in bases])

        def outcome(free):
            """Compute what these neurons make; of infinite value where one is outside its cone."""
            ends = np.zeros_like(neurons)
            for (index, basis, _), place in zip(bases, places, strict=True):
                ends[index] += basis @ free[place]
            slack = np.einsum("aid,ad->ai", self.walls, ends)
            fine = np.all(np.isfinite(free)) and np.min(slack) >= -1e-15 * np.max(np.abs(ends))
            return self.outcome(ends) if fine else self.outcome(ends)._replace(value=np.inf)

        at = outcome(free)
        for _ in range(40):
            gradient = effect.T @ self.fit.gradient(effect @ free)
            hessian = (effect.T * self.fit.curvature(effect @ free)) @ effect
            for place in places:
                norm = np.linalg.norm(free[place])
                head = free[place] / norm
                gradient[place] += self.decay * head
                hessian[np.ix_(place, place)] += self.decay * (np.eye(len(place)) - np.outer(head, head)) / norm
            step, part = np.linalg.lstsq(hessian, gradient, rcond=1e-14)[0], 1.0
            while part > 1e-6 and not outcome(free - part * step).value <= at.value * (1 + 4e-16):
                part *= 0.5
            if part <= 1e-6:
                break
            free = free - part * step
            at = outcome(free)
        return at if np.isfinite(at.value) else None
