r"""Softmax codes are Tammes codes: 7 to 12 classes in three dimensions.

Two classical ways to spread points on a sphere ask for different things. Tammes' problem asks that the closest two points be
as far apart as possible, and cross-entropy at low temperature that no point lie close to the hull of all others. Whether
both have the same solutions is open. For 7 to 12 points on the ordinary sphere, for which Tammes' problem is solved, the
answer is yes in all that is seen. But how low the temperature must be depends on the number: ten classes take the
second-best code up to temperatures at which all others have long settled.

Problem:
    $\min\frac1N\sum_i\mathrm{CE}(Wh_i,y_i)$ over $|w_k|=\omega$ and $|h_i|=\rho$ in $\mathbb R^3$, $\tau=\omega\rho$.
Theorem (question of Jiang et al. 2024, number unchecked; the answer for these K is our own):
    Let $c_K$ be the cosine of the largest least angle between K points of the sphere in $\mathbb R^3$: $c_7=\cot40°\cot80°$,
    $c_8=\frac{2\sqrt2-1}7$, $c_9=\frac13$, $c_{10}$ the root of $7x^3-4x^2-2x+1$ in $(0,\frac12)$,
    $c_{11}=c_{12}=\frac1{\sqrt5}$. For $7\le K\le12$ the margin of every code, the least distance $\rho(W)$ of a $w_k$ from
    $\mathrm{conv}\{w_j\}_{j\ne k}$, is at most $1-c_K$, and the code of the largest margin next to the minimiser of
    $\frac1N\sum_i\mathrm{CE}(Wh_i,y_i)$ attains this, and has the least angle $\arccos c_K$, for $12\le\tau\le20$ and
    $K\ne10$, and for $24\le\tau\le30$ and $K=10$.
Hypotheses:
    - classifier and features on spheres, cross-entropy of one-hot labels
    - balanced classes, d = 3
    - 12 <= tau <= 20 and K = 7, 8, 9, 11, 12, or 24 <= tau <= 30 and K = 10
Notation:
    Jiang et al.: rho(W) is the one-vs-rest margin, maximised by softmax codes.
Why:
    With $h_k=w_k$ the margin $\max_{|h|=1}\min_{j\ne k}\langle w_k-w_j,h\rangle$ is at least $1-\max_{j\ne k}\langle
    w_k,w_j\rangle$. So the largest margin is at least $1-c_K$, and if it is no larger, Tammes codes are softmax codes. That
    it is no larger is seen, not proved. For the angles see the sources.
Checked:
    Random starts are followed along the gradient flow to their ends. From the best ends, the best value found standing for
    the minimum, the margin is maximised in the limit itself, as a program with the constraints
    $\langle w_k-w_j,h_k\rangle\ge t$, and angle and margin of the code that it leads to are compared. The margin is the exact
    distance from hulls. Both bounds are held against every start and end.
Refuted by:
    A code with a margin above $1-c_K$ or an angle above $\arccos c_K$, or one of the largest margin next to a best end with
    another angle. The same check must refute the angles of K-1 points, the second-best code of ten points, angles 1e-6
    off, bounds 1e-6 lower, and ten classes at $\tau$ from 12 to 20.
Example:
    The cosines, and the same by a search for the largest least angle of eight points.

    >>> from proofs_numeric.spheres.hard_codes import best_of_starts, largest_cosine
    >>> [round(tammes_cosine(number), 6) for number in range(7, 13)]
    [0.210138, 0.261204, 0.333333, 0.404394, 0.447214, 0.447214]
    >>> round(largest_cosine(best_of_starts(8)[0]), 6)
    0.261204
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import nctheory as nct
from proofs_numeric.bibliography_of_codes import DANZER_1986, FEJES_TOTH_1943, JIANG_2024, SCHUTTE_1951
from proofs_numeric.spheres.gnc_softmax_code import margin, observed_margin, twice_the_code
from proofs_numeric.spheres.hard_codes import best_of_starts, largest_cosine, widest_margin
from proofs_numeric.spheres.orthoplex import OpenSpheres, open_spheres, strength_of

ID = "tammes-softmax"
NUMBERS = (10, 7, 12, 8, 9, 11)
SEARCH = 24
"""Starts (measured: at every number some quarter of them or more reaches the best end)."""
WARM, COLD = (12.0, 20.0), (24.0, 30.0)
"""The ranges of tau (measured: ten classes take another code up to about 22, and values are well told apart up to 30)."""


class Code(NamedTuple):
    """What the theorem says of the code of the largest margin."""

    cosine: jax.Array
    margin: jax.Array
    least_distance: jax.Array
    """The largest 1 - cos of the least angle of any code."""
    most: jax.Array
    """The largest margin of any code."""


def tammes_cosine(number):
    """Return the cosine of the largest least angle between K points, for K from 6 to 12."""
    degree = np.pi / 180
    roots = np.roots([7.0, -4.0, -2.0, 1.0])
    (ten,) = (float(np.real(x)) for x in roots if 0 < np.real(x) < 0.5)
    known = {
        6: 0.0,
        7: 1 / (np.tan(40 * degree) * np.tan(80 * degree)),
        8: (2 * np.sqrt(2) - 1) / 7,
        9: 1 / 3,
        10: ten,
        11: 5**-0.5,
        12: 5**-0.5,
    }
    return float(known[number])


def build_instance(number, tau):
    """Build K classes of one sample."""
    return nct.Instance(open_spheres(number, 3, 1, tau), {"K": number, "d": 3, "tau": float(tau)})


def draw_instances(key):
    """Draw two tau for every number of classes."""
    rng = nct.theorems.numpy_rng(key)
    return [build_instance(number, rng.uniform(*(COLD if number == 10 else WARM))) for number in NUMBERS * 2]


def ten_warmer(key):
    """Draw ten classes at temperatures at which they take another code."""
    rng = nct.theorems.numpy_rng(key)
    return [build_instance(10, rng.uniform(*WARM))]


@functools.lru_cache(maxsize=1024)
def widest_of_bytes(weights, features, dim):
    """Return the code of the largest margin next to a point; several claims ask about the same."""
    return widest_margin(*(np.frombuffer(one).reshape(-1, dim) for one in (weights, features)))


def limit_code(problem, params):
    """Return the code of the largest margin next to a point, K x 3."""
    weights, features = problem.factor_pair(params)
    shape = jax.ShapeDtypeStruct(weights.shape, weights.dtype)
    return jax.pure_callback(
        lambda w, h: widest_of_bytes(np.asarray(w).tobytes(), np.asarray(h).tobytes(), problem.dim),
        shape,
        weights / problem.size,
        features.T / problem.radius,
        vmap_method="sequential",
    )


def limit_cosine(problem, params):
    """Return the cosine of the least angle of that code."""
    return largest_product(limit_code(problem, params))


def limit_margin(problem, params):
    """Return the margin of that code, as a distance from hulls."""
    return margin(limit_code(problem, params))


def largest_product(code):
    """Return the largest inner product of two different vectors."""
    return jnp.max(code @ code.T - 2.0 * jnp.eye(len(code)))


def least_distance(problem, params):
    """Return one minus the largest inner product of two classifiers over their lengths."""
    return 1.0 - largest_product(problem.factor_pair(params)[0] / problem.size)


def stated(cosine):
    """State a cosine, and its margin."""
    told = jnp.asarray(cosine)
    return Code(told, 1.0 - told, 1.0 - told, 1.0 - told)


def predict(problem):
    """State the Tammes code."""
    return stated(tammes_cosine(problem.classes))


def one_point_less(problem):
    """State the angle of one point less."""
    return stated(tammes_cosine(problem.classes - 1))


def second_best(problem):
    """State the second of the local maxima of the least angle."""
    return stated(largest_cosine(best_of_starts(problem.classes)[1]))


def changed(factor):
    """Multiply the cosine and the margin."""
    return lambda problem: Code(*(factor * one for one in predict(problem)))


def number_is(*numbers):
    """Select numbers of classes."""
    return lambda instance: instance.problem.classes in numbers


def cold_enough(instance):
    """Tell whether tau is within the range of the number of classes."""
    low, high = COLD if instance.problem.classes == 10 else WARM
    return low <= float(strength_of(instance.problem)) * (1 + 1e-12) and float(strength_of(instance.problem)) <= high


def limit_claim(name, words, observe, predicted):
    """Claim a number of the code of the largest margin, to what the end next to it leaves open."""
    return nct.Equality(
        name, words, observe, predicted, moves_like=twice_the_code, resolution=1e-4,
        because="the ends are known to what their gradients leave open, and their values are some millionths",
    )  # fmt: skip


THEOREM = nct.register(
    nct.Theorem(
        id=ID,
        docstring=__doc__,
        hypotheses=(
            lambda i: isinstance(i.problem, OpenSpheres) and i.problem.loss.name == "cross_entropy",
            lambda i: i.problem.dim == 3 and len(set(i.problem.counts)) == 1 and 7 <= i.problem.classes <= 12,
            cold_enough,
        ),
        sources=(
            JIANG_2024.remark("Softmax codes, and the question whether they are Tammes codes."),
            SCHUTTE_1951.remark("The angles for 7, 8 and 9 points."),
            DANZER_1986.remark("The angles for 10 and 11 points."),
            FEJES_TOTH_1943.remark("The angle for 12 points."),
        ),
        instances=draw_instances,
        predict=predict,
        method=nct.Solve(search=SEARCH),
        several_basins=True,
        claims=(
            limit_claim("angle", r"\max_{j\ne k}\langle w_k,w_j\rangle", limit_cosine, lambda p: p.cosine),
            limit_claim("margin", r"\max\rho", limit_margin, lambda p: p.margin),
            nct.UpperBound(
                "least angle",
                r"\min_{j\ne k}(1-\langle w_k,w_j\rangle/\omega^2)\le1-c_K",
                least_distance,
                lambda p: p.least_distance,
                scope="any point",
            ),
            nct.UpperBound("largest margin", r"\rho(W)\le1-c_K", observed_margin, lambda p: p.most, scope="any point"),
        ),
        controls=(
            nct.Control(
                "one point less",
                "the angle of K-1 points",
                one_point_less,
                ("angle", "margin"),
                number_is(7, 8, 9, 10, 11),
            ),
            nct.Control(
                "second-best code",
                "the second-best code of ten points",
                second_best,
                ("angle", "margin"),
                number_is(10),
            ),
            nct.Control("1e-6 off", "cosines and margins less by 1e-6", changed(1 - 1e-6), ("angle", "margin")),
            nct.Control(
                "bounds 1e-6 lower",
                "the largest angle and margin less by a relative 1e-6",
                changed(1 - 1e-6),
                ("least angle", "largest margin"),
                number_is(12),
            ),
            nct.Control(
                "ten classes, warmer", "ten classes at tau from 12 to 20", claims=("angle",), outside=ten_warmer
            ),
        ),
    )
)

if __name__ == "__main__":
    nct.show(nct.verify(THEOREM))
