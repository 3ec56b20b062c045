r"""Perceptrons from a perceptron: how the error falls, by Hebb's rule, by one consistent student, and by a vote of all.

A teacher labels random examples by the side of a plane on which they lie; a student looks for the plane. To add the labelled
examples up is cheap and never exact. A random student among those that agree on all examples errs in inverse proportion to
their number, and a vote of all these students errs less by a factor that tends to the root of two: no student can do better.
In the limit of many weights each of the three errors is a function of the number of examples a weight alone.

Problem:
    $y=\mathrm{sign}\langle B,x\rangle$ with d weights B and $P=\alpha d$ examples x, all standard normal. R is the cosine of
    the student and B, and $\epsilon=\arccos(R)/\pi$ the probability of error on a new example. Hebb: $J=\sum yx$. Gibbs: J
    from the posterior of B. A committee of n: the sum of the directions of n such J.
Theorem (Vallet 1989, Gyorgyi and Tishby 1990, Opper and Haussler 1991, numbers unchecked; finite size and committees our own):
    For $d\to\infty$ the errors tend to those of these overlaps. Hebb: $R=1/\sqrt{1+\pi/(2\alpha)}$. Gibbs:
    $\frac{R_G}{\sqrt{1-R_G}}=\frac\alpha\pi\int Dt\,e^{-R_Gt^2/2}/\Phi(-\sqrt{R_G}t)$. A committee of n: $R_n=R_G\sqrt
    n/\sqrt{1+(n-1)R_G}$. Bayes: $R_B=\sqrt{R_G}$. For $\alpha\to\infty$ $\alpha\epsilon_G\to\sqrt2/c$ and
    $\alpha\epsilon_B\to1/c$, $c=\int Dt\,e^{-t^2/2}/\Phi(-t)$. At every d >= 3 Hebb's mean error is
    $E[\frac12+\frac1\pi\int_0^\infty\mathrm{Im}(e^{-s^2/2}w(-\tau s/\sqrt{2P})^P)\frac{ds}s]$ with $\tau=\cot\theta$,
    $\theta\in [0,\frac\pi2]$ of density $\propto\sin^{d-2}\theta$, and the Faddeeva function w.
Hypotheses:
    - a load alpha > 0
    - at least three weights, and a whole number of examples, at every size
Notation:
    Gyorgyi and Tishby: their R and alpha are ours; $Dt$ is the standard normal law.
Why:
    Across B Hebb's sum is normal with P times the identity as covariance, along B it is $\sum|z_i|$ with normal $z_i$, about
    $P\sqrt{2/\pi}$. Gibbs: the entropy of the version space at the overlap R, with replicas that overlap with each other as
    with the teacher, because teacher and student are two samples of one posterior. So the squared length of the posterior
    mean of the direction is $R_G$, the length of a sum of n is $\sqrt{n+n(n-1)R_G}$, and for $n\to\infty$ the overlap is
    $\sqrt{R_G}$.
Checked:
    Perceptrons of 4, 8 and 16 weights learn 2,048 data sets of each record. Students of the version space come from flights
    of the normal law that its walls reflect, which sample it exactly; the first begins at the teacher, which is a sample
    itself. Limits are extrapolated in 1/d; the tolerance is the last change of the extrapolation, what one flight fewer
    between students would change, and the bands of the means by the central limit theorem, at level 1e-12. Hebb's error is
    compared at each size, with that band alone. Bayes is the committee of all, and held against records by those of two and
    three alone. The asymptotes are extrapolated from roots at loads of some hundreds and thousands.
Refuted by:
    A record outside. The same check must refute Hebb's overlap without the 1/2, its error with one weight more and its limit
    for its value at finite size, the annealed mean of the version space, half the examples, Bayes for
    Gibbs and for three students, Gibbs for two and three, and a vote that is better by two for large loads.
Example:
    Errors at two examples a weight, and what alpha times the error tends to, for Gibbs and Bayes.

    >>> with jax.enable_x64(True):
    ...     told = predict_with()(problem_of(2.0))
    ...     print([round(float(x), 4) for x in (told.hebb, told.gibbs, told.bayes, *told.asymptotes)])
    [0.2308, 0.2403, 0.1745, 0.6247, 0.4417]
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import nctheory as nct
from proofs_numeric.bibliography_of_statistics import GYORGYI_1990, OPPER_1991, PAKMAN_2014, VALLET_1989
from proofs_numeric.conserved.vector_field import rounding_unit
from proofs_numeric.statistics.experiments import in_terms, normal_band, sampled
from proofs_numeric.statistics.perceptron_curves import (
    annealed_overlap,
    asymptote,
    committee_overlap,
    error,
    gibbs_overlap,
    hebb_error,
    hebb_overlap,
)
from proofs_numeric.statistics.version_space import COMMITTEES, LARGEST, VersionSpaces

ID = "teacher-perceptron"
FAR = 300.0
"""Asymptotes are looked at from so many times the load on (conventional)."""
DOUBLINGS = 4
HEBB, EARLY, STUDENTS = 0, 1, slice(2, 2 + len(COMMITTEES))
"""The columns of a record."""


def problem_of(load):
    """Build the record of a load."""
    return VersionSpaces(blocks=16, block=128, load=jnp.asarray(load))


def draw_instances(key):
    """Take all quarters up to the largest load: for these the numbers of examples are whole."""
    return [
        nct.Instance(problem_of(load), {"alpha": float(load)}) for load in np.arange(1, round(4 * LARGEST) + 1) / 4.0
    ]


class Prediction(NamedTuple):
    """Errors: Hebb's at every size and in the limit, of Gibbs, of committees of two and three, and Bayes; and asymptotes."""

    sizes: np.ndarray
    hebb: jax.Array
    gibbs: jax.Array
    committees: jax.Array
    bayes: jax.Array
    asymptotes: jax.Array


