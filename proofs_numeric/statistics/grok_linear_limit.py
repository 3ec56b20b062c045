r"""Late generalisation of a linear student, for many samples and weights.

How much later than the training loss the test loss of a linear student falls is known in the limit of many samples and
weights. It depends on nothing but the weights per sample: the closer these are to one, the slower the slowest direction, and
the larger the test loss is in comparison. Beyond one weight per sample a share of the test loss is never learned.

Problem:
    n samples $x_i$, standard normal in d dimensions, with labels $\langle w_*,x_i\rangle$, and the gradient flow $\dot
    w=-\nabla\frac1{2n}\sum_i\langle w-w_*,x_i\rangle^2$ from a start at distance 1 from $w_*$ in a random direction;
    $L_{tr}=\frac1n\sum_i\langle w-w_*,x_i\rangle^2$ and $L_{gen}=|w-w_*|^2$, averaged over the direction.
Theorem (Levi, Beck and Bar-Sinai 2024, number unchecked; in our own words):
    For $\gamma=d/n$ fixed the means tend to $L_{tr}(t)=E\,\nu e^{-2\nu t}$ and $L_{gen}(t)=E\,e^{-2\nu t}$, $\nu$ with the
    law of Marchenko and Pastur: density $\frac{\sqrt{(\nu_+-\nu)(\nu-\nu_-)}}{2\pi\gamma\nu}$, $\nu_\pm=(1\pm\sqrt\gamma)^2$,
    and for $\gamma>1$ the weight $1-\frac1\gamma$ at 0. So for $\gamma<1$ the ratio $L_{gen}/L_{tr}$ tends at late times to
    $\frac1{(1-\sqrt\gamma)^2}$.
Hypotheses:
    - at least one sample and one weight at every size
    - times are positive
Notation:
    Levi et al.: lambda for d/n.
Why:
    At finite size the losses are means over the eigenvalues of $\frac1n\sum_ix_ix_i^\top$ (grok-linear), whose law tends to
    that of Marchenko and Pastur; means of smooth functions over them have expansions in powers of 1/n. At late times only the
    lower edge counts, where $E\,\nu e^{-2\nu t}/E\,e^{-2\nu t}=\nu_-+\frac3{4t}+\dots$
Checked:
    Data sets of n, 2n, 4n and 8n samples are drawn. A quadratic polynomial of the eigenvalues, whose mean is known, is
    subtracted from both losses at every time to make their variance small. The limits are extrapolated from powers of 1/n;
    their tolerance is twice the change of the extrapolation, and the bands of the means by the central limit theorem, whose
    level is one for large records. In each data set of the least size the same two losses are taken a second time without
    eigenvalues, from the flow's propagator by scaling and squaring. The late ratio is extrapolated from quadratures in 1/t.
Refuted by:
    A record whose extrapolation is off by more, or a data set with other losses. The same check must refute a test loss
    without the weight at 0, losses that fall as $e^{-\nu t}$, the aspect ratio turned, and late ratios $(1-\sqrt\gamma)^{-1}$,
    $(1-\gamma)^{-2}$ and $(1+\sqrt\gamma)^{-2}$.
Example:
    The two losses at time 10 at four weights to five samples, the limit of their ratio, and what two weights per sample leave.

    >>> from proofs_numeric.statistics.marchenko_pastur import limiting_losses
    >>> train, test = limiting_losses(0.8, np.array([10.0]))[:, 0]
    >>> round(float(train), 7), round(float(test), 6), round(1 / (1 - math.sqrt(0.8)) ** 2, 3)
    (0.0029519, 0.056065, 89.721)
    >>> round(float(limiting_losses(2.0, np.array([60.0]))[1, 0]), 6)
    0.5
"""

import math
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import nctheory as nct
from proofs_numeric.bibliography_of_statistics import LEVI_2024, MARCHENKO_PASTUR_1967
from proofs_numeric.conserved.vector_field import one, rounding_unit, zero
from proofs_numeric.pool import log_uniform
from proofs_numeric.statistics.experiments import Experiment, normal_band
from proofs_numeric.statistics.marchenko_pastur import limiting_losses, sampled_losses, slowest

ID = "grok-linear-limit"
SIZES = ((4, 2), (2, 4), (8, 2), (3, 3))
"""Least numbers of samples, and of weights with them."""
DOUBLINGS, TIMES = 4, 3
SPANS = ((0.2, 0.5), (0.5, 1.2), (1.2, 3.0))
"""Between these a time is drawn each; later the least sizes, whose lowest eigenvalues scatter, say little of the limit
(conventional)."""
SCALE, ORDERS = 20.0, 4
"""The first time of the late ratio, in units of 1/nu_-, and the powers that are extrapolated away (measured: so the limit is
found to a relative 1.3e-9 at aspect ratios from 1/4 to 0.9, and the last change is as large or larger)."""


