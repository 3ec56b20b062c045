r"""Two factors: the gradient certificate decides globality.

How can one know that a point is a global minimum of a problem that is not convex? For two factors with decay the answer
is one number: the spectral norm of the gradient of the fit. If it does not exceed what the decay can balance, the point
is global; if it does, there is a way down, and the excess says how far at least. Almost every certificate in this
collection rests on this theorem, and with three factors it is false.

Problem:
    $\min_{W,H}F(WH)+\frac{\lambda_W}2|W|_F^2+\frac{\lambda_H}2|H|_F^2$ over $W\in\mathbb R^{K\times d}$ and
    $H\in\mathbb R^{d\times N}$; here F is the mean cross-entropy or squared error of N samples.
Theorem (Haeffele and Vidal 2015, number unchecked; the bounds on the minimum are our own):
    Let $f(W,H)=F(WH)+\frac{\lambda_W}2|W|_F^2+\frac{\lambda_H}2|H|_F^2$ with F convex, $F\ge0$ and $\nabla F$ of
    Lipschitz constant L, $G=\nabla F(WH)$, $\lambda=\sqrt{\lambda_W\lambda_H}$ and $d\ge K$. A critical point with
    $|G|_2\le\lambda$ is a global minimiser; at every critical point $f/\max(|G|_2/\lambda,1)\le\min f\le
    f-\frac1{2L}\sum_i(s_i(G)-\lambda)_+^2$, and for $F=\frac1{2N}|Z-Y|_F^2$ the right-hand side is $\min f$ itself. A
    critical point with $|G|_2>\lambda$ is a strict saddle.
Hypotheses:
    - two factors
    - free features
    - no bias
    - all decays > 0
    - F convex and F >= 0, here squared error or cross-entropy
    - d >= K
Notation:
    Haeffele, Vidal: factors U, V^T; the polar of the regulariser is for two squared norms the spectral norm.
Why:
    At a critical point $GH^\top=-\lambda_WW$ and $W^\top G=-\lambda_HH$, so that $\lambda_WW^\top W=\lambda_HHH^\top$,
    the decay costs $\lambda|Z|_*$, and with $Z=U\Sigma V^\top$ of its rank $G=-\lambda UV^\top+G'$ where $U^\top G'=0$
    and $G'V=0$. Every Z' costs at least $F(Z)+\langle G,Z'-Z\rangle+\lambda|Z'|_*\ge f-(|G|_2-\lambda)_+|Z'|_*$. At the
    minimum $\lambda|Z'|_*\le\min f$, because $F\ge0$: this is the lower bound, and globality where $|G|_2\le\lambda$.
    Let E be the part of G beyond $\lambda$, $|E|_F^2=\sum_i(s_i(G)-\lambda)_+^2$. It is orthogonal to Z on both sides,
    so that $Z-E/L$, which factors because $d\ge K$, costs at most $f-\langle
    G,E\rangle/L+|E|_F^2/2L+\lambda|E|_*/L=f-|E|_F^2/2L$. For squared error $F(Z+\Delta)=F(Z)+\langle
    G,\Delta\rangle+\frac1{2N}|\Delta|_F^2$ and $|G-E|_2\le\lambda$, so that no product costs less than
    $f+\min_\Delta(\langle E,\Delta\rangle+\frac1{2N}|\Delta|_F^2)$, which is the same number. If $|G|_2>\lambda$, then
    $G'\ne0$ and W has a rank below $K\le d$: there is a unit vector a with $Wa=0$ and $H^\top a=0$. With the leading
    singular vectors u, v of G, adding $\epsilon(\lambda_H/\lambda_W)^{1/4}ua^\top$ to W and taking
    $\epsilon(\lambda_W/\lambda_H)^{1/4}av^\top$ from H changes f by $\epsilon^2(\lambda-|G|_2)$ to second order.
Checked:
    A census lowers the norm of the gradient from random starts of many kinds, and so ends at critical points of every
    index. The spectral norm of G is computed at each end, and the sign of the smallest eigenvalue of the Hessian, off
    the gauge, held against it. The two bounds on the minimum, and their equality for squared error, are held against
    the closed-form or computed minimum at all converged ends, to what their gradients leave open. That minimum itself
    must lie in the interval that a dual point of the nuclear-norm program certifies. The value is certified; the rest
    is sampled, because critical points that no start reached are not excluded.
Refuted by:
    One critical point with negative curvature and $|G|_2\le\lambda$, or with neither; a bound on the wrong side of the
    minimum. The same check must refute the Frobenius norm in the place of the spectral norm, that every critical point
    or none is a global minimiser, a gain twice as large, a sum over the largest singular value only, a minimum off by
    1e-6 to either side, and the certificate for three factors.
Example:
    Squared error with classes of two samples and one: the minimum, and at the critical points that a census finds their
    kind, whether the norm of G exceeds the decay, and what the excess says of the minimum.

    >>> problem = instance(counts=(2, 1), widths=(2,), loss="mse", strength=0.2, ratio=1.0).problem
    >>> round(float(nct.global_minimum(problem).value), 6)
    0.200948
    >>> observe = jax.jit(lambda point: (excess(problem, point, 2) > 1e-6, lowered(problem, point)))
    >>> for row in nct.census(problem, starts=50).rows:
    ...     exceeds, minimum = observe(row.params)
    ...     print(row.kind, round(row.value, 6), bool(exceeds), round(float(minimum), 6))
    minimum 0.200948 False 0.200948
    strict saddle 0.286667 True 0.200948
    strict saddle 0.414281 True 0.200948
    strict saddle 0.5 True 0.200948
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import nctheory as nct
from proofs_numeric.bibliography_of_networks import HAEFFELE_2015
from proofs_numeric.hypotheses import FREE_FEATURES, NO_BIAS, POSITIVE_DECAYS
from proofs_numeric.pool import log_uniform, pick
from proofs_numeric.thresholds import SPECTRAL_EXCESS

ID = "cert-haeffele-vidal"
# A shape is (counts, d) with d >= K, so that a critical point that is not global has a null direction; K = 2, 3 and 4.
SQUARED = (((2, 2, 1), 4), ((3, 2, 2, 1), 4), ((2, 1), 2))
FEW = (((3, 1, 1), 3), ((1, 1), 3))
MANY = (((2, 2, 1), 4), ((3, 1, 1, 1), 4))


class Certified(NamedTuple):
    """What the theorem says of critical points."""

    value: nct.engine.Scalar
    codes: jax.Array
    """The codes (see `norm_code`) of the points without negative curvature."""


def draw_instances(key):
    """Draw several strengths and ratios of the decay for one shape with squared error and two with cross-entropy."""
    rng = nct.theorems.numpy_rng(key)
    shapes = [(one, "mse") for one in pick(rng, SQUARED)]
    shapes += [(one, "cross_entropy") for pool in (FEW, MANY) for one in pick(rng, pool)]
    drawn = []
    for (counts, dim), loss in shapes:
        strengths = (log_uniform(rng, 0.02, 0.1), rng.uniform(0.1, 0.2), rng.uniform(0.2, 0.3), rng.uniform(0.6, 0.8))
        for strength in strengths:
            drawn.append(instance(counts, (dim,), loss, strength, 10.0 ** rng.uniform(-1.0, 1.0)))
    return drawn


def instance(counts, widths, loss, strength, ratio):
    """Take lambda = sqrt(lambda_W lambda_H) = `strength` sqrt(max n_k) / N; at 1 squared error gives up the last class."""
    strength_n = strength * np.sqrt(max(counts)) / sum(counts)
    decay = [strength_n] * (len(widths) + 1)
    decay[0], decay[-1] = strength_n * np.sqrt(ratio), strength_n / np.sqrt(ratio)
    problem = nct.deep_linear(widths=(*widths, len(counts)), counts=counts, loss=loss, weight_decay=decay)
    shown = {
        "counts": "-".join(map(str, counts)),
        "d": widths[0],
        "loss": loss,
        "lambda_W": float(decay[0]),
        "lambda_H": float(decay[-1]),
    }
    return nct.Instance(problem, shown)


def fit_gradient(problem, params):
    """Compute the gradient of the fit in the product Z."""
    product = problem.product(params)
    return jax.grad(lambda z: problem.column_weight @ problem.loss.value(z, problem.targets))(product)


def excess(problem, params, order):
    """Compute |G| / sqrt(lambda_W lambda_H) - 1 in the spectral (2) or the Frobenius norm ("fro")."""
    decay, gradient = jnp.asarray(problem.weight_decay), fit_gradient(problem, params)
    singular = jnp.linalg.svd(gradient, compute_uv=False)
    norm = jnp.max(singular) if order == 2 else jnp.linalg.norm(gradient)
    return norm / jnp.sqrt(decay[0] * decay[-1]) - 1.0


def norm_code(problem, params):
    """Code by 0 that both norms of G are at most lambda, by 1 that only the spectral norm is, by 2 that neither is."""
    spectral, frobenius = excess(problem, params, 2), excess(problem, params, "fro")
    return jnp.where(spectral > SPECTRAL_EXCESS, 2.0, jnp.where(frobenius > SPECTRAL_EXCESS, 1.0, 0.0))


def certified_value(problem, params):
    r"""Compute $f/\max(|G|_2/\lambda,1)$, which is a lower bound on min f at a critical point."""
    return problem.objective(params) / (1.0 + jnp.maximum(excess(problem, params, 2), 0.0))


def lowered(problem, params, directions=None, times=1.0):
    r"""Compute $f-\sum_i(s_i(G)-\lambda)_+^2/2L$, with `times` the sum, or with the sum over some `directions` only."""
    decay = jnp.asarray(problem.weight_decay)
    singular = jnp.linalg.svd(fit_gradient(problem, params), compute_uv=False)[:directions]
    beyond = jnp.maximum(singular - jnp.sqrt(decay[0] * decay[-1]), 0.0)
    return problem.objective(params) - times * jnp.sum(beyond**2) / (2.0 * lipschitz(problem))


def lipschitz(problem):
    """Bound the gradient of the fit: L is 1/N for squared error, 1/2N for cross-entropy, whose Hessian is at most 1/2."""
    return jnp.max(jnp.asarray(problem.column_weight)) * (1.0 if squared(problem) else 0.5)


def squared(problem):
    """Say whether the fit is half the squared error."""
    return nct.losses.is_loss(problem.loss, "mse")


def non_negative(instance):
    """Try at random logits whether the loss is convex and not negative."""
    problem, rng = instance.problem, np.random.default_rng(0)
    z = jnp.asarray(10.0 * rng.normal(size=(2, 50, *np.shape(problem.targets))))
    values = jax.vmap(jax.vmap(lambda one: problem.loss.value(one, problem.targets)))(z)
    middle = jax.vmap(lambda one: problem.loss.value(one, problem.targets))(jnp.mean(z, axis=0))
    return bool(jnp.all(values >= 0) & jnp.all(middle <= jnp.mean(values, axis=0) * (1 + 1e-12)))


def with_codes(*codes):
    """Predict with this list of codes of points without negative curvature."""
    return lambda problem: Certified(nct.global_minimum(problem).value, jnp.asarray(codes))


def lower_by(relative):
    """Predict a minimum that is smaller by this relative amount."""
    return lambda problem: Certified((1 - relative) * nct.global_minimum(problem).value, jnp.asarray((0.0, 1.0)))


def three_factors(key):
    """Build a chain with one factor more: zero is a local minimum there, and the certificate does not hold at it."""
    rng = nct.theorems.numpy_rng(key)
    return [instance((3, 2, 1), (3, 3), "mse", rng.uniform(0.05, 0.1), 1.0)]


def descent_claim(observe=lowered):
    """Claim that a descent from a critical point gains at least what the excess of G says."""
    return nct.LowerBound(
        "descent", r"\min f\le f-\sum_i(s_i(G)-\lambda)_+^2/2L", observe, lambda p: p.value, scope="critical points"
    )


def equality_claim(observe=lowered):
    """Claim that with squared error it gains exactly that."""
    return nct.Equality(
        "squared error",
        r"\min f=f-\frac N2\sum_i(s_i(G)-\lambda)_+^2",
        observe,
        lambda p: p.value,
        scope="critical points",
        applies=lambda instance: squared(instance.problem),
    )


THEOREM = nct.register(
    nct.Theorem(
        id=ID,
        docstring=__doc__,
        hypotheses=(
            lambda i: i.problem.factors == 2,
            FREE_FEATURES,
            NO_BIAS,
            POSITIVE_DECAYS,
            non_negative,
            lambda i: min(i.problem.widths) >= i.problem.classes,
        ),
        sources=(
            HAEFFELE_2015.remark(
                "The quantitative forms are ours. At a critical point <G, Z> = -lambda |Z|_*, so that min f >= f - (|G|_2 - "
                "lambda)_+ |Z*|_*, and lambda |Z*|_* <= min f where F >= 0. The part E of G beyond lambda acts where Z is "
                "zero: Z - E/L costs less by at least |E|^2/2L, and for squared error no product costs less by more."
            ),
        ),
        instances=draw_instances,
        predict=with_codes(0.0, 1.0),
        claims=(
            nct.GlobalValue("value", r"\min f", lambda p: p.value),
            nct.Index(
                "certificate",
                r"\lambda_{\min}(\nabla^2f)\ge0\iff|G|_2\le\lambda",
                norm_code,
                lambda p: p.codes,
            ),
            nct.UpperBound(
                "bound",
                r"f/\max(|G|_2/\lambda,1)\le\min f",
                certified_value,
                lambda p: p.value,
                scope="critical points",
            ),
            descent_claim(),
            equality_claim(),
        ),
        controls=(
            nct.Control(
                "Frobenius", "|G|_F <= lambda in place of the spectral norm", with_codes(0.0), ("certificate",)
            ),
            nct.Control(
                "any", "every critical point is a global minimiser", with_codes(0.0, 1.0, 2.0), ("certificate",)
            ),
            nct.Control("none", "every critical point is a strict saddle", with_codes(np.nan), ("certificate",)),
            nct.Control(
                "1e-6 lower",
                "the minimum lower by a relative 1e-6",
                lower_by(1e-6),
                ("value", "bound", "squared error"),
            ),
            nct.Control("1e-6 higher", "the minimum higher by a relative 1e-6", lower_by(-1e-6), ("value", "descent")),
            nct.Control(
                "L for 2L",
                "a descent gains twice as much",
                versions=(descent_claim(lambda p, x: lowered(p, x, times=2.0)),),
                applies=lambda instance: squared(instance.problem),
            ),
            nct.Control(
                "one direction",
                "only the largest singular value of G counts",
                versions=(equality_claim(lambda p, x: lowered(p, x, directions=1)),),
                applies=lambda instance: squared(instance.problem),
            ),
            nct.Control(
                "three factors",
                "the same certificate decides for three factors (N14)",
                with_codes(0.0, 1.0),
                ("certificate",),
                outside=three_factors,
            ),
        ),
        several_basins=True,
        seeds=256,
        method=nct.Census(),
    )
)

if __name__ == "__main__":
    nct.show(nct.verify(THEOREM))
