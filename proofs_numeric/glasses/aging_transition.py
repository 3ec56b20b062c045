r"""The temperature below which spherical two-spin models age.

Above a critical temperature the correlation of two times forgets when the system was prepared: after a while it depends on
their difference alone, and vanishes as it grows. Below, it never does: it falls from a plateau by a function of the ratio of
the times, the older the slower. The temperature between is known for every law of the couplings' eigenvalues: it is that at
which a perturbation of rank one detaches an eigenvalue from them, and for normal couplings it is their strength.

Problem:
    $\dot x=Mx-z(t)x+\sqrt{2T}\xi$ of N spins, $\frac1NE|x|^2=1$ by the choice of z, M symmetric with rotation-invariant
    law, from a start that knows nothing of M; $C(t,s)=\frac1NE\langle x(t),x(s)\rangle$. The law of M's eigenvalues is
    $\rho\propto(2J-\mu)^a(2J+\mu)^b$ on [-2J, 2J]; normal couplings have a = b = 1/2.
Theorem (Cugliandolo and Dean 1995, number unchecked; other laws than a = b = 1/2, and finite N, in our own words):
    At every N the moments along M's eigenvectors, without z, obey $\dot y=2(\mathrm{diag}(\mu)+\frac TN11^\top)y$, and
    $C(t,s)=\frac1N\sum_ie^{\mu_i(t-s)}y_i(s)/\sqrt{\Gamma(t)\Gamma(s)}$, $\Gamma=\frac1N\sum_iy_i$. For $N\to\infty$ and then
    $s\to\infty$ let $T_c=1/\int\frac{\rho(d\mu)}{2J-\mu}=\frac{4a}{a+b+1}J$. For $T>T_c$, $C(s+\tau,s)\to
    T\int\rho(d\mu)\frac{e^{-(z-\mu)\tau}}{z-\mu}$ with $T\int\frac{\rho(d\mu)}{z-\mu}=1$, z > 2J. For $T<T_c$ and fixed
    $\lambda=s/t$, $C(t,s)\to(1-\frac T{T_c})(\frac{4\lambda}{(1+\lambda)^2})^{(1+a)/2}$. At $T_c$,
    $C(4t,2t)/C(2t,t)\to2^{-a}$; below, this ratio tends to 1, above to 0.
Hypotheses:
    - a law of exponents 0 < a < 1 and b >= 0, J > 0
    - a temperature below T_c, and one above
Notation:
    Cugliandolo and Dean: J = 1, a = b = 1/2, so that $T_c=1$ and the exponent is 3/4.
Why:
    Without z the equation is linear, with the noise $\sqrt{2T\Gamma}\xi$; its normalisation by $\sqrt\Gamma$ is x. So
    $\Gamma=g+2T\,g*\Gamma$ with $g(t)=\int\rho e^{2\mu t}$, and the transform of $\Gamma$ has a pole beyond the edge, at 2z,
    if and only if $T\int\rho/(2J-\mu)>1$. Then $\Gamma\sim e^{2zt}$, and z(t) is constant. Otherwise
    $\Gamma\sim(1-T/T_c)^{-2}g$ for $T<T_c$, with $g\sim e^{4Jt}t^{-1-a}$, and at $T_c$ $\Gamma\sim e^{4Jt}t^{a-1}$.
Checked:
    At finite N: random spectra of ten normal couplings, from random moments; the nonlinear equation of the moments, with z,
    is integrated, with two step lengths, and C of several pairs of times compared with the formula. At infinite N: 149 nodes,
    spaced evenly in the logarithm of the distance from the edge, stand for the law, at ages up to 65,536/J. The transition is
    located without any formula for it: at the temperature at which $C(4t,2t)/C(2t,t)$ does not change when t is doubled,
    found by a search in an interval from 0.05 J to 6 J, at four ages and extrapolated in the age; the tolerance is twice the
    last change of the extrapolation. The limit below is extrapolated from the same ages, that above compared at the last.
Refuted by:
    A crossing elsewhere, or a limit outside. The same check must refute J for $T_c$ at other laws, its exponents exchanged
    and its factor 4 halved, plateaus $1-(T/T_c)^2$, the exponent (1+a)/4 and another exponent at $T_c$, a stationary
    correlation with z at the edge, and moments without the noise of z.
Example:
    Normal couplings: where the ratio of correlations at ages 256 and 512 crosses, at infinite size.

    >>> from proofs_numeric.glasses.thermal_sphere import crossing
    >>> with jax.enable_x64(True):
    ...     problem = problem_of(0.5, 0.5, 1.0, 0.5, 2.0)
    ...     print(round(float(crossing(problem.values, problem.weights, 256.0, (0.05, 6.0))[0]), 3))
    1.0
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import nctheory as nct
from proofs_numeric.bibliography_of_glasses import CUGLIANDOLO_1995
from proofs_numeric.conserved.vector_field import one, rounding_unit, zero
from proofs_numeric.glasses.coupled_spins import AGES, NODES, SPINS, problem_of
from proofs_numeric.glasses.thermal_sphere import correlation, equilibrium, integrated, modes
from proofs_numeric.pool import log_uniform

ID = "sk-aging-transition"
RATIOS = (2.0, 4.0)
"""t/s."""
LAGS = (0.5, 2.0)
PAIRS, STEPS = (0.3, 0.8, 1.6, 3.0), 200
"""The times whose consecutive pairs are compared at finite size, and the steps between two of them."""


def draw_instances(key):
    """Draw strengths, temperatures and exponents; every third law is that of normal couplings.

    With a above 0.55 the exponent at the transition is not known to five per cent at the last age: measured, ten at a = 0.62.
    """
    rng, drawn = nct.theorems.numpy_rng(key), []
    for number in range(10):
        edge, other = (0.5, 0.5) if number % 3 == 0 else (rng.uniform(0.35, 0.55), rng.uniform(0.0, 0.8))
        strength, cold, hot = log_uniform(rng, 0.3, 3.0), rng.uniform(0.2, 0.7), rng.uniform(1.7, 3.0)
        shown = {"a": edge, "b": other, "J": strength, "cold": cold, "hot": hot}
        drawn.append(nct.Instance(problem_of(edge, other, strength, cold, hot), shown))
    return drawn


def critical(problem, factor=4.0):
    """Return T_c."""
    return factor * problem.edge / (problem.edge + problem.other + 1.0) * problem.strength


class Prediction(NamedTuple):
    """The transition, the exponent of the ratio there, the correlations below and above."""

    transition: jax.Array
    exponent: jax.Array
    aged: jax.Array
    settled: jax.Array


def predict_with(transition=critical, plateau=1.0, power=0.5, exponent=1.0, edge=False):
    """Predict, or wrongly: another transition, power of T/T_c or of the ratio of times, exponent at T_c, or z at the edge."""

    def predict(problem):
        told = critical(problem)
        ratios = 1.0 / jnp.asarray(RATIOS)
        shape = (4.0 * ratios / (1.0 + ratios) ** 2) ** (power * (1.0 + problem.edge))
        lags = jnp.asarray(LAGS) / problem.strength
        # With z at the edge the temperature is the critical one, whatever it is.
        at = told * (1.0 + 1e-9) if edge else problem.hot
        settled = jax.vmap(lambda lag: equilibrium(problem.values, problem.weights, at, lag))(lags)
        return Prediction(
            transition(problem), -exponent * problem.edge, (1.0 - (problem.cold / told) ** plateau) * shape, settled
        )

    return predict


def accelerated(rows):
    """Return the limit of rows at ages in a constant ratio by Aitken's formula, and its change from the rows before."""
    steps = rows[1:] - rows[:-1]
    ratio = steps[1:] / steps[:-1]
    found = rows[2:] + steps[1:] * ratio / (1.0 - ratio)
    return found[-1], jnp.abs(found[-1] - found[-2])


