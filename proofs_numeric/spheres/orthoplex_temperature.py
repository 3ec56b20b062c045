r"""Five classes in three dimensions: the temperature chooses the code, by a jump.

Five points on a sphere can keep the same least margin in more than one way, as a triangular bipyramid and as a square
pyramid. In the limit of low temperature both are equally good. At any finite one they are not: the bipyramid is the minimum
up to a critical inverse temperature, and beyond it a pyramid whose square lies below the equator. The change is of first
order: around it both are local minima. And in the pyramid features are not quite their classifiers: their squares lie at
different heights.

Problem:
    $\min\frac1N\sum_i\mathrm{CE}(Wh_i,y_i)$ over $|w_k|=\omega$ and $|h_i|=\rho$ in $\mathbb R^3$, $K=5$,
    $\tau=\omega\rho$.
Theorem (own; codes of Alcala et al. 2026, number unchecked, in the limit):
    For five classes of equal size in three dimensions the minimum of $\frac1N\sum_i\mathrm{CE}(Wh_i,y_i)$ is
    $\frac15(2\log(1+3e^{-\tau}+e^{-2\tau})+3\log(1+2e^{-\tau}+2e^{-3\tau/2}))$, of the triangular bipyramid with
    $w_k/\omega=h_i/\rho$, for $\tau<\tau_c=6.88507$. For $\tau>\tau_c$ it is
    $\min_{u,v}\frac15(\log(1+4e^{\tau(u-1)})+4\log(1+e^{\tau(v-uv-s)}+2e^{-\tau s}+e^{-2\tau s}))$,
    $s=\sqrt{(1-u^2)(1-v^2)}$, of square pyramids with one apex, in which the square of the classifiers lies at the height u
    and that of the features at v; $u<v<0$, $u=-0.15105$ and $v=-0.15097$ at $\tau_c$. The pyramid is a local minimum for
    $\tau>6.3003$, the bipyramid for $\tau<9.2898$, and there are no others for $1\le\tau\le9$.
Hypotheses:
    - classifier and features on spheres, cross-entropy of one-hot labels
    - K = 5, d = 3, balanced classes
    - 1 <= tau <= 9
Notation:
    tau multiplies inner products of unit vectors; temperatures of contrastive losses are 1/tau.
Why:
    The values are those of the named codes. All triangles of the bipyramid are fixed by its symmetry, whereas that of the
    pyramid leaves the height of either square free, and nothing ties both heights together: the objective is not symmetric
    under the exchange of W and H. For large $\tau$ both codes have a margin of 1, and the sum of the exponentials decides.
    That nothing lies lower is seen numerically, not proved.
Checked:
    Random starts are followed along the gradient flow to their ends. No certificate is known, and the best value found
    stands for the minimum. All values of ends are held against the list of both codes; sorted inner products between and
    within W and H are compared at the best ends. Some instances lie a ten-thousandth of $\tau_c$ to either side of it,
    where the values differ by some millionths: the two controls that keep one code fail there, which locates $\tau_c$.
Refuted by:
    A lower value, a value of neither code, or a best end with other inner products. The same check must refute the
    bipyramid beyond $\tau_c$, the pyramid short of it, a flat pyramid, a pyramid with W = H, a list without the second
    minimum, and inner products within W or H larger by 1e-6.
Example:
    The critical value and the heights there; short of it and beyond it, both codes and the lowest of 32 random starts.

    >>> from proofs_numeric.spheres.orthoplex import bipyramid_value, pyramid_heights, pyramid_value, transition
    >>> round(transition(), 5), [round(height, 5) for height in pyramid_heights(transition())]
    (6.88507, [-0.15105, -0.15097])
    >>> for tau in (6.5, 7.0):
    ...     ends = nct.solve(open_spheres(5, 3, 1, tau), seeds=32, light=True)
    ...     [f"{x:.7f}" for x in (bipyramid_value(tau), pyramid_value(tau), float(ends.value.min()))]
    ['0.0036721', '0.0036858', '0.0036721']
    ['0.0022193', '0.0022168', '0.0022168']
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import nctheory as nct
from proofs_numeric.bibliography_of_codes import ALCALA_2026
from proofs_numeric.pool import pick
from proofs_numeric.spheres.observed import gram_features, gram_weights
from proofs_numeric.spheres.orthoplex import (
    OpenSpheres,
    bipyramid,
    code_value,
    equal_height,
    inner_products,
    open_spheres,
    pyramid,
    pyramid_from,
    pyramid_heights,
    strength_of,
    transition,
)
from proofs_numeric.thresholds import SEARCH_OF_STRUCTURES

ID = "orthoplex-temperature"
SAMPLES = (1, 2)
"""Samples a class (conventional)."""


class Codes(NamedTuple):
    """What the theorem says of the minima."""

    value: jax.Array
    products: jax.Array
    minima: jax.Array
    """The values of both codes; NaN for the pyramid where it is no local minimum."""
    within_weights: jax.Array
    within_features: jax.Array


def draw_instances(key):
    """Draw tau far from the transition and close to it, on either side."""
    rng = nct.theorems.numpy_rng(key)
    at, (samples,) = transition(), pick(rng, SAMPLES)
    near = [at * (1 + sign * size) for sign in (-1, 1) for size in (1e-4, rng.uniform(1e-3, 1e-2))]
    far = [rng.uniform(1.0, 3.0), rng.uniform(3.0, 6.0), rng.uniform(6.3, 6.7), rng.uniform(7.1, 8.0)]
    drawn = []
    for tau in (*near, *far, rng.uniform(8.0, 9.0), rng.uniform(6.9, 7.1)):
        regime = "near" if abs(tau / at - 1) < 2e-4 else "far"
        shown = {"n": samples, "tau": tau, "side": "bipyramid" if tau < at else "pyramid", "regime": regime}
        drawn.append(nct.Instance(open_spheres(5, 3, samples, tau), shown))
    return drawn


def stated(problem, weights, features):
    """State a code as the minimiser."""
    tau = float(strength_of(problem))
    u, v = pyramid_heights(tau)
    both = [code_value(w @ h.T, tau) for w, h in ((bipyramid(), bipyramid()), (pyramid(u), pyramid(v)))]
    listed = jnp.stack([both[0], both[1] if tau > pyramid_from() else jnp.asarray(np.nan)])
    products, samples = weights @ features.T, features[problem.labels]
    return Codes(
        code_value(products, tau),
        jnp.sort(jnp.asarray(products[:, problem.labels]).ravel()),
        listed,
        jnp.sort(jnp.asarray(weights @ weights.T).ravel()),
        jnp.sort(jnp.asarray(samples @ samples.T).ravel()),
    )


def predict(problem):
    """State the better of both codes."""
    return always_bipyramid(problem) if float(strength_of(problem)) < transition() else always_pyramid(problem)


def always_bipyramid(problem):
    """State the bipyramid."""
    return stated(problem, bipyramid(), bipyramid())


def always_pyramid(problem):
    """State the best pyramid."""
    u, v = pyramid_heights(float(strength_of(problem)))
    return stated(problem, pyramid(u), pyramid(v))


def self_dual(problem):
    """State the best pyramid with W = H."""
    height = equal_height(float(strength_of(problem)))
    return stated(problem, pyramid(height), pyramid(height))


def within_weights(problem, params):
    """Return the inner products of unit classifiers, sorted."""
    return jnp.sort(gram_weights(problem, params).ravel()) / problem.size**2


def within_features(problem, params):
    """Return the inner products of unit features, sorted."""
    return jnp.sort(gram_features(problem, params).ravel()) / problem.radius**2


def side(name):
    """Select instances on one side of the transition."""
    return lambda instance: instance.parameters["side"] == name


THEOREM = nct.register(
    nct.Theorem(
        id=ID,
        docstring=__doc__,
        hypotheses=(
            lambda i: isinstance(i.problem, OpenSpheres) and i.problem.loss.name == "cross_entropy",
            lambda i: i.problem.classes == 5 and i.problem.dim == 3 and len(set(i.problem.counts)) == 1,
            lambda i: 1.0 <= float(strength_of(i.problem)) <= 9.0,
        ),
        sources=(
            ALCALA_2026.remark(
                "Their abstract: limit figures for d+2 <= K <= 2d. That a finite temperature selects one is our own."
            ),
        ),
        instances=draw_instances,
        predict=predict,
        method=nct.Solve(search=SEARCH_OF_STRUCTURES),
        several_basins=True,
        claims=(
            nct.GlobalValue("value", r"\min f", lambda p: p.value),
            nct.MemberOf(
                "minima",
                r"f\in\{f_{bipyramid},f_{pyramid}\}",
                lambda problem, params: problem.objective(params),
                lambda p: p.minima,
                "critical points",
                of_value=True,
                complete=False,
                because="next to the end of its range a code is reached by few starts",
            ),
            nct.Equality("inner_products", r"w_k^\top h_i/\tau\text{ sorted}", inner_products, lambda p: p.products),
            nct.Equality("weights", r"WW^\top/\omega^2\text{ sorted}", within_weights, lambda p: p.within_weights),
            nct.Equality("features", r"H^\top H/\rho^2\text{ sorted}", within_features, lambda p: p.within_features),
        ),
        controls=(
            nct.Control(
                "bipyramid beyond the transition",
                "the bipyramid at every tau",
                always_bipyramid,
                ("value", "inner_products"),
                side("pyramid"),
            ),
            nct.Control(
                "pyramid short of the transition",
                "the pyramid at every tau",
                always_pyramid,
                ("value", "inner_products"),
                side("bipyramid"),
            ),
            nct.Control(
                "flat pyramid",
                "the square on the equator",
                lambda problem: stated(problem, pyramid(0.0), pyramid(0.0)),
                ("value", "inner_products"),
            ),
            nct.Control(
                "no second minimum",
                "the minimum alone is a local minimum",
                lambda problem: predict(problem)._replace(minima=predict(problem).value[None] * (1 + 1e-5)),
                ("minima",),
            ),
            nct.Control(
                "self-dual pyramid",
                "every feature its classifier",
                self_dual,
                ("value", "weights", "features"),
                side("pyramid"),
            ),
            nct.Control(
                "1e-6 off",
                "inner products within W and within H larger by a relative 1e-6",
                lambda problem: predict(problem)._replace(
                    within_weights=(1 + 1e-6) * predict(problem).within_weights,
                    within_features=(1 + 1e-6) * predict(problem).within_features,
                ),
                ("weights", "features"),
            ),
        ),
    )
)

if __name__ == "__main__":
    nct.show(nct.verify(THEOREM))
