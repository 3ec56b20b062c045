r"""Squared error, deep linear, d < K with a tie at the rank cut: a family of minimisers.

Squared error, a linear chain narrower than the number of classes, with equal classes at the rank cut.

Theorem:
    For the chain of `dang-mse-imb` with a width $d<K$ and $n_d=n_{d+1}$ (sizes falling) the value and
    the singular values of every factor at a global minimiser are those with any $d$ largest classes on. The class-mean
    logits are diagonal outside the block $B$ of the $m$ classes of size $n_d$, where $B=\frac{x^M}{1+x^M}P$ with any
    orthogonal projector $P$ of rank $r=d-\#\{n_k>n_d\}$ on $R^m$, $x=0$ beyond the onset.
Hypotheses:
    - squared error, free features, M = 1, 2, ... weight layers
    - all decays > 0
    - no bias
    - a least width d < K and n_d = n_{d+1}
    - no strength b equal to the onset
Notation:
    As in dang-mse-imb.
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
# (widths, counts): the cut at the smallest width falls between classes of equal size; with three layers there is a larger one.
ONE = (((2, 4), (4, 2, 2, 1)), ((1, 2), (1, 1)), ((3, 5), (2, 2, 2, 2, 1)))
TWO = (((2, 3, 4), (4, 2, 2, 1)), ((3, 3, 4), (2, 2, 2, 2)), ((1, 2, 2), (3, 3)))
THREE = (((3, 2, 3, 3), (3, 1, 1)), ((4, 2, 3, 3), (3, 2, 2)), ((2, 2, 4, 4), (5, 3, 3, 3)))


class Cut(NamedTuple):
    """What stays determined when the minimisers form a family."""

    value: jax.Array
    layer_singular_values: jax.Array
    block: jax.Array
    """tr B, tr B^2 and |B - B^T|^2 of the block B of class-mean logits between the tied classes."""
    outside: jax.Array
    """Class-mean logits with that block set to zero."""


def draw_instances(key):
    """For M = 1, 2, 3: weak and moderate decay, and close to the onset of the tied classes on either side."""
    rng = nct.theorems.numpy_rng(key)
    drawn = []
    for widths, counts in (*pick(rng, ONE), *pick(rng, TWO), *pick(rng, THREE)):
        for relative in drawn_strengths(rng, len(widths) - 1):
            drawn.append(chain_instance(rng, widths, counts, min(widths) - 1, relative))
    return drawn


def tie_at_the_cut(instance):
    """Whether the first direction that does not fit through the narrowest layer is as strong as the last that does."""
    sigma, narrow = strengths(instance.problem)[1], min(instance.problem.widths)
    return len(sigma) > narrow and bool(abs(sigma[narrow] - sigma[narrow - 1]) <= DISTINCT * sigma[0])


def tied(problem):
    """Indices of the classes that tie at the cut."""
    counts = np.asarray(problem.counts)
    cut = np.sort(counts)[::-1][min(problem.widths) - 1]
    return np.flatnonzero(counts == cut)


def larger_classes(instance):
    """Whether some class is larger than those that tie, and so has a direction of its own."""
    counts = np.asarray(instance.problem.counts)
    return bool(np.max(counts) > counts[tied(instance.problem)[0]])


def class_means(problem, params):
    """Class-mean logits, K x K."""
    counts = np.asarray(problem.counts)
    member = np.eye(len(counts))[np.repeat(np.arange(len(counts)), counts)] / counts[None, :]
    return problem.logits(params) @ jnp.asarray(member)


def block(problem, params):
    """tr B, tr B^2 and |B - B^T|^2."""
    at = tied(problem)
    b = class_means(problem, params)[at][:, at]
    return jnp.stack([jnp.trace(b), jnp.trace(b @ b), jnp.sum((b - b.T) ** 2)])


def outside(problem, params):
    """Class-mean logits with the block of the tied classes set to zero."""
    at = tied(problem)
    return class_means(problem, params).at[at[:, None], at[None, :]].set(0.0)


def block_size(problem, params):
    """|B|^2 and more: the squared norm of all class-mean logits, which the entries of `block` are at most of the order of."""
    return jnp.sum(class_means(problem, params) ** 2)


def outside_size(problem, params):
    """Norm of the class-mean logits, the block included."""
    return jnp.linalg.norm(class_means(problem, params))


def block_norm(problem, params):
    """|B|, zero from the onset of the tied classes on."""
    at = tied(problem)
    return jnp.linalg.norm(class_means(problem, params)[at][:, at])


def onset_claim(predicted):
    """The claim that the tied classes are on exactly below a predicted strength."""
    return nct.Threshold("onset", r"B\ne0\iff b<(M-1)^{(M-1)/M}/M", at_strength, block_norm, predicted, far_around)


def onset_of(cut, factor=1.0):
    """The predicted onset for the depth of a prediction."""
    return factor * nct.closed_form.onset(len(cut.layer_singular_values) - 1)


def predict_with(rule="cut"):
    """The theorem, or a wrong rule for the tied block: "diagonal average" or "no cut"."""

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
        square = kept * each**2 if rule != "diagonal average" else kept**2 * each**2 / len(at)
        corner = jnp.stack([kept * each, square, jnp.zeros(())])
        rest = jnp.diag(jnp.where(jnp.asarray(above), scale, 0.0))
        return Cut(jnp.asarray(value), jnp.asarray(minimum.layer_singular_values), corner, rest)

    return predict


def off_by(relative):
    """The theorem with all its numbers larger by a relative error."""
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
                predict_with("diagonal average"),
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
