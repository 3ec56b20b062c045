r"""Posterior collapse of a linear variational autoencoder.

A linear variational autoencoder keeps a direction of the data only if its variance exceeds the variance of the decoder times
the weight of the prior; every other latent variable is switched off, with a posterior that is the prior whatever the input.
The threshold is sharp and the same for all directions, and beyond the largest variance nothing is left.

Problem:
    $f=\frac1{2\eta^2}E|x-Wz|^2+\beta E\,\mathrm{KL}(q(z|x)\,|\,N(0,I))$ for x of mean zero and covariance $\Sigma$, an
    encoder $q(z|x)=N(Vx,\mathrm{diag}\,\sigma^2)$ of k latent variables and a decoder W of variance $\eta^2$; W, V and
    $\sigma$ are free.
Theorem (Wang and Ziyin 2022, number unchecked; in our own form, with a dual certificate of our own):
    Let $c=\beta\eta^2$, $\Sigma=\sum_i\lambda_iu_iu_i^\top$ and let at most k of the $\lambda_i$ exceed c. At every minimiser
    $WW^\top=\sum_i(\lambda_i-c)_+u_iu_i^\top$ and $WV=\sum_i(1-\frac c{\lambda_i})_+u_iu_i^\top$; the $\sigma_j^2$ are
    $c/\lambda_i$ for every $\lambda_i>c$ and 1 for all others, whose latent variables are switched off. The minimum is
    $\frac1{2\eta^2}\sum_i(\min(\lambda_i,c)+c\log^+\frac{\lambda_i}c)$.
Hypotheses:
    - a positive definite covariance
    - positive beta and eta
    - at most k eigenvalues above beta eta^2
    - these are distinct
Notation:
    Wang and Ziyin: a model with more parameters; at beta = 1 ours is probabilistic principal component analysis.
Why:
    At the best V and $\sigma$, $f=\frac c{2\eta^2}(\mathrm{tr}\,\Sigma C^{-1}+\sum_j\log(1+|w_j|^2/c))$ with $C=cI+WW^\top$,
    and by Hadamard's inequality the last sum is at least $\log\det C-D\log c$, with equality for orthogonal columns. In
    $P=C^{-1}$ the bound is convex over $P\preceq I/c$: for every $Q\succeq0$ it is at least
    $\frac c{2\eta^2}(\log\det(\Sigma+Q)+D-\frac1c\mathrm{tr}\,Q-D\log c)$, and $Q=(C-\Sigma)_+$ closes the gap at the
    minimiser.
Checked:
    All weights are minimised from random starts, and every end is certified by that bound, which uses no eigenvalue of the
    covariance. Value, $WW^\top$, $WV$ and the sums of $\sigma^2$ and $\sigma^4$ are compared with the theorem on both sides of
    the thresholds and close to them, and the $\beta$ at which the last latent variable is switched off is located.
Refuted by:
    A certified end that is elsewhere. The same check must refute a decoder of $\lambda/\beta-\eta^2$, one without $\beta$, one
    with $\eta$ for its square, variances of the posterior that stay below 1, and a last threshold without $\eta$.
Example:
    Two latent variables for variances 3, 1 and 0.2 with $\beta\eta^2=1.5$: one is left.

    >>> problem = autoencoder(np.diag([3.0, 1.0, 0.2]), 1.5, 1.0, 2)
    >>> ends = nct.solve(problem, seeds=4, light=True)
    >>> best = int(np.argmin(ends.value))
    >>> found = ends.params.decoder[best] @ ends.params.decoder[best].T
    >>> with jax.enable_x64(True):
    ...     told = float(predict(problem).value)
    >>> np.abs(np.diag(found)).round(4).tolist(), round(float(ends.value[best]), 5), round(told, 5)
    ([1.5, 0.0, 0.0], 1.86986, 1.86986)
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import nctheory as nct
from proofs_numeric.bibliography_of_statistics import WANG_ZIYIN_2022
from proofs_numeric.pool import log_uniform, near

ID = "linear-vae-collapse"
SHAPES = ((3, 3), (4, 2), (5, 5))
"""Dimensions of the data, and latent variables."""
BOUND_ROUNDING = 1e-14
"""What is taken from the dual bound for its rounding, relative to the size of its terms (conventional: some fifty units)."""


class Autoencoder(NamedTuple):
    """The free parameters."""

    decoder: jax.Array
    encoder: jax.Array
    log_variance: jax.Array


class LinearVAE(nct.Problem):
    """The negative evidence lower bound of a linear variational autoencoder, with a weight beta of the divergence."""

    covariance: jax.Array
    beta: jax.Array
    noise: jax.Array
    r"""It is $\eta$."""
    latent: int = eqx.field(static=True)

    def init(self, key, scale):
        """Draw all parameters."""
        dim = self.covariance.shape[0]
        keys = jax.random.split(key, 3)
        shapes = ((dim, self.latent), (self.latent, dim), (self.latent,))
        parts = [scale * jax.random.normal(k, shape, jnp.float64) for k, shape in zip(keys, shapes, strict=True)]
        return Autoencoder(*map(jnp.asarray, parts))

    def objective(self, params):
        """Return the mean of the squared error over 2 eta^2, and beta times the divergence."""
        w, v, variance = params.decoder, params.encoder, jnp.exp(params.log_variance)
        left = jnp.eye(self.covariance.shape[0]) - w @ v
        error = jnp.sum((left @ self.covariance) * left) + jnp.sum(variance * jnp.sum(w**2, axis=0))
        divergence = jnp.sum((v @ self.covariance) * v) + jnp.sum(variance - 1.0 - params.log_variance)
        return 0.5 * error / self.noise**2 + 0.5 * self.beta * divergence

    def invariants(self, params):
        """Return what does not see the order and the signs of latent variables."""
        return jnp.concatenate([jnp.ravel(decoded(self, params)), latent_sums(self, params)])

    def lower_bound(self, params):
        """Return the dual bound at Q = (C - Sigma)_+ of the point."""
        dim, c = self.covariance.shape[0], self.beta * self.noise**2
        values, vectors = jnp.linalg.eigh(c * jnp.eye(dim) + decoded(self, params) - self.covariance)
        q = (vectors * jnp.maximum(values, 0.0)[None, :]) @ vectors.T
        logarithm = jnp.linalg.slogdet(self.covariance + q)[1]
        terms = jnp.abs(logarithm) + dim + jnp.trace(q) / c + dim * jnp.abs(jnp.log(c))
        told = logarithm + dim - jnp.trace(q) / c - dim * jnp.log(c)
        return 0.5 * self.beta * (told - BOUND_ROUNDING * terms)


def autoencoder(covariance, beta, noise, latent):
    """Build the problem."""
    with jax.enable_x64(True):
        return LinearVAE(
            jnp.asarray(covariance, jnp.float64), jnp.asarray(float(beta)), jnp.asarray(float(noise)), latent
        )


def draw_instances(key):
    """Draw covariances, and beta below, between, close to and above the thresholds."""
    rng, drawn = nct.theorems.numpy_rng(key), []
    for dim, latent in SHAPES:
        for place in ("below", "between", "beyond", "just below", "just above"):
            turn = np.linalg.qr(rng.normal(size=(dim, dim)))[0]
            steps = rng.uniform(1.3, 1.8, size=dim)
            values = log_uniform(rng, 0.5, 2.0) * np.cumprod(steps)[::-1] / steps[0]
            # The lowest threshold at which no more than k eigenvalues are kept, or somewhat above it.
            least = values[latent] if latent < dim else 0.4 * values[-1]
            middle = np.sqrt(values[0] * values[1])
            close = values[1] * near(rng, place == "just above", 3e-3)
            c = {"below": 1.1 * least, "between": middle, "beyond": 1.4 * values[0]}.get(place, close)
            noise = log_uniform(rng, 0.5, 2.0)
            problem = autoencoder((turn * values) @ turn.T, c / noise**2, noise, latent)
            shown = {"D": dim, "k": latent, "place": place, "kept": int(np.sum(values > c)), "eta": noise}
            drawn.append(nct.Instance(problem, shown))
    return drawn


def decoded(problem, params):
    """Return W W^T."""
    return params.decoder @ params.decoder.T


def reconstructed(problem, params):
    """Return W V."""
    return params.decoder @ params.encoder


def latent_sums(problem, params):
    r"""Return the sums of $\sigma^2$ and of $\sigma^4$."""
    return jnp.stack([jnp.sum(jnp.exp(power * params.log_variance)) for power in (1.0, 2.0)])


class Prediction(NamedTuple):
    """The minimum, the decoder's and the reconstruction's matrix, sums over latent variables, and the last threshold."""

    value: jax.Array
    decoded: jax.Array
    reconstructed: jax.Array
    sums: jax.Array
    last: jax.Array


def predict(problem, level=None, floor=1.0, last=None):
    """Predict from the eigenvalues; controls have another c, other variances where nothing is kept, or another threshold."""
    values, vectors = jnp.linalg.eigh(problem.covariance)
    c = problem.beta * problem.noise**2 if level is None else level
    kept = jnp.maximum(values - c, 0.0)
    variances = jnp.sort(jnp.where(values > c, c / values, floor))[: problem.latent]
    variances = jnp.concatenate([variances, floor * jnp.ones(max(problem.latent - values.size, 0))])
    value = 0.5 / problem.noise**2 * jnp.sum(jnp.minimum(values, c) + c * jnp.log(jnp.maximum(values / c, 1.0)))
    return Prediction(
        value,
        (vectors * kept[None, :]) @ vectors.T,
        (vectors * (kept / values)[None, :]) @ vectors.T,
        jnp.stack([jnp.sum(variances), jnp.sum(variances**2)]),
        values[-1] / problem.noise**2 if last is None else last(problem, values[-1]),
    )


def divided(problem):
    """Predict a decoder of lambda/beta - eta^2."""
    values, vectors = jnp.linalg.eigh(problem.covariance)
    kept = jnp.maximum(values / problem.beta - problem.noise**2, 0.0)
    return predict(problem)._replace(decoded=(vectors * kept[None, :]) @ vectors.T)


def at_beta(problem, beta):
    """Change beta."""
    return eqx.tree_at(lambda p: p.beta, problem, jnp.asarray(beta, jnp.float64))


def strength(problem, params):
    """Return the squared size of the decoder, which leaves zero with the first power of the distance from the threshold.

    The size itself does so with the root: ends are known to a gradient of 1e-10, and so close to the threshold, where the
    curvature vanishes, a decoder that should be zero would count as one that is not.
    """
    return jnp.sum(params.decoder**2)


def around_last(problem):
    """Return two values of beta between which all latent variables are switched off: the mean variance tells both."""
    mean = float(jnp.trace(problem.covariance)) / problem.covariance.shape[0] / float(problem.noise) ** 2
    return 0.7 * mean, 1.5 * problem.covariance.shape[0] * mean


def keeps(instance):
    """Tell whether some latent variable is kept."""
    return instance.parameters["kept"] > 0


def drops(instance):
    """Tell whether some latent variable is switched off."""
    return instance.parameters["kept"] < instance.problem.latent


def kept_values(problem):
    """Return the eigenvalues above beta eta^2, from below."""
    values = np.linalg.eigvalsh(np.asarray(problem.covariance))
    return values[values > float(problem.beta * problem.noise**2)]


def full(instance):
    """Tell whether there are latent variables for all directions, so that the bound is tight at every beta."""
    return instance.problem.latent >= instance.problem.covariance.shape[0]


LAST = nct.Threshold(
    "last",
    r"W=0\iff\beta\ge\lambda_1/\eta^2",
    at_beta,
    strength,
    lambda p: p.last,
    around_last,
    applies=full,
)

THEOREM = nct.register(
    nct.Theorem(
        id=ID,
        docstring=__doc__,
        hypotheses=(
            lambda i: float(np.linalg.eigvalsh(np.asarray(i.problem.covariance))[0]) > 0,
            lambda i: min(float(i.problem.beta), float(i.problem.noise)) > 0,
            lambda i: kept_values(i.problem).size <= i.problem.latent,
            lambda i: bool(np.all(np.diff(kept_values(i.problem)) > 1e-6 * np.trace(np.asarray(i.problem.covariance)))),
        ),
        sources=(WANG_ZIYIN_2022.remark("Posterior collapse and its threshold; known by its abstract, the form is our own."),),
        instances=draw_instances,
        predict=predict,
        seeds=64,
        claims=(
            nct.GlobalValue("value", r"\min f", lambda p: p.value),
            nct.Equality("decoder", "WW^\\top", decoded, lambda p: p.decoded),
            nct.Equality("reconstruction", "WV", reconstructed, lambda p: p.reconstructed),
            nct.Equality("posterior", r"\sum_j\sigma_j^2,\ \sum_j\sigma_j^4", latent_sums, lambda p: p.sums),
            LAST,
        ),
        controls=(
            nct.Control("divided", "lambda/beta - eta^2", divided, claims=("decoder",), applies=keeps),
            nct.Control(
                "without beta", "c = eta^2", lambda p: predict(p, level=p.noise**2),
                claims=("value", "decoder", "reconstruction"), applies=keeps,
            ),
            nct.Control(
                "eta for its square", "c = beta eta", lambda p: predict(p, level=p.beta * p.noise),
                claims=("value", "decoder", "reconstruction", "posterior"), applies=keeps,
            ),
            nct.Control(
                "posterior below the prior", "sigma^2 = 1/2 of what is switched off", lambda p: predict(p, floor=0.5),
                claims=("posterior",), applies=drops,
            ),
            nct.Control(
                "threshold without eta", "lambda_1", lambda p: predict(p, last=lambda q, largest: largest),
                claims=("last",),
                applies=full,
            ),
        ),
    )
)  # fmt: skip

if __name__ == "__main__":
    nct.show(nct.verify(THEOREM))
