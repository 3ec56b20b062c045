"""How far a trained network's head is from the best that free features could do, with a certificate."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nctheory.certificates import certify_many
from nctheory.closed_form import NoClosedForm, global_minimum
from nctheory.engine import Array, Scalar, float64, is_finite, shown, unshared_factorisations, untraced, when_forgotten
from nctheory.flow import solve_many
from nctheory.measures import read_head
from nctheory.problems import (
    ChainParams,
    DeepLinear,
    Loss,
    class_mean_chain,
    reduce_to_class_means,
    unconstrained_features,
)

SEEDS = 8
"""The random starts from which the minimum is sought where no theorem gives it (conventional)."""
POINTS, ROUNDS = 13, 6
"""The multipliers tried at once, and how often the grid is refined around the best: each round narrows it six times."""
DECADES = 12.0
"""The first grid of multipliers spans this many decades, around fit over budget."""


@shown()
class PeeledGap(NamedTuple):
    r"""A network's head (W, b, features H of N samples) against the unconstrained-feature model at its own norms.

    The model's objective is $F=\frac1N\sum_i\ell(Wh_i+b,y_i)+\frac{\lambda_W}2|W|_F^2+\frac{\lambda_H}2|H|_F^2
    (+\frac{\lambda_b}2|b|^2)$ with H free. Without a weight decay what it enters is NaN.
    """

    fit: float
    """The mean loss of the network."""
    budget: float
    r"""$\rho=|W|_F|H|_F$, which is at least the nuclear norm of WH."""
    weight_decay: tuple[float, float]
    r"""$(\lambda_W,\lambda_H)$; by default $\lambda_H=\lambda_W|W|_F^2/|H|_F^2$: then both penalties are equal."""
    value: float
    """F at the network."""
    minimum: float
    """The least value of F that is known: of a theorem, or the lowest that was found."""
    theorem: str | None
    """The theorem that gives `minimum`, or None where it was found by solving."""
    lower_bound: float
    """A certified lower bound of F; -inf where there is no certificate."""
    gap: float
    """(value - lower_bound) / value: the network is certified to be within this fraction of the least value."""
    efficiency: float
    r"""A certified lower bound on $\rho^*/\rho$, where $\rho^*$ is the least nuclear norm at which the fit of the network is
    reached; attained up to the certificate's own gap. NaN where there is no certificate."""
    reason: str | None
    """Why there is no certificate, or None."""

    @property
    def gap_to_minimum(self) -> float:
        """(value - minimum) / value."""
        return float((self.value - self.minimum) / self.value) if self.value != 0 else 0.0


@untraced("`nctheory.certificates.lower_bound` can be traced")
def peeled_gap(
    features: Any,
    labels: Any,
    weights: Any,
    bias: Any = None,
    *,
    loss: str | Loss,
    weight_decay: float | None = None,
    feature_decay: float | None = None,
    bias_decay: float | None = None,
) -> PeeledGap:
    r"""Compare a network's head with the global minimum of the unconstrained-feature model, and certify the distance.

    Every network is a point of the model whose features happen to be the network's: $|Z|_*\le|W|_F|H|_F$ for the logits
    $Z=WH$ less the bias, so that the model's minimum is a lower bound. `features` are N x d, samples first, `labels` N whole
    numbers, `weights` K x d, `bias` K numbers or None; `weight_decay` is $\lambda_W$ in $\frac{\lambda_W}2|W|_F^2$ (what
    optimisers call weight decay, where it is coupled), `bias_decay` 0 for a bias without decay. The lower bound is that of
    `certify` at the minimiser of the model, not at the network, whose own dual point is poor; the minimiser is taken from a
    theorem (`global_minimum`) or, where none applies, from random starts. It rests on no theorem's formula.

    The efficiency needs no decay: for every multiplier $\lambda>0$ the least nuclear norm at which a fit f is reached is at
    least $(v(\lambda)-f)/\lambda$, with v the minimum at $\lambda_W=\lambda_H=\lambda$, whose certified bound stands in its
    place; the best multiplier is sought.

    Raises ValueError, naming the argument, for shapes that do not fit, numbers that are not finite, labels out of range, or a
    negative decay. (Nuclear norm: Haeffele and Vidal 2015, number unchecked; the efficiency is our own.)

    >>> import numpy as np, nctheory as nct
    >>> model = nct.unconstrained_features(counts=(5,) * 4, dim=6, loss="cross_entropy", weight_decay=(5e-3, 5e-3))
    >>> end = nct.solve(model, seeds=1).params
    >>> head = end.features[0].T, np.repeat(np.arange(4), 5), end.weights[0][0]
    >>> best = peeled_gap(*head, loss="cross_entropy", weight_decay=5e-3)
    >>> bool(abs(best.gap) < 1e-9), round(best.efficiency, 4), best.theorem
    (True, 1.0, 'ufm-ce-balanced')
    >>> noise = np.random.default_rng(0).normal(size=head[2].shape)
    >>> rough = peeled_gap(head[0], head[1], head[2] + 0.3 * noise, loss="cross_entropy", weight_decay=5e-3)
    >>> round(rough.gap, 3), round(rough.efficiency, 3)
    (0.037, 0.957)
    """
    x, y, w, b = read_head(features, labels, weights, bias)
    for name, number in (("weight_decay", weight_decay), ("feature_decay", feature_decay), ("bias_decay", bias_decay)):
        if number is not None and not (is_finite(number) and number >= 0 and (number > 0 or name == "bias_decay")):
            raise ValueError(f"{name}: expected a finite positive number, got {number!r}")
    if feature_decay is not None and weight_decay is None:
        raise ValueError("feature_decay: expected weight_decay with it, got none")
    if bias_decay is not None and b is None:
        raise ValueError("bias_decay: expected a bias with it, got none")
    return _compared(x, y, w, b, loss, weight_decay, feature_decay, bias_decay)


