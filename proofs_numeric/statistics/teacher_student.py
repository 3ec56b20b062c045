r"""Ridge regression from a linear teacher.

The risk of ridge regression from a noisy linear teacher tends, for as many samples as weights up to a factor, to a closed
formula. The best decay is exact at every size and for every data set,
if the direction of the teacher is averaged: it is the ratio of noise to signal, per weight and sample.

Problem:
    $y=\langle w_*,x\rangle+s\epsilon$ with n samples, x and $\epsilon$ standard normal, d weights, $|w_*|=r$ in a random
    direction; $\hat w=(X^\top X+n\lambda)^{-1}X^\top y$. The risk is $E(|\hat w-w_*|^2\mid X)$.
Theorem (Dobriban and Wager 2018, number unchecked, for the limit; the optimum at finite size in our own words):
    For $\gamma=d/n$ fixed the mean risk tends to $r^2\lambda^2m'(-\lambda)+s^2\gamma(m(-\lambda)-\lambda m'(-\lambda))$ with
    $m(-\lambda)=\frac{-(1-\gamma+\lambda)+\sqrt{(1-\gamma+\lambda)^2+4\gamma\lambda}}{2\gamma\lambda}$. For every X
    the risk has its least value at $\lambda^*=\frac{s^2\gamma}{r^2}$, which is
    $\frac{s^2}n\mathrm{tr}(\frac1nX^\top X+\lambda^*)^{-1}$.
Hypotheses:
    - at least one weight at every size
    - positive decay, noise, and a teacher that is not zero
Notation:
    Dobriban and Wager: m is the Stieltjes transform of the law of Marchenko and Pastur.
Why:
    With the eigenvalues e of $\frac1nX^\top X$ the risk is $\sum_e\frac{\lambda^2r^2/d+es^2/n}{(e+\lambda)^2}$. Its derivative
    is $2(\lambda\frac{r^2}d-\frac{s^2}n)\sum_e\frac e{(e+\lambda)^3}$. The limit is the integral over the law of the
    eigenvalues; means of smooth functions over them have expansions in powers of 1/n.
Checked:
    Data sets of n, 2n, 4n and 8n samples are drawn, the risk of each is the sum of squares of the fitted map, and a quadratic
    polynomial of the eigenvalues, whose mean is known, is subtracted to make its variance small. The limit is extrapolated
    from powers of 1/n; its tolerance is twice the change of the extrapolation, and the bands of the means by the central limit
    theorem, whose level is one for large records. The derivative in the decay is automatic, and its size, averaged over the
    data sets of a record, vanishes at $\lambda^*$.
Refuted by:
    A record whose extrapolation is off by more, or a data set with another optimum. The same check must refute the formula
    without its derivative, with the aspect ratio turned, without what noise adds, and optima without the aspect ratio, or with
    the signal's length for its square.
Example:
    The limit at aspect ratio 1/2, decay 0.3 and half a unit of noise variance, and at the best decay.

    >>> round(float(limiting_risk(0.5, 0.3, 0.5, 1.0)), 5), round(float(limiting_risk(0.5, 0.25, 0.5, 1.0)), 5)
    (0.28273, 0.28078)
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import nctheory as nct
from proofs_numeric.bibliography_of_statistics import DOBRIBAN_WAGER_2018
from proofs_numeric.conserved.vector_field import one, rounding_unit, zero
from proofs_numeric.pool import log_uniform
from proofs_numeric.statistics.experiments import Experiment, normal_band

ID = "teacher-student"
SIZES = ((4, 2), (2, 4), (8, 2), (3, 3))
"""Least numbers of samples, and of weights with them."""
DOUBLINGS = 4


class RidgeTeacher(Experiment):
    """Data sets of several sizes, of which the risk of ridge regression is taken."""

    samples: int = eqx.field(static=True, kw_only=True)
    weights: int = eqx.field(static=True, kw_only=True)
    decay: jax.Array = eqx.field(kw_only=True)
    noise: jax.Array = eqx.field(kw_only=True)
    """It is s^2."""
    signal: jax.Array = eqx.field(kw_only=True)
    """It is r^2."""
    polynomial: jax.Array = eqx.field(kw_only=True)
    """The coefficients, from the constant on, of a polynomial near what every eigenvalue adds to d times the risk."""

    @property
    def aspect(self):
        """Return d/n."""
        return self.weights / self.samples

    def risk(self, x, decay):
        """Return the mean of |w - w_*|^2 over noise and directions: of the map from y to w, and of what it makes of w_*."""
        n, d = x.shape
        learned = jnp.linalg.solve(x.T @ x + n * decay * jnp.eye(d), x.T)
        return self.signal / d * jnp.sum((learned @ x - jnp.eye(d)) ** 2) + self.noise * jnp.sum(learned**2)

    def trial(self, key):
        """Return the risks at all sizes less their polynomials, and at the least size what is zero at the optimum.

        The last two are sizes of the derivative of the risk in the logarithm of the decay, and of the risk less its formula.
        """
        risks = []
        for level, one_key in enumerate(jax.random.split(key, DOUBLINGS)):
            n, d = self.samples * 2**level, self.weights * 2**level
            x = jax.random.normal(one_key, (n, d), jnp.float64)
            gram = (x.T @ x if d <= n else x @ x.T) / n
            # tr W and tr W^2 have the means d and d (1 + (d + 1)/n).
            first, second = jnp.trace(gram) / d - 1.0, jnp.sum(gram**2) / d - 1.0 - (d + 1.0) / n
            risks.append(self.risk(x, self.decay) - self.polynomial[1] * first - self.polynomial[2] * second)
        x = jax.random.normal(key, (self.samples, self.weights), jnp.float64)
        return jnp.concatenate([jnp.stack(risks), self.at_optimum(x, self.noise * self.aspect / self.signal)])

    def at_optimum(self, x, decay):
        """Return the derivative at a decay in its logarithm, and the risk less its formula, relative to the risk."""
        n, d = x.shape
        value, slope = jax.value_and_grad(lambda t: self.risk(x, jnp.exp(t)))(jnp.log(decay))
        told = self.noise / n * jnp.trace(jnp.linalg.inv(x.T @ x / n + decay * jnp.eye(d)))
        return jnp.abs(jnp.stack([slope, value - told])) / value


def draw_instances(key):
    """Draw decay, noise and signal for several aspect ratios."""
    rng, drawn = nct.theorems.numpy_rng(key), []
    for samples, weights in SIZES:
        for _ in range(3):
            decay, noise, signal = log_uniform(rng, 0.2, 1.0), log_uniform(rng, 0.2, 2.0), log_uniform(rng, 0.5, 2.0)
            gamma = weights / samples
            # A quadratic polynomial near the risk that an eigenvalue adds, over the support of their law.
            low, high = (1 - np.sqrt(gamma)) ** 2, (1 + np.sqrt(gamma)) ** 2
            e = 0.5 * (low + high) + 0.5 * (high - low) * np.cos(np.linspace(0, np.pi, 40))
            fitted = np.polynomial.Polynomial.fit(e, (decay**2 * signal + e * gamma * noise) / (e + decay) ** 2, 2)
            problem = RidgeTeacher(
                blocks=32,
                block=256,
                samples=samples,
                weights=weights,
                decay=jnp.asarray(decay),
                noise=jnp.asarray(noise),
                signal=jnp.asarray(signal),
                polynomial=jnp.asarray(fitted.convert().coef),
            )
            shown = {"d/n": gamma, "lambda": decay, "noise": noise, "signal": signal}
            drawn.append(nct.Instance(problem, shown))
    return drawn


def limiting_risk(gamma, decay, noise, signal, derivative=1.0):
    r"""Return $r^2\lambda^2m'+s^2\gamma(m-\lambda m')$ at $-\lambda$; `derivative` times its terms with m'."""

    def transform(z):
        b = 1.0 - gamma + z
        return (jnp.sqrt(b**2 + 4.0 * gamma * z) - b) / (2.0 * gamma * z)

    m, slope = jax.value_and_grad(transform)(jnp.asarray(decay, jnp.result_type(float)))
    prime = -derivative * slope
    return signal * decay**2 * prime + noise * gamma * (m - decay * prime)