class Prediction(NamedTuple):
    """What is predicted of a record."""

    train: jax.Array
    test: jax.Array
    late: jax.Array
    """Of L_gen/L_tr, times nu_-."""


class LinearStudent(Experiment):
    """Data sets of several sizes, from which a linear student learns."""

    samples: int = eqx.field(static=True, kw_only=True)
    weights: int = eqx.field(static=True, kw_only=True)
    times: jax.Array = eqx.field(kw_only=True)
    polynomials: jax.Array = eqx.field(kw_only=True)
    """For each loss and time the coefficients, from the constant on, of a polynomial near what an eigenvalue adds."""

    @property
    def aspect(self):
        """Return d/n."""
        return self.weights / self.samples

    def trial(self, key):
        """Return both losses at all sizes less their polynomials, and by how much the propagator's are off at the least."""
        found = []
        for level, one_key in enumerate(jax.random.split(key, DOUBLINGS)):
            n, d = self.samples * 2**level, self.weights * 2**level
            data = jax.random.normal(one_key, (n, d), jnp.float64)
            train, test, covariance = sampled_losses(data, self.times)
            # tr C and tr C^2 have the means d and d (1 + (d + 1)/n).
            first, second = jnp.trace(covariance) / d - 1.0, jnp.sum(covariance**2) / d - 1.0 - (d + 1.0) / n
            known = self.polynomials[..., 1] * first + self.polynomials[..., 2] * second
            found.append((jnp.stack([train, test]) - known).ravel())
        data = jax.random.normal(key, (self.samples, self.weights), jnp.float64)
        return jnp.concatenate([*found, jnp.max(jnp.abs(self.propagated(data)))[None]])

    def propagated(self, data, rate=1.0):
        """Return both losses of a data set, by the flow's propagator, less those by eigenvalues, 2 x times."""
        train, test, covariance = sampled_losses(data, self.times)
        flows = jax.vmap(lambda t: jax.scipy.linalg.expm(-rate * t * covariance))(self.times)
        d = self.weights
        other = jnp.einsum("tij,ik,tkj->t", flows, covariance, flows) / d, jnp.sum(flows**2, axis=(1, 2)) / d
        return jnp.stack([other[0] - train, other[1] - test])


def draw_instances(key):
    """Draw three sets of times for several aspect ratios."""
    rng, drawn = nct.theorems.numpy_rng(key), []
    for samples, weights in SIZES:
        for _ in range(3):
            gamma, times = weights / samples, np.array([log_uniform(rng, *ends) for ends in SPANS])
            # Quadratic polynomials near what an eigenvalue adds to the losses, over the support of their law.
            low, high = (1 - math.sqrt(gamma)) ** 2, (1 + math.sqrt(gamma)) ** 2
            e = 0.5 * (low + high) + 0.5 * (high - low) * np.cos(np.linspace(0, np.pi, 40))
            fall = np.exp(-2.0 * times[:, None] * e[None, :])
            fits = [[np.polynomial.Polynomial.fit(e, y, 2).convert().coef for y in of] for of in (fall * e, fall)]
            problem = LinearStudent(
                blocks=16,
                block=256,
                samples=samples,
                weights=weights,
                times=jnp.asarray(times),
                polynomials=jnp.asarray(np.array(fits)),
            )
            shown = {"d/n": gamma, "t_1": float(times[0]), "t_2": float(times[1]), "t_3": float(times[2])}
            drawn.append(nct.Instance(problem, shown))
    return drawn


def edge(gamma):
    """Return nu_-."""
    return (1.0 - math.sqrt(gamma)) ** 2


def predict_with(turned=False, late=None, **change):
    """Predict the limits, or wrongly: with the aspect ratio turned, another late ratio, or what `limiting_losses` changes."""

    def predict(problem):
        gamma = problem.aspect
        losses = limiting_losses(1.0 / gamma if turned else gamma, np.asarray(problem.times), **change)
        told = 1.0 if late is None or not slow(gamma) else late(gamma) * edge(gamma)
        return Prediction(jnp.asarray(losses[0]), jnp.asarray(losses[1]), jnp.asarray(told))

    return predict


def slow(gamma):
    """Tell whether the slowest rate is not zero and the late ratio has a limit."""
    return gamma < 1.0


def means_of(problem, some):
    """Return the means or variances of one kind of losses, sizes x losses x times."""
    return some[:-1].reshape(DOUBLINGS, 2, TIMES)


def limit_of(loss):
    """Observe the limits of one loss at all times, and their tolerance."""

    def observed(problem, params):
        means = means_of(problem, params.mean)[:, loss]
        once = 2.0 * means[1:] - means[:-1]
        # a/n and b/n^2 are both extrapolated away.
        return (4.0 * once[-1] - once[-2]) / 3.0

    def terms(problem, params):
        means = means_of(problem, params.mean)[:, loss]
        once = 2.0 * means[1:] - means[:-1]
        twice = (4.0 * once[1:] - once[:-1]) / 3.0
        # (8 E_4 - 6 E_2 + E_1)/3 of the last three means.
        band = normal_band(problem, means_of(problem, params.variance)[:, loss])[-3:]
        band = jnp.einsum("l,lt->t", jnp.asarray([1.0, 6.0, 8.0]) / 3.0, band)
        return jnp.sqrt(jnp.sum((2.0 * jnp.abs(twice[-1] - twice[-2]) + band) ** 2)) / rounding_unit(params)

    return observed, terms


