r"""The sigmoid loss of pairs: aligned, apart, or opposite, by temperature and bias.

The sigmoid loss matches N images with N texts, one pair at a time. Where the bias of its logits is small enough, matching
pairs coincide and the pairs form a simplex. As the bias grows the two modalities come apart: matching pairs no longer
coincide, and in the end all images sit at one point and all texts at the opposite one. Both changes are continuous, and both
thresholds are explicit.

Problem:
    $\min\frac1N\sum_{ij}\log(1+e^{-y_{ij}(t\langle u_i,v_j\rangle+b)})$ over N pairs of unit vectors $u_i,v_i$ in
    $\mathbb R^d$, $y_{ii}=1$ and $y_{ij}=-1$ for $i\ne j$.
Theorem (Lee et al. 2024, number unchecked; the closed form and both thresholds in the bias are our own):
    For $N\ge3$, $d\ge N$ and $f=\frac1N\sum_{ij}\log(1+e^{-y_{ij}(t\langle u_i,v_j\rangle+b)})$ every minimiser has
    $\langle u_i,v_i\rangle=\alpha$, $\langle u_i,v_j\rangle=\beta=\frac{(N-2)\alpha-N}{2(N-1)}$ and
    $\langle u_i,u_j\rangle=\langle v_i,v_j\rangle=1-\alpha+\beta$ for $i\ne j$, where $\alpha\in[-1,1]$ minimises the convex
    $\log(1+e^{-t\alpha-b})+(N-1)\log(1+e^{t\beta+b})$, which is $\min f$. With $c=\frac{N-2}2$ it is a simplex,
    $\alpha=1$, iff $e^b\le\frac{1-c+\sqrt{(1-c)^2+4c\,e^{tN/(N-1)}}}{2ce^t}$, and antipodal, $\alpha=-1$, iff
    $b\ge t-\log c$.
Hypotheses:
    - the sigmoid loss of pairs
    - N >= 3
    - d >= N
Notation:
    t is the inverse temperature and b the bias, as in Zhai et al. 2023; sum over all pairs, divided by N.
Why:
    The loss is convex in the Gram matrix and does not change under permutations of the pairs or an exchange of u and v: some
    minimiser over all Gram matrices has one $\alpha$, one $\beta$ and one product a within either. The matrix is positive
    semidefinite iff $|\alpha-\beta|\le1-a$ and $|\alpha+(N-1)\beta|\le1+(N-1)a$, so that the least $\beta$ is the stated one,
    at $a=1-\alpha+\beta$; a smaller $\beta$ lowers f. It has rank N at most. Along the family the derivative is
    $t(c\,\sigma(t\beta+b)-\sigma(-t\alpha-b))$; at $\alpha=1$ its zero is a quadratic equation in $e^b$, at $\alpha=-1$, where
    $\beta=-1$ too, it is $c\,e^{b-t}=1$.
Checked:
    Random starts are followed along the Riemannian gradient flow. The least eigenvalue of a matrix bounds the minimum from
    below at each end, without the formula, and the value must lie in the interval so certified. $\alpha$ and all inner
    products are compared at the certified ends, to what their gradients leave open, in all three regimes and close to both
    thresholds. These are located by bisection in $e^b$ between certified ends. That every end has this value is sampled.
Refuted by:
    One certified end at which any of these differs, one end with another value, or a threshold outside its last bracket. The
    same check must refute matching pairs that coincide whatever t and b, others at $-\frac1{N-1}$, N in the place of N-1,
    products 1e-6 off, thresholds 0.1 % off, and the closed form for five pairs in the plane.
Example:
    Six pairs at t = 2, b = 0: alpha and the minimum, and the same at the end of a random start.

    >>> problem = build_instance(6, 6, 2.0, 0.0).problem
    >>> told, ends = THEOREM.predict(problem), nct.solve(problem, seeds=2, light=True)
    >>> round(float(told.matched), 7), round(float(told.value), 8), [round(float(value), 8) for value in ends.value]
    (0.0470689, 2.00781392, [2.00781392, 2.00781392])
"""

import dataclasses

import jax.numpy as jnp
import numpy as np

import nctheory as nct
from proofs_numeric.bibliography_of_spheres import LEE_2024, ZHAI_2023
from proofs_numeric.pool import log_uniform, pick
from proofs_numeric.spheres.codes import code_claims
from proofs_numeric.spheres.sigmoid_pairs import (
    Pairs,
    antipodal_limit,
    best_match,
    gram_of,
    loss_at,
    simplex_limit,
    unmatched,
)

ID = "siglip"
# A shape is (N, d), with d = N once.
POOL = ((3, 3), (4, 5), (6, 6))


def build_instance(pairs, dim, scale, bias, regime="given"):
    """Build the problem of N pairs."""
    energy = nct.problems.paired_sigmoid(pairs=pairs, scale=scale, bias=bias)
    problem = nct.problems.unit_vectors(energy, dim=dim)
    return nct.Instance(problem, {"N": pairs, "d": dim, "t": float(scale), "b": float(bias), "regime": regime})


def draw_instances(key):
    """Draw scales, and biases in each regime and close to either threshold."""
    rng = nct.theorems.numpy_rng(key)
    drawn = []
    for pairs, dim in pick(rng, POOL, 2):
        for regime in ("simplex", "near simplex", "between", "between", "near antipodal", "antipodal"):
            scale = log_uniform(rng, 0.5, 5.0)
            low, high = (float(np.log(limit(pairs, scale))) for limit in (simplex_limit, antipodal_limit))
            bias = {
                "simplex": low - rng.uniform(0.2, 2.0),
                "near simplex": low + 0.01 * (high - low),
                "between": low + rng.uniform(0.2, 0.8) * (high - low),
                "near antipodal": high - 0.01 * (high - low),
                "antipodal": high + rng.uniform(0.2, 2.0),
            }[regime]
            drawn.append(build_instance(pairs, dim, scale, bias, regime))
    return drawn


