"""Bias-free cross-entropy with class counts of any kind: the minimum from the grouped convex program."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from nctheory.closed_form._decays import root_of_product
from nctheory.closed_form._grouped import Grouped, grouped_cross_entropy
from nctheory.closed_form._minimum import Minimum, NoClosedForm, closed_form
from nctheory.closed_form._product import minimum_from_product
from nctheory.closed_form._require import require
from nctheory.closed_form._thresholds import MAX_RELATIVE_GAP
from nctheory.engine import Array, Scalar, float64
from nctheory.problems import DeepLinear

MAX_GROUPS = 16
"""Different counts up to which the grouped program is solved; its Newton matrices grow with the square of their number."""


def count_groups(counts: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Sizes K_g and counts n_g of the groups of classes of equal count, the largest count first.

    >>> count_groups((2, 6, 6, 2, 2))
    ((2, 3), (6, 2))
    """
    values, sizes = np.unique(np.asarray(counts), return_counts=True)
    return tuple(sizes[::-1].tolist()), tuple(values[::-1].tolist())


def _counts(problem: DeepLinear) -> tuple[int, ...]:
    """The counts, after checking all hypotheses; NoClosedForm names the one that fails."""
    require(
        problem, loss="cross_entropy", inputs="free", depth=1, labels=True, bias="none", classes=2,
        width=(problem.classes - 1, "K-1"), decay="positive",
    )  # fmt: skip
    assert problem.counts is not None
    groups = len(set(problem.counts))
    if groups > MAX_GROUPS:
        raise NoClosedForm(f"needs at most {MAX_GROUPS} different counts, got {groups}")
    return problem.counts


def _solved(found: Grouped) -> bool:
    try:
        return float(found.value - found.lower_bound) <= MAX_RELATIVE_GAP * float(found.value)
    except TypeError:  # a tracer: the check is the caller's
        return True


@partial(jax.jit, static_argnames=("counts", "reduced"))
def _as_columns(found: Grouped, counts: tuple[int, ...], reduced: bool) -> Array:
    """The logits with classes in the problem's order, on its columns."""
    sizes, values = count_groups(counts)
    # The groups list classes by falling count; `place` takes them back to the problem's order.
    order = np.concatenate([np.flatnonzero(np.asarray(counts) == value) for value in values])
    place = np.argsort(order)
    means = jnp.asarray(found.logits(sizes))[place][:, place]
    return means if reduced else means[:, np.repeat(np.arange(len(counts)), counts)]


def decay_strength(problem: DeepLinear) -> Scalar:
    r"""$\lambda=\sqrt{\lambda_W\lambda_H}$, the weight of the nuclear norm of W H in a two-factor chain.

    >>> import nctheory as nct
    >>> model = nct.unconstrained_features(counts=(3, 1), dim=2, loss="mse", weight_decay=(0.2, 0.05))
    >>> round(float(decay_strength(model)), 12)
    0.1
    """
    with jax.enable_x64(True):
        decay = jnp.asarray(problem.weight_decay)
        return root_of_product(decay)


@float64
@closed_form("hong-ling-ce", generality=1)
def imbalanced_cross_entropy_minimum(problem: DeepLinear) -> Minimum:
    r"""Cross-entropy without a bias, any counts: $\bar Z$ constant on the blocks of classes of equal counts but for its
    diagonal, from `grouped_cross_entropy`.

    With $\lambda=\sqrt{\lambda_W\lambda_H}$ and p the probabilities on class g, $p_{own}-p_{other}=(1-N\lambda/\sqrt{n_g})_+$
    inside a group; the minimiser is zero altogether from $N\lambda=|(11^\top/K-I)D^{1/2}|_2$ on. The width must be d >= K-1.

    Hong and Ling, JMLR 2024 (number unchecked), for NC1, the block structure and the threshold of two groups; the formulas
    and the solution of the program are our own.

    Raises NoClosedForm, with the hypothesis that fails, for another problem.

    >>> import nctheory as nct
    >>> model = nct.unconstrained_features(counts=(6, 6, 2, 2), dim=4, loss="cross_entropy", weight_decay=(0.1, 0.1))
    >>> minimum = imbalanced_cross_entropy_minimum(model)
    >>> bool(abs(minimum.logits[:, -1] - minimum.logits[:, -3]).max() < 1e-12)  # minority collapse
    True
    """
    # Classes of equal counts are grouped, the program is solved, and its answer is taken only with a closed duality gap.
    counts = _counts(problem)
    sizes, values = count_groups(counts)
    found = grouped_cross_entropy(sizes, [float(n) for n in values], decay_strength(problem))
    if not _solved(found):
        gap = float(found.value - found.lower_bound)
        raise NoClosedForm(
            f"the grouped program was not solved: duality gap {gap:.3g} at value {float(found.value):.6g}"
        )
    product = _as_columns(found, counts, problem.reduced_form)
    return minimum_from_product(problem, product, found.value, None, "hong-ling-ce")
