r"""Double descent of least squares at finite size.

A linear teacher with noise is learned by least squares, by the least interpolant where there are fewer samples than weights.
The error grows up to the point where samples are as many as weights, and falls beyond it. Both branches are exact at every
size: the error in a direction is a Student variable, that of an interpolant an F variable, and at the peak they have so few
degrees of freedom that their mean is infinite.

Problem:
    $y=\langle w_*,x\rangle+s\epsilon$ with n samples, x and $\epsilon$ standard normal, d weights, $|w_*|=r$;
    $\hat w=X^+y$, the least of the least squares. The risk is $|\hat w-w_*|^2$.
Theorem (Hastie et al. 2022, number unchecked, for large sizes; at finite size classical facts in our words):
    For $d\le n$, $\sqrt{n-d+1}\,(\hat w-w_*)_1/s$ is a Student variable of n-d+1 degrees of freedom, and the mean risk is
    $\frac{s^2d}{n-d-1}$ for d < n-1. For $d>n$ the error is that of the fitted noise, $|X^+\epsilon|^2$, of which
    $\frac{d-n+1}n$ times is an F variable of n and d-n+1 degrees of freedom, and the teacher's part off the samples, of which
    the mean share is $1-\frac nd$; the mean risk is $(1-\frac nd)r^2+\frac{s^2n}{d-n-1}$ for d > n+1.
Hypotheses:
    - at least one sample and one weight
    - noise and a teacher that is not zero
Notation:
    Hastie et al.: $\gamma=d/n$; their limits are ours with d - n - 1 replaced by d - n.
Why:
    Given X the error for $d\le n$ is normal with the covariance $s^2(X^\top X)^{-1}$, and $1/((X^\top X)^{-1})_{11}$, the
    squared distance of a column from the span of the others, is $\chi^2_{n-d+1}$. For d > n, $|X^+\epsilon|^2=\epsilon^\top
    (XX^\top)^{-1}\epsilon$, which given $\epsilon$ is $|\epsilon|^2/\chi^2_{d-n+1}$ by the same fact and rotations; the span
    of the samples is a random subspace of n dimensions. Means of $1/\chi^2_k$ are $1/(k-2)$.
Checked:
    Data sets are drawn and fitted. The distribution functions at three points and the teacher's share are means of bounded
    numbers, held in the band of the empirical Bernstein inequality, which fails with probability 1e-12 at most, also at d = n,
    n-1 and n+1, where the mean risk is infinite. Where $|d-n|\ge10$ the mean risk is held in the band of the central limit
    theorem, whose level is one for large records.
Refuted by:
    One record outside its band. The same check must refute degrees of freedom and denominators that are off by one, the
    asymptotic formula, a share of n/d, and a risk without the teacher's part.
Example:
    The mean risk of 20 samples and 8 weights with noise of 0.5, and of 8 samples and 24 weights.

    >>> [round(float(mean_risk(*sizes, 0.5, 1.0)), 4) for sizes in ((20, 8), (8, 24))]
    [0.1818, 0.8]
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import fdtr, stdtr

import nctheory as nct
from proofs_numeric.bibliography_of_statistics import HASTIE_2022, MAURER_PONTIL_2009
from proofs_numeric.pool import log_uniform
from proofs_numeric.statistics.experiments import Experiment, bernstein, in_terms, normal_band, sampled

ID = "double-descent"
RECORD = "16,384 data sets"
SIZES = ((24, 8), (12, 12), (9, 10), (8, 24), (16, 15), (20, 6))
"""Numbers of samples and of weights, on both branches and next to the peak."""
CUTS = (0.4, 1.0, 3.0)
"""The points at which distribution functions are looked at."""
FAR = 10
"""From this difference between samples and weights on a mean risk has moments enough for the central limit theorem."""


class LeastSquares(Experiment):
    """Data sets of a linear teacher with noise, fitted by least squares."""

    samples: int = eqx.field(static=True, kw_only=True)
    weights: int = eqx.field(static=True, kw_only=True)
    noise: jax.Array = eqx.field(kw_only=True)
    teacher: jax.Array = eqx.field(kw_only=True)
    """It is r."""

    @property
    def over(self):
        """Tell whether there are more weights than samples."""
        return self.weights > self.samples

    def trial(self, key):
        """Return whether a variable is below each of the `CUTS`, the teacher's share off the samples, and the risk."""
        first, second = jax.random.split(key)
        x = jax.random.normal(first, (self.samples, self.weights), jnp.float64)
        noise = self.noise * jax.random.normal(second, (self.samples,), jnp.float64)
        teacher = self.teacher / jnp.sqrt(1.0 * self.weights) * jnp.ones(self.weights)
        spare = abs(self.samples - self.weights) + 1.0
        if self.over:
            fitted, of_noise = (x.T @ jnp.linalg.solve(x @ x.T, y) for y in (x @ teacher, noise))
            variable = jnp.sum(of_noise**2) / self.noise**2 * spare / self.samples
            off = jnp.sum((teacher - fitted) ** 2) / self.teacher**2
            error = fitted + of_noise - teacher
        else:
            error = jnp.linalg.solve(x.T @ x, x.T @ (x @ teacher + noise)) - teacher
            variable, off = jnp.sqrt(spare) * jnp.abs(error[0]) / self.noise, jnp.zeros(())
        below = (variable <= jnp.asarray(CUTS)).astype(jnp.float64)
        return jnp.concatenate([below, off[None], jnp.sum(error**2)[None]])