@float64
def _compared(
    x: np.ndarray, y: np.ndarray, w: np.ndarray, b: np.ndarray | None, loss: str | Loss,
    weight_decay: float | None, feature_decay: float | None, bias_decay: float | None,
) -> PeeledGap:  # fmt: skip
    """The comparison, of checked arrays."""
    counts = tuple(np.bincount(y, minlength=len(w)).tolist())
    model = _Model(counts, min(x.shape[1], len(w)), loss, None if b is None else 0.0)
    logits = w @ x.T + (0.0 if b is None else b[:, None])
    member = model.at(1.0, 1.0)
    fit = float(jnp.mean(member.loss.value(jnp.asarray(logits), jnp.asarray(member.targets)[:, y])))
    weight_norm, feature_norm = float(np.sum(w**2)), float(np.sum(x**2))
    budget = float(np.sqrt(weight_norm * feature_norm))
    efficiency, reason = _efficiency(model, fit, budget)
    if weight_decay is None:
        nan = float("nan")
        return PeeledGap(fit, budget, (nan, nan), nan, nan, None, nan, nan, efficiency, reason)
    if feature_decay is None:
        # At zero features any decay is as good; that of the weights has the right unit at least.
        feature_decay = (
            weight_decay * weight_norm / feature_norm if feature_norm > 0 and weight_norm > 0 else weight_decay
        )
    kept = None if b is None else (0.0 if bias_decay is None else bias_decay)
    penalty = 0.0 if b is None else 0.5 * (kept or 0.0) * float(np.sum(b**2))
    value = fit + 0.5 * weight_decay * weight_norm + 0.5 * feature_decay * feature_norm + penalty
    # The same model, and so the same program, unless the bias is decayed.
    decayed = model if kept == model.bias else dataclasses.replace(model, bias=kept)
    found = _minima(decayed, np.array([[weight_decay, feature_decay]]))
    lower = float(found.lower[0])
    gap = (value - lower) / value if value > 0 else 0.0
    return PeeledGap(
        fit, budget, (float(weight_decay), float(feature_decay)), value, float(found.value[0]), found.theorem, lower,
        float(gap), efficiency, found.reason,
    )  # fmt: skip