def turned_differs(instance):
    """Tell whether d/n and n/d differ."""
    return instance.problem.aspect != 1


def predict_with(turned=False, noisy=1.0, **change):
    """Predict the limit, or wrongly: with the aspect ratio turned, without noise, or without derivatives."""

    def predict(problem):
        gamma = 1.0 / problem.aspect if turned else problem.aspect
        return limiting_risk(gamma, problem.decay, noisy * problem.noise, problem.signal, **change)

    return predict


def extrapolated(means):
    """Return 2 E_{2n} - E_n for every n: the limit up to the second order in 1/n."""
    return 2.0 * means[1:] - means[:-1]


def limit(problem, params):
    """Return the limit of the mean risk, of third order: a/n and b/n^2 are both extrapolated away."""
    once = extrapolated(params.mean[:DOUBLINGS])
    return (4.0 * once[-1] - once[-2]) / 3.0


def limit_terms(problem, params):
    """Return twice the change of the extrapolation from one size to the next, and the bands with their weights."""
    once = extrapolated(params.mean[:DOUBLINGS])
    twice = (4.0 * once[1:] - once[:-1]) / 3.0
    # (8 E_4 - 6 E_2 + E_1)/3 of the last three means.
    band = normal_band(problem, params.variance[:DOUBLINGS])[-3:] @ (jnp.asarray([1.0, 6.0, 8.0]) / 3.0)
    return (2.0 * jnp.abs(twice[-1] - twice[-2]) + band) / rounding_unit(params)