def flow(rate=None):
    """State that the flow's propagator gives the losses of each data set; a control takes another rate, of one data set."""

    def observed(problem, params):
        if rate is None:
            return params.mean[-1]
        data = jax.random.normal(jax.random.key(0), (problem.samples, problem.weights), jnp.float64)
        return jnp.max(jnp.abs(problem.propagated(data, rate)))

    def rounded(problem, params):
        # Squaring doubles the error of the propagator each time, and eigenvalues are at most 64 but once in many records.
        return 8.0 * problem.weights * (1.0 + 64.0 * problem.times[-1])

    statement = r"\tfrac1d\mathrm{tr}\,e^{-tC}Ce^{-tC}=\tfrac1d\sum\nu e^{-2\nu t}"
    return nct.Equality("flow", statement, observed, zero, scope="any point", terms=rounded, size=one)


def late_ratio(problem, params):
    """Return the late limit of L_gen/L_tr times nu_-, by quadratures; 1 where there is none."""
    if not slow(problem.aspect):
        return jnp.ones(())
    low = edge(problem.aspect)
    return jnp.asarray(low / slowest(problem.aspect, SCALE / low, ORDERS)[0])


def late_terms(problem, params):
    """Return twice the last change of the extrapolation."""
    if not slow(problem.aspect):
        return jnp.zeros(())
    low = edge(problem.aspect)
    return jnp.asarray(2.0 * slowest(problem.aspect, SCALE / low, ORDERS)[1] / low / rounding_unit(params))


def loss_claim(name, statement, loss, predicted):
    """State the limit of one loss."""
    observed, terms = limit_of(loss)
    return nct.Equality(
        name,
        statement,
        observed,
        predicted,
        scope="any point",
        terms=terms,
        resolution=0.1,
        because="it is extrapolated from means over 4,096 data sets of four sizes",
    )


def at_aspect(test):
    """Tell the instances whose d/n passes a test."""
    return lambda i: test(i.problem.aspect)


def wrong(name, text, claims, applies, **change):
    """Make a control of a wrong prediction."""
    return nct.Control(name, text, predict_with(**change), claims=tuple(claims.split(", ")), applies=applies)


BOTH = "training loss, test loss"
below, beyond, unequal = at_aspect(slow), at_aspect(lambda x: x > 1.0), at_aspect(lambda x: x != 1.0)
THEOREM = nct.register(
    nct.Theorem(
        id=ID,
        docstring=__doc__,
        hypotheses=(
            lambda i: min(i.problem.samples, i.problem.weights) >= 1,
            lambda i: float(jnp.min(i.problem.times)) > 0,
        ),
        sources=(
            LEVI_2024.remark("Read as an abstract; the formulas are derived here."),
            MARCHENKO_PASTUR_1967.remark("The law of the eigenvalues, from memory."),
        ),
        instances=draw_instances,
        predict=predict_with(),
        seeds=2,
        method=nct.theorems.Train(steps=(0,)),
        claims=(
            loss_claim("training loss", r"E\,\nu e^{-2\nu t}", 0, lambda p: p.train),
            loss_claim("test loss", r"E\,e^{-2\nu t}", 1, lambda p: p.test),
            flow(),
            nct.Equality(
                "late ratio",
                r"L_{gen}/L_{tr}\to1/(1-\sqrt\gamma)^2",
                late_ratio,
                lambda p: p.late,
                scope="any point",
                terms=late_terms,
                applies=below,
            ),
        ),
        controls=(
            wrong("zero forgotten", "no weight at 0", "test loss", beyond, atom=0.0),
            wrong("rate of the weights", "losses that fall as e^(-nu t)", BOTH, lambda i: True, rate=1.0),
            wrong("aspect ratio turned", "n/d for d/n", BOTH, unequal, turned=True),
            nct.Control("1e-6 fast", "a propagator of times longer by a relative 1e-6", versions=(flow(1 + 1e-6),)),
            wrong("root of the ratio", "1/(1-sqrt gamma)", "late ratio", below, late=lambda g: edge(g) ** -0.5),
            wrong("gamma for its root", "1/(1-gamma)^2", "late ratio", below, late=lambda g: (1 - g) ** -2.0),
            wrong("upper edge", "1/(1+sqrt gamma)^2", "late ratio", below, late=lambda g: (1 + math.sqrt(g)) ** -2.0),
        ),
    )
)

if __name__ == "__main__":
    nct.show(nct.verify(THEOREM))
