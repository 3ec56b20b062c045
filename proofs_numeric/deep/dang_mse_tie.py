r"""Squared error, deep linear, d < K with a tie at the rank cut: a family of minimisers.

A chain with a layer narrower than the number K of classes can learn only so many directions, and takes those of the
largest classes. If the cut falls between classes of equal size, the theorem on imbalanced classes no longer says which
of them are learned. The answer is: none in particular. The tied classes share what room is left in any orientation, so
that the minimisers form a continuous family; the value and the singular values are the same in all of it.

Problem:
    $\min\frac1{2N}|W_M\cdots W_1H-Y|_F^2+\sum_l\frac{\lambda_l}2|W_l|_F^2+\frac{\lambda_H}2|H|_F^2$ over
    $W_l\in\mathbb R^{d_l\times d_{l-1}}$ with $d_M=K$ and the features $H\in\mathbb R^{d_0\times N}$ of $N=\sum_kn_k$
    samples with one-hot labels Y, where the least of the widths $d_0,\dots,d_{M-1}$ is $d<K$.
Theorem (Dang et al. 2023, number unchecked; the family at a tie is our own):
    For the chain of `dang-mse-imb` with a width $d<K$ and $n_d=n_{d+1}$ (sizes falling) the value and the singular
    values of every factor at a global minimiser are those with any $d$ largest classes on. The class-mean logits are
    diagonal outside the block $B$ of the $m$ classes of size $n_d$, where $B=\frac{x^M}{1+x^M}P$ with any orthogonal
    projector $P$ of rank $r=d-\#\{n_k>n_d\}$ on $R^m$, $x=0$ beyond the onset.
Hypotheses:
    - squared error, free features, M = 1, 2, ... weight layers
    - all decays > 0
    - no bias
    - a least width d < K and n_d = n_{d+1}
    - no strength b equal to the onset
Notation:
    As in dang-mse-imb.
Why:
    As for `dang-mse-imb`, f is at least a sum of scalar problems in the singular values $s_i$ of the product Z, of
    which at most d are positive. A class gains the more the larger it is, so that all classes larger than $n_d$ are on
    (if they are on without the cut), and r of the m tied ones, with equal $s=\frac{x^M}{1+x^M}\sqrt{n_d}$. Equality in
    von Neumann's inequality holds iff Z and Y have a singular value decomposition in common, in which the values of
    both fall. The left singular vectors of Y for $\sqrt{n_d}$ are any orthonormal basis of the span of the m coordinate
    vectors of the tied classes, and each right one is $Y^\top u/\sqrt{n_d}$ of its left one u. With r of these u Z is
    there $\frac{s}{\sqrt{n_d}}\sum uu^\top Y=\frac{x^M}{1+x^M}PY$, where P projects on their span, which is any of
    dimension r; and the class means of Y are I. Every choice is attained by balanced factors, of which value and
    singular values do not depend on P.
Checked:
    Random starts are followed along the gradient flow to their ends. The sum of scalar problems, minimised numerically
    and without the roots, bounds the minimum from below, and the value must lie in the interval so certified. At the
    certified ends, which differ from start to start, the singular values of every factor are compared, the trace, the
    trace of the square and the asymmetry of the block of the tied classes, and the class-mean logits outside it; at all
    converged ends the balance of neighbouring factors. All these are sampled: no certificate excludes minimisers of
    another kind. The onset of the tied classes is located by bisection in their strength between certified ends.
Refuted by:
    One certified end at which any of these differs by more than its tolerance, or an onset outside its last bracket.
    The same check must refute a block in which the tied classes share the room evenly, one in which all of them are on
    whatever the width, one in which none is, numbers off by 1e-6, and an onset 0.1 % too late.
Example:
    Two classes of equal size and a layer of width 1: the value and the trace of the block at the ends of four random
    starts are those of the theorem, and the height of the first class is another one at each.

    >>> problem = nct.deep_linear(widths=(1, 2, 2), counts=(3, 3), loss="mse", weight_decay=(0.03, 0.03, 0.03))
    >>> cut, ends = predict_with()(problem), nct.solve(problem, seeds=4, scale=1.5, light=True)
    >>> blocks = jax.vmap(lambda params: class_means(problem, params))(ends.params)
    >>> [round(float(value), 4) for value in (cut.value, *ends.value)]
    [0.313, 0.313, 0.313, 0.313, 0.313]
    >>> [round(float(trace), 4) for trace in (cut.block[0], *jnp.trace(blocks, axis1=1, axis2=2))]
    [0.9107, 0.9107, 0.9107, 0.9107, 0.9107]
    >>> len({round(float(height), 3) for height in blocks[:, 0, 0]})
    4
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import nctheory as nct
from proofs_numeric.bibliography import DANG_2023
from proofs_numeric.deep.chains import (
    MSE_CHAIN,
    OFF_THE_ONSET,
    POSITIVE,
    chain_instance,
    drawn_strengths,
    strengths,
)
from proofs_numeric.deep.onset import at_strength, far_around
from proofs_numeric.hypotheses import NO_BIAS
from proofs_numeric.pool import pick
from proofs_numeric.thresholds import DISTINCT

ID = "dang-mse-tie"
# A shape is (widths, counts). The cut at the smallest width falls between classes of equal size; with three weight layers
# some class is larger.
ONE_LAYER = (((2, 4), (4, 2, 2, 1)), ((1, 2), (1, 1)), ((3, 5), (2, 2, 2, 2, 1)))
TWO_LAYERS = (((2, 3, 4), (4, 2, 2, 1)), ((3, 3, 4), (2, 2, 2, 2)), ((1, 2, 2), (3, 3)))
THREE_LAYERS = (((3, 2, 3, 3), (3, 1, 1)), ((4, 2, 3, 3), (3, 2, 2)), ((2, 2, 4, 4), (5, 3, 3, 3)))


class Cut(NamedTuple):
    """What stays determined when the minimisers form a family."""

    value: jax.Array
    layer_singular_values: jax.Array
    block: jax.Array
    """tr B, tr B^2 and |B - B^T|^2 of the block B of class-mean logits between the tied classes."""
    outside: jax.Array
    """Class-mean logits with that block set to zero."""


def draw_instances(key):
    """Draw chains with M = 1, 2, 3: weak and moderate decay, and close to the onset of the tied classes on either side."""
    rng = nct.theorems.numpy_rng(key)
    drawn = []
    for widths, counts in (*pick(rng, ONE_LAYER), *pick(rng, TWO_LAYERS), *pick(rng, THREE_LAYERS)):
        for relative in drawn_strengths(rng, len(widths) - 1):
            drawn.append(chain_instance(rng, widths, counts, min(widths) - 1, relative))
    return drawn


def tie_at_the_cut(instance):
    """Tell whether the first direction that does not fit through the narrowest layer is as strong as the last that does."""
    sigma, narrow = strengths(instance.problem)[1], min(instance.problem.widths)
    return len(sigma) > narrow and bool(abs(sigma[narrow] - sigma[narrow - 1]) <= DISTINCT * sigma[0])


def tied(problem):
    """Return the indices of the classes that tie at the cut."""
    counts = np.asarray(problem.counts)
    cut = np.sort(counts)[::-1][min(problem.widths) - 1]
    return np.flatnonzero(counts == cut)


def larger_classes(instance):
    """Tell whether some class is larger than those that tie, and so has a direction of its own."""
    counts = np.asarray(instance.problem.counts)
    return bool(np.max(counts) > counts[tied(instance.problem)[0]])


def class_means(problem, params):
    """Return the class-mean logits, K x K."""
    counts = np.asarray(problem.counts)
    member = np.eye(len(counts))[np.repeat(np.arange(len(counts)), counts)] / counts[None, :]
    return problem.logits(params) @ jnp.asarray(member)


def block(problem, params):
    """Return tr B, tr B^2 and |B - B^T|^2."""
    at = tied(problem)
    b = class_means(problem, params)[at][:, at]
    return jnp.stack([jnp.trace(b), jnp.trace(b @ b), jnp.sum((b - b.T) ** 2)])


def outside(problem, params):
    """Return the class-mean logits with the block of the tied classes set to zero."""
    at = tied(problem)
    return class_means(problem, params).at[at[:, None], at[None, :]].set(0.0)


def block_size(problem, params):
    """Return the squared norm of all class-mean logits, of whose order the entries of `block` are at most."""
    return jnp.sum(class_means(problem, params) ** 2)


def outside_size(problem, params):
    """Return the norm of the class-mean logits, the block included."""
    return jnp.linalg.norm(class_means(problem, params))


def block_norm(problem, params):
    """Return |B|, which is zero from the onset of the tied classes on."""
    at = tied(problem)
    return jnp.linalg.norm(class_means(problem, params)[at][:, at])


def onset_claim(predicted):
    """Claim that the tied classes are on exactly below a predicted strength."""
    return nct.Threshold("onset", r"B\ne0\iff b<(M-1)^{(M-1)/M}/M", at_strength, block_norm, predicted, far_around)


def onset_of(cut, factor=1.0):
    """Return the onset for the depth of a prediction, `factor` times as large."""
    return factor * nct.closed_form.onset(len(cut.layer_singular_values) - 1)


def predict_with(rule="cut"):
    """State the theorem, or a wrong `rule` for the tied block: "evenly shared" or "no cut"."""

    def predict(problem):
        counts, depth = np.asarray(problem.counts, dtype=float), problem.depth
        samples, at = counts.sum(), tied(problem)
        joint = (samples * jnp.prod(jnp.asarray(problem.weight_decay))) ** (1 / depth)
        strength = depth * samples * joint / jnp.asarray(counts)
        root = nct.closed_form.largest_root(strength, depth)
        cost = jnp.where(root > 0, nct.closed_form.relative_cost(root, strength, depth), 1.0)
        on = cost < 1.0
        above = counts > counts[at[0]]
        left = min(problem.widths) - int(above.sum())
        kept = len(at) if rule == "no cut" else left
        chosen = above | np.isin(np.arange(len(counts)), at[:kept])
        scale = jnp.where(on & chosen, root**depth / (1 + root**depth), 0.0)
        value = jnp.sum(counts / (2 * samples) * jnp.where(on & chosen, cost, 1.0))
        minimum = nct.closed_form.minimum_from_product(problem, scale[:, None] * problem.targets, value, None, ID)
        each = scale[at[0]]
        square = kept * each**2 if rule != "evenly shared" else kept**2 * each**2 / len(at)
        corner = jnp.stack([kept * each, square, jnp.zeros(())])
        rest = jnp.diag(jnp.where(jnp.asarray(above), scale, 0.0))
        return Cut(jnp.asarray(value), jnp.asarray(minimum.layer_singular_values), corner, rest)

    return predict


def off_by(relative):
    """State the theorem with all its numbers larger by a relative error."""
    return lambda problem: jax.tree.map(lambda x: (1.0 + relative) * x, predict_with()(problem))


CLAIMS = {claim.name: claim for claim in nct.theorems.chain_claims()}

THEOREM = nct.register(
    nct.Theorem(
        id=ID,
        docstring=__doc__,
        hypotheses=(
            MSE_CHAIN,
            POSITIVE,
            NO_BIAS,
            tie_at_the_cut,
            OFF_THE_ONSET,
        ),
        sources=(DANG_2023.remark("Covers d < K; the family at a tie is our own observation."),),
        instances=draw_instances,
        predict=predict_with(),
        claims=(
            CLAIMS["value"],
            CLAIMS["layer_spectra"],
            nct.Equality(
                "tied block",
                r"\mathrm{tr}B,\ \mathrm{tr}B^2,\ |B-B^\top|^2",
                block,
                lambda c: c.block,
                size=block_size,
            ),
            nct.Equality(
                "outside",
                r"\bar Z-B",
                outside,
                lambda c: c.outside,
                size=outside_size,
                applies=larger_classes,
            ),
            CLAIMS["balance"],
            onset_claim(onset_of),
        ),
        controls=(
            nct.Control(
                "evenly shared",
                "the tied classes share the remaining rank evenly: B a multiple of I",
                predict_with("evenly shared"),
                claims=("tied block",),
            ),
            nct.Control(
                "1e-6 off",
                "all numbers larger by a relative 1e-6",
                off_by(1e-6),
                claims=("value", "layer_spectra", "tied block", "outside"),
            ),
            nct.Control("onset at 1.001", "larger by 1e-3", versions=(onset_claim(lambda c: onset_of(c, 1.001)),)),
            nct.theorems.balance_control(),
            nct.Control("no cut", "all tied classes on, whatever the width", predict_with("no cut")),
            nct.Control(
                "one direction less",
                "none of the tied classes on",
                lambda problem: predict_with()(problem)._replace(block=jnp.zeros(3)),
                claims=("tied block",),
            ),
        ),
        several_basins=True,
    )
)

if __name__ == "__main__":
    nct.show(nct.verify(THEOREM))
