r"""Logits in a ball: the simplex for any imbalance.

Where the logits of every sample are bounded on their own, as with features of bounded length under a given isometry, no
budget is shared between classes. The problem falls apart into one for each sample, and the class sizes drop out: the
minimiser is the same simplex however unequal they are. Imbalance distorts geometry through shared budgets only.

Problem:
    $\min\frac1N\sum_i\mathrm{CE}(h_i,y_i)$ over $h_i\in\mathbb R^K$ with $|h_i|=R$, of any class sizes.
Theorem (E and Wojtowytsch 2022, Corollary 3 and Lemma 4):
    The one minimiser of $\frac1N\sum_i\mathrm{CE}(h_i,y_i)$ over $|h_i|\le R$ has $h_i=\alpha e_k+\beta\sum_{j\ne k}e_j$
    for every sample of class k, $\alpha=R\sqrt{(K-1)/K}$, $\beta=-R/\sqrt{K(K-1)}$, for any class sizes, and the value
    $\log(1+(K-1)e^{-R\sqrt{K/(K-1)}})$.
Hypotheses:
    - the classifier is the identity, features of fixed length, cross-entropy of one-hot labels
    - any class sizes, K >= 2
Notation:
    E and Wojtowytsch: k classes, weights of classes p_i.
Why:
    The gradient of cross-entropy in the logits is never zero, so that its minimum over a ball lies on the sphere and is
    unique. It has no other direction than $p-e_k$, is invariant under permutations of the other classes and has the sum
    zero: this is $\alpha e_k+\beta\sum_{j\ne k}e_j$ up to its length. Weights multiply problems that have nothing in
    common.
Checked:
    Random starts are followed along the gradient flow to their ends. The tangent of the convex loss bounds the minimum from
    below at each end, without the formula. Logits are compared at the certified ends, for class sizes of ratios up to
    twenty.
Refuted by:
    One certified end with another value or other logits. The same check must refute logits of classes that grow with the
    root of their size, a value for logits $R(e_k-1/K)$, and logits 1e-6 off.
Example:
    Nine samples, three and one: the value by the formula, and at the ends of three random starts.

    >>> problem = build_instance((9, 3, 1), 2.0).problem
    >>> ends = nct.solve(problem, seeds=3, light=True)
    >>> [round(float(x), 6) for x in (THEOREM.predict(problem).value, *ends.value)]
    [0.159288, 0.159288, 0.159288, 0.159288]
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import nctheory as nct
from proofs_numeric.bibliography import E_2022
from proofs_numeric.pool import log_uniform, pick
from proofs_numeric.spheres.observed import logits

ID = "ew-ball"
COUNTS = ((5, 1), (9, 3, 1), (2, 2, 2), (10, 2, 1, 1), (20, 1, 1))


class Simplex(NamedTuple):
    """What the theorem says of the minimiser."""

    value: jax.Array
    logits: jax.Array


def build_instance(counts, radius):
    """Build the problem of logits of a given length."""
    classes = len(counts)
    problem = nct.problems.spherical_features(counts=counts, dim=classes, radius=radius, weights=np.eye(classes))
    return nct.Instance(problem, {"counts": "-".join(map(str, counts)), "R": radius})


def draw_instances(key):
    """Draw three class sizes, each with lengths from short to long."""
    rng = nct.theorems.numpy_rng(key)
    ends = ((0.1, 0.5), (0.5, 2.0), (2.0, 5.0), (5.0, 9.0))
    skewed = [one for one in COUNTS if len(set(one)) > 1]
    drawn = [build_instance(counts, log_uniform(rng, *one)) for counts in pick(rng, skewed, 3) for one in ends]
    return [*drawn, build_instance((2, 2, 2), log_uniform(rng, 0.5, 5.0))]


def stated(problem, lengths):
    """State simplices whose corners have these lengths, one for each class."""
    classes, labels = problem.classes, problem.labels
    corners = np.sqrt(classes / (classes - 1)) * (np.eye(classes) - 1 / classes)
    told = jnp.asarray(lengths)[None, :] * jnp.asarray(corners)
    gaps = jnp.diagonal(told) - told[(1 + np.arange(classes)) % classes, np.arange(classes)]
    counts = np.asarray(problem.counts, float)
    value = jnp.sum(counts / counts.sum() * jnp.log1p((classes - 1) * jnp.exp(-gaps)))
    return Simplex(value, told[:, labels])


def predict(problem):
    """State the simplex of the theorem."""
    return stated(problem, jnp.full(problem.classes, problem.radius))


def grown(problem):
    """State corners whose squared lengths grow with the class sizes, at the same mean square over samples."""
    counts = np.asarray(problem.counts, float)
    return stated(problem, problem.radius * np.sqrt(counts * counts.sum() / np.sum(counts**2)))


def short(problem):
    """State the logits R (e_k - 1/K)."""
    classes = problem.classes
    return stated(problem, jnp.full(classes, problem.radius * np.sqrt((classes - 1) / classes)))


def unequal(instance):
    """Tell whether class sizes differ."""
    return len(set(instance.problem.counts)) > 1


THEOREM = nct.register(
    nct.Theorem(
        id=ID,
        docstring=__doc__,
        hypotheses=(
            lambda i: (
                isinstance(i.problem, nct.problems.SphericalFeatures)
                and i.problem.classifier == "fixed"
                and i.problem.loss.name == "cross_entropy"
                and np.array_equal(np.asarray(i.problem.given), np.eye(i.problem.classes))
            ),
            lambda i: i.problem.classes >= 2 and min(i.problem.counts) >= 1,
        ),
        sources=(
            E_2022.remark("Logits in a ball, with any weights of the classes.", number="Corollary 3 and Lemma 4"),
        ),
        instances=draw_instances,
        predict=predict,
        claims=(
            nct.GlobalValue("value", r"\min f", lambda p: p.value),
            nct.Equality("logits", r"h_i=\alpha e_k+\beta\sum_{j\ne k}e_j", logits, lambda p: p.logits),
        ),
        controls=(
            nct.Control(
                "larger classes longer",
                "lengths that grow with the root of the class size",
                grown,
                applies=unequal,
            ),
            nct.Control("shorter", "logits R (e_k - 1/K)", short),
            nct.Control(
                "1e-6 off",
                "value and logits larger by a relative 1e-6",
                lambda problem: Simplex(*((1 + 1e-6) * one for one in predict(problem))),
                ("value", "logits"),
            ),
        ),
    )
)

if __name__ == "__main__":
    nct.show(nct.verify(THEOREM))
