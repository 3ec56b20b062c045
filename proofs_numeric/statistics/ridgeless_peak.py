r"""The ridgeless peak at finite size: its height, width and place.

Where there are as many samples as weights, the mean error of least squares is infinite at every size, so that a mean says
nothing of how high the peak is. The typical error, the exponential of the mean logarithm, is finite and known exactly. It
grows with the first power of the size, is highest at equality without any shift, and falls within a number of weights that
does not grow: in the ratio of weights to samples the peak becomes as narrow as it becomes high.

Problem:
    $y=\langle w_*,x\rangle+s\epsilon$ with n samples, x and $\epsilon$ standard normal, d weights; $X^+y$ is the least of the
    least squares, and $R=|X^+(y-Xw_*)|^2$ the squared length of the fitted noise, which is the whole error for $d\le n$.
Theorem (own derivation, classical facts; the smallest eigenvalue: Edelman 1988, number unchecked, checked here):
    With $m=\min(n,d)$ and $k=|n-d|+1$, $R/s^2$ is a quotient of independent $\chi^2_m$ and $\chi^2_k$. So $P(R>t)$ falls as
    $t^{-k/2}$: the mean is infinite iff $|n-d|\le1$. $E\log\frac R{s^2}=\psi(\frac m2)-\psi(\frac k2)$, which for every n is
    largest at d = n. From n to 2n at fixed d - n its exponent is $(\psi(\frac{m_2}2)-\psi(\frac{m_1}2))/\log2$, at d = n
    $1+\frac1{2n\log2}+O(n^{-2})$, and $E\log R$ at n weights less that at $n+\delta$ is
    $\psi(\frac{1+\delta}2)-\psi(\frac12)$ whatever n. For d = n the smallest eigenvalue of $XX^\top$ has the density
    $\frac{n\Gamma(\frac{n+1}2)}{\sqrt{2\pi\lambda}}e^{-n\lambda/2}U(\frac{n-1}2,-\frac12,\frac\lambda2)$, and $n\lambda$
    in the limit the distribution function $1-e^{-t/2-\sqrt t}$.
Hypotheses:
    - at least one sample and one weight
    - noise that is not zero
Notation:
    Hastie et al.: $\gamma=d/n$. Their limit for large sizes at fixed $\gamma\ne1$ is $R\to s^2m/|n-d|$, the scaling form
    $R=ns^2f(d-n)$ with $f\sim1/|d-n|$ far from the peak. U is Tricomi's confluent hypergeometric function.
Why:
    For d > n, $R=s^2\epsilon^\top(XX^\top)^{-1}\epsilon$, which given $\epsilon$ is $s^2|\epsilon|^2$ over a $\chi^2_k$, for
    the inverse of the first entry of an inverse Wishart matrix is a $\chi^2$ of the degrees of freedom less those of the
    other rows. For $d\le n$ the error is $s(X^\top X)^{-1/2}z$ with a normal z, independent of X, and the same holds.
    $E\log\chi^2_j=\psi(\frac j2)+\log2$. The peak: $\psi(\frac m2)$ does not grow beyond d = n and $-\psi(\frac k2)$ falls
    on both sides. Edelman integrates the other eigenvalues of the Wishart density out.
Checked:
    Data sets of n and of 2n samples are drawn and fitted by linear solves. Distribution functions at three points are held in
    the band of the empirical Bernstein inequality, which fails with probability 1e-12 at most; mean logarithms and exponents
    in that of the central limit theorem: logarithms have all moments. The density is summed by quadrature.
Refuted by:
    One record outside its band. The same check must refute degrees of freedom that are off by one, the logarithm of the mean
    for the mean logarithm, the formula of large sizes, exponents of 1/2 and 2, the exponent 1 at two samples, the limit law of
    the smallest eigenvalue at two samples, and one that scales as 1/n^2.
Example:
    Exponents of the typical height from n to 2n samples, n = 2, 4, 8, 64, 128; the extrapolation of the last two.

    >>> found = [exponent(n, 0) for n in (2, 4, 8, 64, 128)]
    >>> [round(one, 4) for one in found], round(2 * found[4] - found[3], 4)
    ([1.4427, 1.2022, 1.0958, 1.0114, 1.0057], 1.0)
"""

import math
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import digamma, fdtr, gammaln, hyperu

import nctheory as nct
from proofs_numeric.bibliography_of_statistics import EDELMAN_1988, HASTIE_2022, MAURER_PONTIL_2009
from proofs_numeric.pool import log_uniform
from proofs_numeric.statistics.experiments import Experiment, bernstein, in_terms, normal_band, sampled