def aged(problem, params):
    """Return C at the ages and ratios of times, below the transition."""
    system = modes(problem.values, problem.weights, problem.cold)
    ages, ratios = jnp.asarray(AGES) / problem.strength, jnp.asarray(RATIOS)
    return jax.vmap(lambda s: jax.vmap(lambda ratio: correlation(system, ratio * s, s))(ratios))(ages)


def extrapolated(rows):
    """Observe an extrapolation in the age, and twice its last change."""

    def observed(problem, params):
        return accelerated(rows(problem, params))[0]

    def terms(problem, params):
        return 2.0 * jnp.linalg.norm(accelerated(rows(problem, params))[1]) / rounding_unit(params)

    return observed, terms


def settled(problem, params):
    """Return C(s + lag, s) at the last age, above the transition."""
    system, age = modes(problem.values, problem.weights, problem.hot), AGES[-1] / problem.strength
    return jax.vmap(lambda lag: correlation(system, age + lag, age))(jnp.asarray(LAGS) / problem.strength)


def settled_terms(problem, params):
    """Return what is left of the start, the change of C since half the age, and the rounding of the leading eigenvector.

    An eigenvector of a matrix A is known to the rounding of |A| over the distance of its eigenvalue from the next.
    """
    system, age = modes(problem.values, problem.weights, problem.hot), 0.5 * AGES[-1] / problem.strength
    earlier = jax.vmap(lambda lag: correlation(system, age + lag, age))(jnp.asarray(LAGS) / problem.strength)
    rounded = NODES * system.growth[-1] / (system.growth[-1] - system.growth[-2])
    return jnp.linalg.norm(earlier - settled(problem, params)) / rounding_unit(params) + rounded


