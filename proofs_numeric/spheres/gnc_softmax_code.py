r"""Generalised neural collapse: the classifiers are a softmax code.

With many classes in few dimensions no simplex fits, and classes cannot all be equally far apart. What cross-entropy on
spheres aims at, as the temperature falls, is the margin of the worst class: the distance of its classifier from the convex
hull of all others. Codes that make it as large as possible are called softmax codes. Radon's theorem limits the margin of
d+2 points or more to that of orthogonal ones.

Problem:
    $\min\frac1N\sum_i\mathrm{CE}(Wh_i,y_i)$ over $|w_k|=\omega$ and $|h_i|=\rho$ in $\mathbb R^d$, $\tau=\omega\rho$.
Theorem (Jiang et al. 2024, number unchecked; at finite tau own):
    For unit vectors $w_k$ let $\rho(W)=\min_k\mathrm{dist}(w_k,\mathrm{conv}\{w_j\}_{j\ne k})$. Always $\rho(W)\le\frac
    K{K-1}$ for $K\le d+1$, $\rho(W)\le1$ for $K\ge d+2$, and $\rho(W)\le1-\cos\frac{2\pi}K$ for $d=2$. The minimisers of
    $\frac1N\sum_i\mathrm{CE}(Wh_i,y_i)$ with classes of equal size attain these for $K\le d+1$, $d=2$ and $K=2d$ at every
    $\tau$ drawn, for $K=5$, $d=3$ below $\tau_c=6.885$; for $K=12$, $d=3$ they have $\rho(W)=1-\frac1{\sqrt5}$, the
    icosahedron's.
Hypotheses:
    - classifier and features on spheres, cross-entropy of one-hot labels
    - balanced classes; K <= d+1, or d = 2, or K = 2d, or (K, d) = (5, 3) with tau < 6.885, or (12, 3)
    - tau >= 1
Notation:
    Jiang et al.: logits over a temperature, which is 1/tau; rho(W) as here.
Why:
    The margin $\max_{|h|=1}\min_{j\ne k}\langle w_k-w_j,h\rangle$ is the distance of $w_k$ from the hull of the others, by
    duality. It is at most the distance from their mean, $|Kw_k-\sum_jw_j|/(K-1)$, and the squares of these over k have a
    sum of at most $K^3/(K-1)^2$: hence $\frac K{K-1}$. For $K\ge d+2$ two disjoint groups have hulls that meet, at a point
    $x=\sum_ia_iw_i$ (Radon); $\sum_ia_i|w_i-x|^2=1-|x|^2\le1$, so that some $w_i$ of one group is within 1 of the hull of
    the other. For $d=2$, $K\ge4$ some point has neighbours at angles $\alpha,\beta$ of a sum of at most $4\pi/K$, and its
    distance from their chord is $\cos\frac{\alpha-\beta}2-\cos\frac{\alpha+\beta}2$. That the minimisers at finite $\tau$
    attain these, and the icosahedron's margin, are seen numerically, not proved.
Checked:
    Random starts are followed along the gradient flow to their ends. No certificate is known, and the best value found
    stands for the minimum. The distance from each hull is exact: the least over all faces of at most d corners of the
    distance from their plane, where the foot lies within the face. The bound is held against every start and end.
Refuted by:
    A code with a larger margin, or a best end with another one. The same check must refute K/(K-1) for every K, the angle
    pi/K for polygons, margins and bounds 1e-6 off.
Example:
    The margin of the icosahedron, found from random starts, and 1 - 1/sqrt 5; those of the bipyramid and of a flat pyramid.

    >>> ends = nct.solve(open_spheres(12, 3, 1, 8.0), seeds=4, light=True)
    >>> best = ends.params.weights[0][np.argmin(ends.value)]
    >>> best = best / np.linalg.norm(best, axis=1, keepdims=True)
    >>> from proofs_numeric.spheres.orthoplex import bipyramid, pyramid
    >>> [round(float(margin(code)), 4) for code in (best, bipyramid(), pyramid(0.0))], round(1 - 5**-0.5, 4)
    ([0.5528, 1.0, 1.0], 0.5528)
"""

import itertools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import nctheory as nct
from proofs_numeric.bibliography_of_codes import ALCALA_2026, JIANG_2024
from proofs_numeric.pool import log_uniform, pick
from proofs_numeric.spheres.orthoplex import OpenSpheres, open_spheres, strength_of, transition
from proofs_numeric.thresholds import SEARCH_WITHOUT_TRAPS

ID = "gnc-softmax-code"
# A shape is (K, d, n).
SIMPLICES = ((3, 2, 2), (4, 3, 1), (5, 4, 1))
POLYGONS = ((5, 2, 1), (6, 2, 1), (7, 2, 1))
ORTHOPLEX = ((6, 3, 1), (8, 4, 1))


class Margins(NamedTuple):
    """What the theorem says of the margin."""

    margin: jax.Array
    """At the minimiser."""
    most: jax.Array
    """Of any code."""


def faces(number, dim):
    """List the sets of at most d of the other points, as indices of shape faces x d with their sizes; point 0 is left out."""
    found = [one for size in range(1, dim + 1) for one in itertools.combinations(range(1, number), size)]
    return [np.array([one for one in found if len(one) == size]) for size in range(1, dim + 1)]


