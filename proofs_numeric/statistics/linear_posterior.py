"""Deep linear networks from the prior, weighted by the likelihood of examples: the trials of a posterior law."""

import equinox as eqx
import jax
import jax.numpy as jnp

from proofs_numeric.statistics.experiments import Experiment

MOVES = (-1.0, 0.0, 1.2)
"""Where the distribution function is looked at, in standard deviations from the mean."""
CUTS = len(MOVES)


class LinearPosterior(Experiment):
    """Deep linear networks from the prior, weighted by the likelihood of examples."""

    widths: tuple[int, ...] = eqx.field(static=True, kw_only=True)
    inputs: jax.Array = eqx.field(kw_only=True)
    """The examples, and last the input of the prediction: P + 1 rows."""
    targets: jax.Array = eqx.field(kw_only=True)
    variance: jax.Array = eqx.field(kw_only=True)
    r"""It is $\sigma^2$."""
    cuts: jax.Array = eqx.field(kw_only=True)
    """The points at which the distribution function of the prediction is looked at."""

    @property
    def examples(self):
        """Return P."""
        return self.targets.shape[0]

    def regression(self):
        """Return r_0, and mean and variance of the prediction at u = 1."""
        kernel = self.variance ** len(self.widths) * self.inputs @ self.inputs.T / self.inputs.shape[1]
        return conditional(kernel, self.targets)

    def network(self, key):
        """Draw the weights, from the first layer upwards, and return them with the prior variances of their entries."""
        sizes = (self.inputs.shape[1], *self.widths, 1)
        variances = [self.variance / fan for fan in sizes[:-2]] + [jnp.asarray(1.0 / sizes[-2])]
        keys = jax.random.split(key, len(variances))
        weights = [
            jnp.sqrt(v) * jax.random.normal(k, (after, before), jnp.float64)
            for k, v, before, after in zip(keys, variances, sizes[:-1], sizes[1:], strict=True)
        ]
        return weights, variances

    def trial(self, key):
        """Return the numbers of one network, with the first layer integrated out, and of one example with the last too."""
        weights, variances = self.network(key)
        layers = (0, len(weights) - 1) if self.examples == 1 else (0,)

        def outputs(layer, weight):
            total = self.inputs.T
            for one in (*weights[:layer], weight, *weights[layer + 1 :]):
                total = one @ total
            return total[0]

        # The outputs are linear in the weights of one layer: a Gaussian vector with the covariance v J J^T.
        parts = []
        for layer in layers:
            rows = jax.jacrev(lambda weight, layer=layer: outputs(layer, weight))(weights[layer])
            rows = rows.reshape(rows.shape[0], -1)
            parts.append(self.weighed(variances[layer] * rows @ rows.T))
        return jnp.concatenate(parts)

    def weighed(self, kernel):
        r"""Return w, w times the centred distribution function, and $w(V+(m-m_0)^2)/(s_0r_0)$, for one Gaussian process.

        w is the likelihood of the examples over its largest value at any multiple of $K_0$; so w <= 1 for kernels $uK_0$, and
        for all kernels of one example. The last is bounded for kernels $uK_0$ from two examples on.
        """
        r0, centre, spread = self.regression()
        size, mean, variance = conditional(kernel, self.targets)
        p, own = self.examples, self.inputs[:-1] @ self.inputs[:-1].T
        own = self.variance ** len(self.widths) * own / self.inputs.shape[1]
        excess = jnp.linalg.slogdet(kernel[:-1, :-1])[1] - jnp.linalg.slogdet(own)[1] - p * jnp.log(r0)
        w = jnp.exp(0.5 * p * (1.0 - size) - 0.5 * excess)
        variance = jnp.maximum(variance, jnp.finfo(jnp.float64).tiny)
        below = jax.scipy.special.ndtr((self.cuts - mean) / jnp.sqrt(variance)) - 0.5
        square = (variance + (mean - centre) ** 2) / (spread * r0)
        return jnp.concatenate([w[None], w * below, (w * square)[None]])


def conditional(kernel, targets):
    """Return y^T K^-1 y / P, and mean and variance of the last variable given the others."""
    inner, cross = kernel[:-1, :-1], kernel[:-1, -1]
    factor = jnp.linalg.cholesky(inner)
    a, b = (jax.scipy.linalg.solve_triangular(factor, one, lower=True) for one in (targets, cross))
    return jnp.sum(a**2) / targets.shape[0], jnp.sum(a * b), kernel[-1, -1] - jnp.sum(b**2)