def draw_instances(key):
    """Draw noise and the teacher's length for pairs of sizes."""
    rng, drawn = nct.theorems.numpy_rng(key), []
    for samples, weights in SIZES:
        for _ in range(2):
            noise, teacher = log_uniform(rng, 0.3, 2.0), log_uniform(rng, 0.7, 2.0)
            problem = LeastSquares(
                blocks=32,
                block=512,
                samples=samples,
                weights=weights,
                noise=jnp.asarray(noise),
                teacher=jnp.asarray(teacher),
            )
            drawn.append(nct.Instance(problem, {"n": samples, "d": weights, "s": noise, "r": teacher}))
    return drawn


def under(instance):
    """Tell whether there are as many samples as weights, or more."""
    return not instance.problem.over


def over(instance):
    """Tell whether there are more weights than samples."""
    return instance.problem.over


def peak(instance):
    """Tell whether samples are as many as weights, or nearly so: where single degrees of freedom count."""
    return abs(instance.problem.samples - instance.problem.weights) <= 2


def far(instance):
    """Tell whether the risk has moments enough."""
    return abs(instance.problem.samples - instance.problem.weights) >= FAR


def mean_risk(samples, weights, noise, teacher, spare=1.0, off=1.0):
    """Return the mean risk; `spare` and `off` stand in for the 1 of the denominators and of the teacher's part."""
    n, d = float(samples), float(weights)
    if d <= n:
        return noise**2 * d / (n - d - spare)
    return off * (1.0 - n / d) * teacher**2 + noise**2 * n / (d - n - spare)


class Prediction(NamedTuple):
    """The distribution function at the cuts, the teacher's share off the samples, and the mean risk."""

    below: np.ndarray
    share: float
    risk: jax.Array


def predict_with(freedom=1, spare=1.0, off=1.0, turned=False):
    """Predict, or wrongly: other degrees of freedom or denominators, without the teacher's part, or with the share n/d."""

    def predict(problem):
        n, d = problem.samples, problem.weights
        left, cuts = max(abs(n - d) + freedom, 1e-3), np.asarray(CUTS)
        # The observed variable has the factor |n - d| + 1 or its root, whatever the degrees of freedom are said to be.
        stretch = left / (abs(n - d) + 1)
        if problem.over:
            below, share = fdtr(n, left, cuts * stretch), 1.0 - n / d
        else:
            below, share = 2.0 * stdtr(left, cuts * np.sqrt(stretch)) - 1.0, 0.0
        risk = mean_risk(n, d, problem.noise, problem.teacher, spare, off) if n != d + spare else jnp.inf
        return Prediction(below, 1.0 - share if turned else share, jnp.asarray(risk))

    return predict


def below(problem, params):
    """Return how many variables are below the cuts, as shares."""
    return params.mean[: len(CUTS)]


def below_terms(problem, params):
    """Return the band of the shares."""
    return in_terms(params, bernstein(problem, params.variance[: len(CUTS)]))


def share(problem, params):
    """Return the teacher's mean share off the samples."""
    return params.mean[len(CUTS)]


def share_terms(problem, params):
    """Return its band."""
    return in_terms(params, bernstein(problem, params.variance[len(CUTS)]))


def risk(problem, params):
    """Return the mean risk."""
    return params.mean[-1]


def risk_terms(problem, params):
    """Return its band, by the central limit theorem."""
    return in_terms(params, normal_band(problem, params.variance[-1]))


THEOREM = nct.register(
    nct.Theorem(
        id=ID,
        docstring=__doc__,
        hypotheses=(
            lambda i: min(i.problem.samples, i.problem.weights) >= 1,
            lambda i: float(i.problem.noise) > 0 and float(i.problem.teacher) > 0,
        ),
        sources=(
            HASTIE_2022.remark("The limits for large sizes; the laws at finite size are not from there."),
            MAURER_PONTIL_2009,
        ),
        instances=draw_instances,
        predict=predict_with(),
        seeds=8,
        method=nct.theorems.Train(steps=(0,)),
        claims=(
            sampled(
                "error in a direction",
                r"P(\sqrt{n-d+1}\,|\hat w-w_*|_1\le cs)",
                below,
                below_terms,
                lambda p: p.below,
                applies=under,
                resolution=0.08,
                of=RECORD,
            ),
            sampled(
                "fitted noise",
                r"P(\tfrac{d-n+1}n|X^+\epsilon|^2\le c)",
                below,
                below_terms,
                lambda p: p.below,
                applies=over,
                resolution=0.08,
                of=RECORD,
            ),
            sampled(
                "teacher's share",
                r"1-\frac nd",
                share,
                share_terms,
                lambda p: p.share,
                applies=over,
                resolution=0.2,
                of=RECORD,
            ),
            sampled(
                "mean risk",
                r"E|\hat w-w_*|^2",
                risk,
                risk_terms,
                lambda p: p.risk,
                applies=far,
                resolution=0.15,
                of=RECORD,
            ),
        ),
        controls=(
            *(
                nct.Control(
                    f"{name}, {freedom - 1:+d}",
                    f"degrees of freedom off by {freedom - 1:+d}",
                    predict_with(freedom=freedom),
                    claims=(name,),
                    applies=lambda i, branch=branch: branch(i) and peak(i),
                )
                for name, branch in (("error in a direction", under), ("fitted noise", over))
                for freedom in (0, 2)
            ),
            nct.Control(
                "large sizes",
                "n - d for n - d - 1",
                predict_with(spare=0.0),
                claims=("mean risk",),
                applies=lambda i: far(i) and under(i),
            ),
            nct.Control(
                "share turned", "n/d for 1 - n/d", predict_with(turned=True), claims=("teacher's share",), applies=over
            ),
            nct.Control(
                "without the teacher",
                "the risk of the fitted noise alone",
                predict_with(off=0.0),
                claims=("mean risk",),
                applies=lambda i: far(i) and over(i),
            ),
        ),
    )
)

if __name__ == "__main__":
    nct.show(nct.verify(THEOREM))