ID = "ridgeless-peak"
RECORD = "32,768 pairs of data sets"
SIZES = ((2, 0), (4, 0), (8, 0), (6, 1), (6, 3), (5, -1), (8, -2))
"""Numbers of samples, and of weights beyond these: at the peak, next to it and off it, on both sides."""
CUTS = (0.3, 2.0, 30.0)
"""The points at which the distribution function of R/(m s^2) is looked at: the last in the tail without a mean."""
LEAST = (0.05, 0.3, 1.5)
"""Those for n times the smallest eigenvalue."""
NODES = 64
"""Gauss-Legendre nodes of the density's integral (measured: with twice as many it changes by less than 1e-14)."""


class Peak(Experiment):
    """A data set of n samples and one of 2n, with equally many weights beyond these, fitted without a ridge."""

    samples: int = eqx.field(static=True, kw_only=True)
    beyond: int = eqx.field(static=True, kw_only=True)
    noise: jax.Array = eqx.field(kw_only=True)

    def trial(self, key):
        """Return whether R is below the cuts, ln R/s^2, its growth over ln 2, and whether the eigenvalue is below its cuts."""
        first, second = jax.random.split(key)
        small, least = self.fitted(first, self.samples)
        large, _ = self.fitted(second, 2 * self.samples)
        smaller = min(self.samples, self.samples + self.beyond)
        below = (small <= jnp.asarray(CUTS) * smaller).astype(jnp.float64)
        growth = jnp.log(large / small) / math.log(2.0)
        met = (self.samples * least <= jnp.asarray(LEAST)).astype(jnp.float64)
        return jnp.concatenate([below, jnp.stack([jnp.log(small), growth]), met])

    def fitted(self, key, samples):
        """Return R/s^2 of a data set, and the smallest eigenvalue of its Gram matrix where it is square, else 0."""
        inputs, targets = jax.random.split(key)
        weights = samples + self.beyond
        x = jax.random.normal(inputs, (samples, weights), jnp.float64)
        noise = self.noise * jax.random.normal(targets, (samples,), jnp.float64)
        teacher = jnp.ones(weights)
        if self.beyond > 0:
            gram = x @ x.T
            error = x.T @ jnp.linalg.solve(gram, noise)
        else:
            gram = x.T @ x
            error = jnp.linalg.solve(gram, x.T @ (x @ teacher + noise)) - teacher
        least = jnp.linalg.eigvalsh(gram)[0] if self.beyond == 0 and samples == self.samples else jnp.zeros(())
        return jnp.sum(error**2) / self.noise**2, least


def draw_instances(key):
    """Draw two levels of noise for each pair of sizes."""
    rng, drawn = nct.theorems.numpy_rng(key), []
    for samples, beyond in SIZES:
        for _ in range(2):
            noise = log_uniform(rng, 0.3, 2.0)
            problem = Peak(blocks=32, block=1024, samples=samples, beyond=beyond, noise=jnp.asarray(noise))
            drawn.append(nct.Instance(problem, {"n": samples, "d": samples + beyond, "s": noise}))
    return drawn


def typical(samples, beyond):
    """Return the mean logarithm of R/s^2."""
    return float(digamma(0.5 * min(samples, samples + beyond)) - digamma(0.5 * (abs(beyond) + 1)))


def exponent(samples, beyond):
    """Return the exponent with which the typical R grows from n to 2n samples, weights beyond these being as many."""
    return (typical(2 * samples, beyond) - typical(samples, beyond)) / math.log(2.0)


def least_law(samples, cuts):
    """Return the distribution function of n times the smallest eigenvalue of a square Wishart matrix, by quadrature."""
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    # With lambda = x^2 the integrand has no singularity.
    top = np.sqrt(np.asarray(cuts) / samples)
    x = 0.5 * top[:, None] * (1.0 + nodes)
    front = 2.0 * samples / math.sqrt(2.0 * math.pi) * math.exp(gammaln(0.5 * (samples + 1)))
    density = front * np.exp(-0.5 * samples * x**2) * hyperu(0.5 * (samples - 1), -0.5, 0.5 * x**2)
    return 0.5 * top * (density @ weights)


class Prediction(NamedTuple):
    """The distribution function at the cuts, the mean logarithm, the exponent, and the law of the smallest eigenvalue."""

    below: np.ndarray
    typical: float
    exponent: float
    least: np.ndarray


def predict_with(freedom=1, typical_of=typical, exponent_of=exponent, least_of=least_law):
    """Predict, or wrongly: with other degrees of freedom of the denominator, or by other formulas."""

    def predict(problem):
        n, beyond = problem.samples, problem.beyond
        k = max(abs(beyond) + freedom, 1e-3)
        return Prediction(
            below=fdtr(min(n, n + beyond), k, np.asarray(CUTS) * k),
            typical=typical_of(n, beyond),
            exponent=exponent_of(n, beyond),
            least=least_of(n, LEAST),
        )

    return predict