def predict_with(more=0, per_pi=0.5, limit=False, gibbs=gibbs_overlap, single=False, vote=2.0, crowd=lambda n: n):
    """Predict, or wrongly.

    With `more` weights for Hebb's rule, another number for its 1/2 or its limit at every size; with another overlap for Gibbs
    learning, or that of Bayes (`single`); with another number of students, or another gain of the vote for large loads.
    """

    def predict(problem):
        load = float(problem.load)
        sizes = np.array([hebb_error(round(load * d), d + more) for d in problem.sizes])
        hebb, overlap = error(hebb_overlap(load, per_pi)), gibbs(load)
        committees = jnp.stack([error(committee_overlap(overlap, crowd(n))) for n in COMMITTEES[1:]])
        bayes = error(jnp.sqrt(overlap))
        return Prediction(
            np.full(len(sizes), float(hebb)) if limit else sizes,
            hebb,
            bayes if single else error(overlap),
            committees,
            bayes,
            asymptote() / jnp.asarray([1.0, jnp.sqrt(vote)]),
        )

    return predict


def table(problem, values):
    """Return a record as a table, sizes by columns."""
    return values.reshape(len(problem.sizes), -1)


WEIGHTS = (1.0, 2.0)
"""The sizes of the weights of the last two means in the extrapolation (derived)."""


def limits(problem, params):
    """Return the limits of all columns, extrapolated in 1/d from the last two sizes, and their doubts.

    What the second order in 1/d leaves is a third of the change from the extrapolation before; three times that counts.
    """
    means, bands = table(problem, params.mean), table(problem, normal_band(problem, params.variance))
    before, found = 2.0 * means[1:] - means[:-1]
    weights = jnp.asarray(WEIGHTS)
    # The sizes are independent, so that their bands add in squares.
    band = jnp.sqrt(weights**2 @ bands[1:] ** 2)
    # A flight leaves half or less of what is remembered: what one flight fewer changes bounds what is left.
    left = weights @ jnp.abs(means[1:, EARLY])
    return found, jnp.abs(found - before) + band + jnp.where(jnp.arange(means.shape[1]) == HEBB, 0.0, left)


def limit_of(columns):
    """Observe the limits of some columns, and their doubts as terms."""
    return (
        lambda problem, params: limits(problem, params)[0][columns],
        lambda problem, params: in_terms(params, limits(problem, params)[1][columns]),
    )


def asymptotes(problem):
    """Return alpha times the errors of Gibbs and Bayes at far loads, extrapolated in 1/alpha, and before the last step."""
    loads = FAR * problem.load * jnp.asarray([2.0**k for k in range(DOUBLINGS)])
    overlaps = jax.vmap(gibbs_overlap)(loads)
    # arccos of an overlap near 1 by its sine, which keeps its digits.
    rows = jnp.stack([overlaps, jnp.sqrt(overlaps)], axis=1)
    found = loads[:, None] * 2.0 * jnp.arcsin(jnp.sqrt(0.5 * (1.0 - rows))) / jnp.pi
    before = found
    for order in range(1, DOUBLINGS):
        before, found = found, (2.0**order * found[1:] - found[:-1]) / (2.0**order - 1.0)
    return found[-1], before[-1]