def narrow(key):
    """Draw five pairs in the plane, where the simplex of five has no place."""
    rng = nct.theorems.numpy_rng(key)
    scale = log_uniform(rng, 1.0, 3.0)
    return [build_instance(5, 2, scale, float(np.log(simplex_limit(5, scale))) - 0.5, "narrow")]


def predict_with(match=best_match, other=unmatched, factor=1.0, number=lambda pairs: pairs - 1):
    """State the closed form; the arguments replace its parts."""

    def predict(problem):
        pairs, scale, bias = problem.energy.pairs, problem.energy.scale, problem.energy.bias
        matched = match(pairs, scale, bias)
        value = loss_at(matched, other(matched, pairs), pairs, scale, bias)
        value = value + (number(pairs) - (pairs - 1)) * jnp.logaddexp(0.0, scale * other(matched, pairs) + bias)
        gram = factor * gram_of(matched, pairs)
        return Pairs(value, factor * matched, gram, simplex_limit(pairs, scale), antipodal_limit(pairs, scale))

    return predict


predict = predict_with()


def matched_product(problem, params):
    """Return the mean product of matching pairs."""
    pairs = problem.energy.pairs
    return jnp.mean(jnp.diag(problem.gram(params)[:pairs, pairs:]))


def with_bias(problem, exponential):
    """Return the problem with e^b at another value."""
    return dataclasses.replace(problem, energy=dataclasses.replace(problem.energy, bias=jnp.log(exponential)))


def range_around(limit):
    """Name values of e^b on either side of a threshold that are far from the other one."""

    def between(problem):
        pairs, scale = problem.energy.pairs, problem.energy.scale
        low, high = float(simplex_limit(pairs, scale)), float(antipodal_limit(pairs, scale))
        there, far = float(limit(pairs, scale)), min(2.0, (high / low) ** 0.6)
        return there / far, there * far * 1.1

    return between


SIMPLEX_RANGE, ANTIPODAL_RANGE = range_around(simplex_limit), range_around(antipodal_limit)


def apart(problem, params):
    """Return 1 - alpha, which is zero for the simplex."""
    return 1.0 - matched_product(problem, params)


def not_opposite(problem, params):
    """Return 1 + alpha, which is zero for antipodal modalities."""
    return 1.0 + matched_product(problem, params)


def thresholds(factor=1.0):
    """Claim both thresholds in e^b, each multiplied by `factor`."""
    return (
        nct.Threshold(
            "simplex_limit",
            r"\alpha=1\iff e^b\le\frac{1-c+\sqrt{(1-c)^2+4ce^{tN/(N-1)}}}{2ce^t}",
            with_bias,
            apart,
            lambda p: factor * p.simplex_up_to,
            SIMPLEX_RANGE,
        ),
        nct.Threshold(
            "antipodal_limit",
            r"\alpha=-1\iff b\ge t-\log c",
            with_bias,
            not_opposite,
            lambda p: factor * p.antipodal_from,
            ANTIPODAL_RANGE,
        ),
    )


def is_between(instance):
    """Say whether alpha lies between its ends."""
    return instance.parameters["regime"] not in ("simplex", "antipodal")


def as_in_simplex(matched, pairs):
    """State -1/(N-1) for other pairs, whatever alpha."""
    return -1.0 / (pairs - 1) + 0.0 * matched


def aligned(pairs, scale, bias):
    """State alpha = 1."""
    return jnp.ones(())


THEOREM = nct.register(
    nct.Theorem(
        id=ID,
        docstring=__doc__,
        hypotheses=(
            lambda i: isinstance(i.problem.energy, nct.problems.PairedSigmoid),
            lambda i: i.problem.energy.pairs >= 3,
            lambda i: i.problem.dim >= i.problem.energy.pairs,
        ),
        sources=(
            LEE_2024.remark("The minimiser is of a family from a simplex to antipodal points. The abstract was read."),
            ZHAI_2023.remark("The loss."),
        ),
        instances=draw_instances,
        predict=predict,
        claims=(
            *code_claims(),
            nct.Equality("matched", r"\langle u_i,v_i\rangle=\alpha", matched_product, lambda p: p.matched),
            *thresholds(),
        ),
        controls=(
            nct.Control(
                "aligned",
                "matching pairs coincide whatever t and b",
                predict_with(aligned),
                ("value", "gram", "matched"),
                is_between,
            ),
            nct.Control(
                "as in a simplex",
                "other pairs at -1/(N-1)",
                predict_with(other=as_in_simplex),
                ("value",),
                is_between,
            ),
            nct.Control("N others", "N in the place of N-1 other pairs", predict_with(number=lambda n: n), ("value",)),
            nct.Control(
                "1e-6 larger", "products larger by a relative 1e-6", predict_with(factor=1 + 1e-6), ("gram", "matched")
            ),
            nct.Control("thresholds 0.1 % off", "both larger by 0.1 %", versions=thresholds(1.001)),
            nct.Control("narrow", "the closed form for five pairs in the plane", claims=("ends",), outside=narrow),
        ),
        seeds=128,
    )
)

if __name__ == "__main__":
    nct.show(nct.verify(THEOREM))