def recorded(part, band):
    """Observe means of a record, and their bands."""
    return lambda p, x: x.mean[part], lambda p, x: in_terms(x, band(p, x.variance[part]))


LAW, TYPICAL, GROWTH, SMALLEST = slice(0, 3), 3, 4, slice(5, 8)


def at_peak(instance):
    """Tell whether weights are as many as samples."""
    return instance.problem.beyond == 0


def beside(instance):
    """Tell whether they are not."""
    return instance.problem.beyond != 0


def off(instance):
    """Tell whether the mean is finite."""
    return abs(instance.problem.beyond) >= 2


def smallest_size(instance):
    """Tell whether the corrections to large sizes are largest."""
    return instance.problem.samples == 2


def log_mean(samples, beyond):
    """Return the logarithm of the mean, where it is finite: m/(k - 2)."""
    return math.log(min(samples, samples + beyond) / max(abs(beyond) - 1.0, 1e-3))


def large_sizes(samples, beyond):
    """Return the logarithm of the limit for large sizes, m/|n - d|."""
    return math.log(min(samples, samples + beyond) / max(abs(beyond), 1e-3))


def wrong(name, text, claim, applies, **change):
    """Make a control of a wrong prediction."""
    return nct.Control(name, text, predict_with(**change), claims=(claim,), applies=applies)


THEOREM = nct.register(
    nct.Theorem(
        id=ID,
        docstring=__doc__,
        hypotheses=(
            lambda i: min(i.problem.samples, i.problem.samples + i.problem.beyond) >= 1,
            lambda i: float(i.problem.noise) > 0,
        ),
        sources=(
            EDELMAN_1988.remark("The density of the smallest eigenvalue, from memory; the rest is our own."),
            HASTIE_2022.remark("The limit for large sizes away from the peak."),
            MAURER_PONTIL_2009,
        ),
        instances=draw_instances,
        predict=predict_with(),
        seeds=4,
        method=nct.theorems.Train(steps=(0,)),
        claims=(
            sampled(
                "law",
                r"P(R\le cms^2)=P(\chi^2_m\le cm\chi^2_k)",
                *recorded(LAW, bernstein),
                lambda p: p.below,
                resolution=0.1,
                of=RECORD,
            ),
            sampled(
                "typical height",
                r"E\log\frac R{s^2}=\psi(\frac m2)-\psi(\frac k2)",
                *recorded(TYPICAL, normal_band),
                lambda p: jnp.asarray(p.typical),
                resolution=0.2,
                of=RECORD,
            ),
            sampled(
                "exponent",
                r"(\psi(\frac{m_2}2)-\psi(\frac{m_1}2))/\log2",
                *recorded(GROWTH, normal_band),
                lambda p: jnp.asarray(p.exponent),
                resolution=0.35,
                of=RECORD,
            ),
            sampled(
                "smallest eigenvalue",
                r"P(n\lambda_{\min}\le c)",
                *recorded(SMALLEST, bernstein),
                lambda p: p.least,
                applies=at_peak,
                resolution=0.1,
                of=RECORD,
            ),
        ),
        controls=(
            wrong("k + 1", "degrees of freedom |n-d| + 2", "law", lambda i: True, freedom=2),
            wrong("k - 1", "degrees of freedom |n-d|", "law", lambda i: True, freedom=0),
            wrong("mean", "the logarithm of the mean", "typical height", off, typical_of=log_mean),
            wrong("large sizes", "the limit m/|n-d|", "typical height", beside, typical_of=large_sizes),
            wrong("root", "the exponent 1/2", "exponent", at_peak, exponent_of=lambda n, beyond: 0.5),
            wrong("square", "the exponent 2", "exponent", at_peak, exponent_of=lambda n, beyond: 2.0),
            wrong("no correction", "the exponent 1 at n = 2", "exponent", smallest_size, exponent_of=lambda n, b: 1.0),
            wrong(
                "limit law",
                "1 - exp(-t/2 - sqrt t) at n = 2",
                "smallest eigenvalue",
                smallest_size,
                least_of=lambda n, cuts: -np.expm1(-0.5 * np.asarray(cuts) - np.sqrt(cuts)),
            ),
            wrong(
                "square of n",
                "an eigenvalue that falls as 1/n^2",
                "smallest eigenvalue",
                at_peak,
                least_of=lambda n, cuts: least_law(n, np.asarray(cuts) / n),
            ),
        ),
    )
)

if __name__ == "__main__":
    nct.show(nct.verify(THEOREM))