def hull_distance(code):
    """Return the distance of the first point from the convex hull of the others, for points that are no interior ones."""
    number, dim = code.shape
    point, least = code[0], []
    for group in faces(number, min(dim, number - 1)):
        corners = code[group] - point[None, None, :]
        base, edges = corners[:, 0], corners[:, 1:] - corners[:, :1]
        # The foot of the plane through the corners: base + edges^T c with edges (base + edges^T c) = 0.
        gram = edges @ jnp.swapaxes(edges, 1, 2)
        right = jnp.einsum("fij,fj->fi", edges, base)
        weights = -jnp.linalg.solve(gram + TINY * jnp.eye(gram.shape[1])[None], right[..., None])[..., 0]
        foot = base + jnp.einsum("fij,fi->fj", edges, weights)
        within = jnp.all(weights >= -INSIDE, axis=1) & (jnp.sum(weights, axis=1) <= 1 + INSIDE)
        least.append(jnp.min(jnp.where(within, jnp.linalg.norm(foot, axis=1), jnp.inf)))
    return jnp.min(jnp.stack(least))


TINY, INSIDE = 1e-14, 1e-10
"""What is added to the Gram matrix of the edges of a face, and by how much a foot may lie outside of it."""


def margin(code):
    """Return rho of unit vectors, K x d."""
    told = jnp.asarray(code)
    return jnp.min(jnp.stack([hull_distance(jnp.roll(told, -k, axis=0)) for k in range(len(told))]))


def observed_margin(problem, params):
    """Return rho of the classifiers over their length."""
    return margin(problem.factor_pair(params)[0] / problem.size)


def twice_the_code(problem, params):
    """Return what changes by as much as rho may: twice the code."""
    return 2.0 * problem.factor_pair(params)[0] / problem.size


def build_instance(classes, dim, samples, tau):
    """Build the instance of a shape."""
    return nct.Instance(open_spheres(classes, dim, samples, tau), {"K": classes, "d": dim, "n": samples, "tau": tau})


def draw_instances(key):
    """Draw simplices, polygons, a cross-polytope, a bipyramid and the icosahedron."""
    rng = nct.theorems.numpy_rng(key)
    drawn = []
    for shape in (*pick(rng, SIMPLICES), *pick(rng, POLYGONS), *pick(rng, ORTHOPLEX)):
        drawn += [build_instance(*shape, log_uniform(rng, *ends)) for ends in ((1.0, 3.0), (3.0, 6.0))]
    drawn += [build_instance(5, 3, 1, rng.uniform(*ends)) for ends in ((1.0, 4.0), (4.0, 6.0))]
    return [*drawn, *(build_instance(12, 3, 1, rng.uniform(*ends)) for ends in ((4.0, 6.0), (6.0, 9.0)))]


def predict(problem):
    """State the margin of the code of this size, and the largest one."""
    classes, dim = problem.classes, problem.dim
    if classes <= dim + 1:
        most = classes / (classes - 1)
    elif dim == 2:
        most = 1 - np.cos(2 * np.pi / classes)
    else:
        most = 1.0
    found = 1 - 5**-0.5 if (classes, dim) == (12, 3) else most
    return Margins(jnp.asarray(found), jnp.asarray(most))


def simplex_margin(problem):
    """State K/(K-1) for every K."""
    ratio = problem.classes / (problem.classes - 1)
    return Margins(jnp.asarray(ratio), jnp.asarray(ratio))


def half_angle(problem):
    """State 1 - cos(pi/K)."""
    found = 1 - np.cos(np.pi / problem.classes)
    return Margins(jnp.asarray(found), jnp.asarray(found))


def known_code(instance):
    """Tell whether the code of this size and tau is known."""
    classes, dim = instance.problem.classes, instance.problem.dim
    if len(set(instance.problem.counts)) != 1:
        return False
    if (classes, dim) == (5, 3):
        return float(strength_of(instance.problem)) < transition()
    return classes <= dim + 1 or dim == 2 or classes == 2 * dim or (classes, dim) == (12, 3)


def beyond_simplex(instance):
    """Tell whether there is no room for a simplex."""
    return instance.problem.classes > instance.problem.dim + 1


def planar(instance):
    """Tell whether codes lie on a circle."""
    return instance.problem.dim == 2


def changed(factor):
    """Multiply both margins."""
    return lambda problem: Margins(*(factor * one for one in predict(problem)))


THEOREM = nct.register(
    nct.Theorem(
        id=ID,
        docstring=__doc__,
        hypotheses=(
            lambda i: isinstance(i.problem, OpenSpheres) and i.problem.loss.name == "cross_entropy",
            known_code,
            lambda i: float(strength_of(i.problem)) >= 1.0,
        ),
        sources=(
            JIANG_2024.remark("Softmax codes and their values; the temperature tends to zero in their theorems."),
            ALCALA_2026.remark("Their abstract: Radon's theorem for d+2 <= K <= 2d."),
        ),
        instances=draw_instances,
        predict=predict,
        method=nct.Solve(search=SEARCH_WITHOUT_TRAPS),
        several_basins=True,
        claims=(
            nct.Equality("margin", r"\rho(W)", observed_margin, lambda p: p.margin, moves_like=twice_the_code),
            nct.UpperBound(
                "largest margin", r"\rho(W)\le\max\rho", observed_margin, lambda p: p.most, scope="any point"
            ),
        ),
        controls=(
            nct.Control(
                "simplex for every K",
                "K/(K-1)",
                simplex_margin,
                ("margin",),
                beyond_simplex,
            ),
            nct.Control("half the angle", "1 - cos(pi/K)", half_angle, applies=planar),
            nct.Control(
                "1e-6 less", "margins less by a relative 1e-6", changed(1 - 1e-6), ("margin", "largest margin")
            ),
        ),
    )
)

if __name__ == "__main__":
    nct.show(nct.verify(THEOREM))