def optimum(stretch=None):
    """State that the derivative vanishes at the best decay and that the risk there is its formula, at all data sets.

    A control looks at another decay, by `stretch(problem)` times as large, at a data set of its own.
    """

    def observed(problem, params):
        if stretch is None:
            return params.mean[DOUBLINGS:]
        key = jax.random.key(0)
        x = jax.random.normal(key, (problem.samples, problem.weights), jnp.float64)
        return problem.at_optimum(x, stretch(problem) * problem.noise * problem.aspect / problem.signal)

    def rounded(problem, params):
        # Solving with X'X + n lambda loses at most its condition, and eigenvalues are at most 64 but once in many records.
        decay = problem.noise * problem.aspect / problem.signal
        return 8.0 * (1.0 + 64.0 / decay) * jnp.ones(())

    statement = (
        r"\partial_\lambda R(\lambda^*)=0,\ R(\lambda^*)=\tfrac{s^2}n\mathrm{tr}(\tfrac1nX^\top X+\lambda^*)^{-1}"
    )
    return nct.Equality("optimum", statement, observed, zero, scope="any point", terms=rounded, size=one)


THEOREM = nct.register(
    nct.Theorem(
        id=ID,
        docstring=__doc__,
        hypotheses=(
            lambda i: min(i.problem.samples, i.problem.weights) >= 1,
            lambda i: min(float(i.problem.decay), float(i.problem.noise), float(i.problem.signal)) > 0,
        ),
        sources=(
            DOBRIBAN_WAGER_2018.remark("The limit of the risk; the exact optimum at finite size is in our words."),
        ),
        instances=draw_instances,
        predict=predict_with(),
        seeds=4,
        method=nct.theorems.Train(steps=(0,)),
        claims=(
            nct.Equality(
                "limit",
                r"r^2\lambda^2m'+s^2\gamma(m-\lambda m')",
                limit,
                lambda risk: risk,
                scope="any point",
                terms=limit_terms,
                resolution=0.1,
                because="it is extrapolated from means over 8,192 data sets of four sizes",
            ),
            optimum(),
        ),
        controls=(
            nct.Control("without the derivative", "m' left out", predict_with(derivative=0.0), claims=("limit",)),
            nct.Control(
                "aspect ratio turned",
                "n/d for d/n",
                predict_with(turned=True),
                claims=("limit",),
                applies=turned_differs,
            ),
            nct.Control("without noise", "the bias alone", predict_with(noisy=0.0), claims=("limit",)),
            nct.Control(
                "optimum without d/n",
                "s^2/r^2",
                versions=(optimum(lambda p: 1.0 / p.aspect),),
                applies=turned_differs,
            ),
            nct.Control("signal's length", "s^2 gamma/r", versions=(optimum(lambda p: jnp.sqrt(p.signal)),)),
        ),
    )
)

if __name__ == "__main__":
    nct.show(nct.verify(THEOREM))