@dataclasses.dataclass(frozen=True)
class _Model:
    """The unconstrained-feature model with these class counts, in reduced form: one column a class."""

    counts: tuple[int, ...]
    dim: int
    loss: str | Loss
    bias: float | None

    def at(self, weight_decay: Scalar, feature_decay: Scalar) -> DeepLinear:
        """The model with these decays."""
        decay = (weight_decay, feature_decay)
        if isinstance(self.loss, Loss) and self.loss.has_profile and not self.loss.has_conjugate:
            # Its certificate is of whole counts.
            full = unconstrained_features(
                counts=self.counts, dim=self.dim, loss=self.loss, weight_decay=decay, bias=self.bias
            )
            return reduce_to_class_means(full)
        widths = (self.dim, len(self.counts))
        means = class_mean_chain(sizes=self.counts, widths=widths, loss=self.loss, weight_decay=decay, bias=self.bias)
        return dataclasses.replace(means, counts=self.counts)

    def predicted(self, decays: Array) -> tuple[Array, ...]:
        """Value, product and, where there is one, bias of the theorem's minimiser at each row of decays, by one program."""
        try:
            return _program(self)(decays)
        except TypeError:  # a loss that cannot be hashed has no program that is kept
            return _program.__wrapped__(self)(decays)


@functools.lru_cache(maxsize=16)
def _program(model: _Model) -> Callable[[Array], tuple[Array, ...]]:
    def one(pair: Array) -> tuple[Array, ...]:
        found = global_minimum(model.at(pair[0], pair[1]))
        return tuple(jnp.asarray(part) for part in (found.value, found.product, found.bias) if part is not None)

    return jax.jit(unshared_factorisations(jax.vmap(one)))


when_forgotten(_program.cache_clear)


class _Minima(NamedTuple):
    """Of several members: the least value known, its certified bound, and whose they are."""

    value: np.ndarray
    lower: np.ndarray
    theorem: str | None
    reason: str | None


def _minima(model: _Model, decays: np.ndarray) -> _Minima:
    """The minimum at each pair of decays, from a theorem or from random starts, and the bound that `certify` gives there."""
    members = [model.at(*pair) for pair in decays]
    try:
        theorem = global_minimum(members[0]).theorem
    except NoClosedForm:
        theorem = None
        ends = solve_many(members, seeds=SEEDS)
        best = np.argmin(np.where(ends.converged, ends.value, np.inf), axis=1)
        rows = np.arange(len(members))
        # The bound holds at any point; a value is known only where some seed converged.
        value = np.where(ends.converged.any(axis=1), ends.value[rows, best], np.nan)
        params = jax.tree.map(lambda leaf: leaf[rows, best][:, None], ends.params)
    else:
        value, product, *offset = map(np.asarray, model.predicted(jnp.asarray(decays)))
        points = [_factors(*one) for one in zip(members, product, *offset, strict=True)]
        params = jax.tree.map(lambda *leaves: np.stack(leaves)[:, None], *points)
    bound = certify_many(members, params)
    return _Minima(value, bound.lower_bound[:, 0], theorem, None if np.all(bound.valid) else bound.reason)


def _factors(problem: DeepLinear, product: np.ndarray, bias: np.ndarray | None = None) -> ChainParams:
    """The balanced factors of a product: those of least penalty."""
    root = np.sqrt(np.asarray(problem.multiplicity))
    left, singular, right = np.linalg.svd(product * root, full_matrices=False)
    rank = problem.widths[0]
    scale = np.sqrt(singular[:rank])
    turn = (float(problem.weight_decay[1]) / float(problem.weight_decay[0])) ** 0.25
    return ChainParams(
        (left[:, :rank] * (turn * scale),),
        (scale[:, None] * right[:rank]) / (turn * root),
        bias,
    )


def _efficiency(model: _Model, fit: float, budget: float) -> tuple[float, str | None]:
    r"""The best $(v(\lambda)-f)/(\lambda\rho)$ over multipliers, by a grid that is refined around its best."""
    if budget == 0.0:
        return (1.0, None)  # zero features or weights: nothing is spent
    middle, width = np.log(max(fit, np.finfo(float).tiny) / budget), 0.5 * DECADES * np.log(10.0)
    best = 0.0
    for _ in range(ROUNDS):
        multipliers = np.exp(middle + np.linspace(-width, width, POINTS))
        found = _minima(model, np.stack([multipliers, multipliers], axis=1))
        if found.reason is not None:
            return float("nan"), found.reason
        reached = (found.lower - fit) / (multipliers * budget)
        top = int(np.argmax(reached))
        best = max(best, float(reached[top]))
        middle, width = np.log(multipliers[top]), 2.0 * width / (POINTS - 1)
    return best, None