def far_terms(problem, params):
    """Return twice the last change, and the digits that 1 - R has lost."""
    found, before = asymptotes(problem)
    lost = 8.0 * (FAR * problem.load * 2.0 ** (DOUBLINGS - 1)) ** 2
    return 2.0 * jnp.linalg.norm(found - before) / rounding_unit(params) + lost


def loaded(instance):
    """Tell whether there is at least one example a weight, so that the curves are apart."""
    return instance.parameters["alpha"] >= 1


def crowded(instance):
    """Tell whether there are enough for the annealed mean to be off."""
    return instance.parameters["alpha"] >= 1.5


def light(instance):
    """Tell whether there are few, so that finite size is seen."""
    return instance.parameters["alpha"] < 1


RECORD = "2,048 data sets of three sizes"
THEOREM = nct.register(
    nct.Theorem(
        id=ID,
        docstring=__doc__,
        hypotheses=(
            lambda i: float(i.problem.load) > 0,
            lambda i: min(i.problem.sizes) >= 3
            and all(abs(d * float(i.problem.load) - round(d * float(i.problem.load))) < 1e-9 for d in i.problem.sizes),
        ),
        sources=(
            VALLET_1989.remark("Hebb's overlap in the limit; its error at finite size is our own."),
            GYORGYI_1990.remark("The equation of the overlap of Gibbs learning, from memory."),
            OPPER_1991.remark("The root as the overlap of Bayes, and its gain for large loads; read was the abstract."),
            PAKMAN_2014.remark("The flights."),
        ),
        instances=draw_instances,
        predict=predict_with(),
        seeds=2,
        method=nct.theorems.Train(steps=(0,)),
        claims=(
            sampled(
                "Hebb at finite size", r"E\,\epsilon", lambda p, x: table(p, x.mean)[:, HEBB],
                lambda p, x: in_terms(x, table(p, normal_band(p, x.variance))[:, HEBB]), lambda t: t.sizes,
                resolution=0.05, of=RECORD,
            ),
            sampled("Hebb", r"\epsilon_H", *limit_of(HEBB), lambda t: t.hebb, resolution=0.1, of=RECORD),
            sampled("Gibbs", r"\epsilon_G", *limit_of(STUDENTS.start), lambda t: t.gibbs, resolution=0.15, of=RECORD),
            sampled(
                "committees", r"\epsilon_2,\epsilon_3", *limit_of(slice(STUDENTS.start + 1, STUDENTS.stop)),
                lambda t: t.committees, resolution=0.15, of=RECORD,
            ),
            nct.Equality(
                "asymptotes", r"\alpha\epsilon_G\to\sqrt2/c,\ \alpha\epsilon_B\to1/c", lambda p, x: asymptotes(p)[0],
                lambda t: t.asymptotes, scope="any point", terms=far_terms, resolution=1e-3,
                because="it is extrapolated from finite loads, where 1 - R has lost half of its digits",
            ),
        ),
        controls=(
            nct.Control("one weight more", "d for d-1", predict_with(more=1), claims=("Hebb at finite size",)),
            nct.Control("limit at finite size", "the limit at every size", predict_with(limit=True),
                        claims=("Hebb at finite size",), applies=light),
            nct.Control("without the half", "R = 1/sqrt(1 + pi/alpha)", predict_with(per_pi=1.0), claims=("Hebb",)),
            nct.Control("annealed", "the mean of the version space", predict_with(gibbs=annealed_overlap),
                        claims=("Gibbs",), applies=crowded),
            nct.Control("half the examples", "alpha/(2 pi)", predict_with(gibbs=lambda load: gibbs_overlap(load, 0.5)),
                        claims=("Gibbs", "committees"), applies=crowded),
            nct.Control("Bayes for Gibbs", "sqrt(R) for R", predict_with(single=True), claims=("Gibbs",), applies=loaded),
            nct.Control("vote of all for three", "R_B for R_3", predict_with(crowd=lambda n: 1e9), claims=("committees",),
                        applies=loaded),
            nct.Control("one for all", "R_1 for R_n", predict_with(crowd=lambda n: 1.0), claims=("committees",),
                        applies=loaded),
            nct.Control("twice as good", "half the error of Gibbs", predict_with(vote=4.0), claims=("asymptotes",)),
        ),
    )
)  # fmt: skip

if __name__ == "__main__":
    nct.show(nct.verify(THEOREM))