def finite_size(noise=1.0):
    """State that C of a finite system, with its moments integrated, is that of the formula; `noise` times T in it."""
    weights = np.full(SPINS, 1.0 / SPINS)

    def told(problem, params, steps):
        times = [time / problem.strength for time in PAIRS]
        return integrated(params.values, weights, problem.hot, params.begun, times, steps)

    def both(problem, params):
        # Runge and Kutta's error is of the fourth order: a sixteenth with half the step.
        coarse, fine = (told(problem, params, steps) for steps in (STEPS, 2 * STEPS))
        return fine + (fine - coarse) / 15.0, fine - coarse

    def observed(problem, params):
        system = modes(params.values, weights, noise * problem.hot)
        times = [0.0, *PAIRS]
        begun = params.begun / jnp.mean(params.begun)
        pairs = [
            correlation(system, t / problem.strength, s / problem.strength, begun)
            for s, t in zip(times[:-1], PAIRS, strict=True)
        ]
        return both(problem, params)[0] - jnp.stack(pairs)

    def terms(problem, params):
        return jnp.linalg.norm(both(problem, params)[1]) / rounding_unit(params) + 100.0

    statement = r"C(t,s)=\tfrac1N\sum_ie^{\mu_i(t-s)}y_i(s)/\sqrt{\Gamma(t)\Gamma(s)}"
    return nct.Equality("finite size", statement, observed, zero, scope="any point", terms=terms, size=one)


def limit(name, statement, rows, predicted, resolution):
    """State a limit in the age."""
    observed, terms = extrapolated(rows)
    because = "it is extrapolated from finite ages, which it approaches by powers below one"
    return nct.Equality(
        name, statement, observed, predicted, scope="any point", terms=terms, resolution=resolution, because=because
    )


def other_law(instance):
    """Tell whether the couplings are not normal, by enough to be seen."""
    return abs(float(critical(instance.problem) / instance.problem.strength) - 1.0) > 0.05


THEOREM = nct.register(
    nct.Theorem(
        id=ID,
        docstring=__doc__,
        hypotheses=(
            lambda i: 0 < float(i.problem.edge) < 1 and float(i.problem.other) >= 0 and float(i.problem.strength) > 0,
            lambda i: 0 < float(i.problem.cold) < float(critical(i.problem)) < float(i.problem.hot),
        ),
        sources=(CUGLIANDOLO_1995.remark("Normal couplings in the limit; other laws and finite size are our own."),),
        instances=draw_instances,
        predict=predict_with(),
        seeds=2,
        method=nct.theorems.Train(steps=(0,)),
        claims=(
            finite_size(),
            limit("transition", r"T_c=\tfrac{4a}{a+b+1}J", lambda p, x: x.crossings[:, 0], lambda t: t.transition, 1e-3),
            limit("at the transition", r"\log_2C(4t,2t)/C(2t,t)\to-a", lambda p, x: x.crossings[:, 1],
                  lambda t: t.exponent, 0.05),
            limit("ageing", r"C(t,s)\to(1-T/T_c)(4\lambda/(1+\lambda)^2)^{(1+a)/2}", aged, lambda t: t.aged, 0.02),
            nct.Equality(
                "stationary", r"C(s+\tau,s)\to T\int\rho e^{-(z-\mu)\tau}/(z-\mu)", settled, lambda t: t.settled,
                scope="any point", terms=settled_terms,
            ),
        ),
        controls=(
            nct.Control("J for T_c", "the transition of normal couplings", predict_with(lambda p: p.strength),
                        claims=("transition",), applies=other_law),
            nct.Control("half of T_c", "2a/(a+b+1)", predict_with(lambda p: critical(p, 2.0)), claims=("transition",)),
            nct.Control("plateau", "1 - (T/T_c)^2", predict_with(plateau=2.0), claims=("ageing",)),
            nct.Control("exponent halved", "(1+a)/4", predict_with(power=0.25), claims=("ageing",)),
            nct.Control("-2a", "2^{-2a} at T_c", predict_with(exponent=2.0), claims=("at the transition",)),
            nct.Control("z at the edge", "a correlation that is critical", predict_with(edge=True), claims=("stationary",)),
            nct.Control("1e-5 hot", "a temperature larger by a relative 1e-5", versions=(finite_size(1.0 + 1e-5),)),
        ),
    )
)  # fmt: skip

if __name__ == "__main__":
    nct.show(nct.verify(THEOREM))
