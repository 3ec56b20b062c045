r"""Dynamics on the central path under squared error.

The central path under squared error: renormalised features whose signal-to-noise ratios grow by a closed law.

Theorem:
    Let $L(H)=\min_{W,b}\frac12\mathrm{Ave}|Wh+b-y|^2$ for C balanced classes of n samples, and let H follow
    the gradient flow of L projected on $\{\Sigma_W=I\}$. The singular values $\omega_j$ of $\Sigma_W^{-1/2}(M-\bar
    m1^\top)$, M the class means, obey
    $C^2\log\omega_j+C\omega_j^2+\frac14\omega_j^4=a_j+t/n$; they grow without bound, and $\omega_i/\omega_j\to1$.
Hypotheses:
    - squared error, the classifier and bias at their optimum, no decay
    - balanced classes
    - features whitened, N - C at least d
    - no singular value 0 at the start
Notation:
    Han et al.: constants $c_1,c_2,c_3$; ours follow from $L=\frac12\sum_j(C+\omega_j^2)^{-1}$.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import nctheory as nct
from proofs_numeric.bibliography_of_networks import HAN_2022
from proofs_numeric.pool import log_uniform, pick
from proofs_numeric.thresholds import DISTINCT, ROUNDED

# classes, samples a class, features: two classes, and more of them; a key picks one of the first and two of the second
SHAPES = (((2, 4, 3), (2, 3, 1)), ((3, 4, 4), (4, 5, 3), (3, 6, 5), (5, 4, 6)))
NEWTON = 80


class CentralPath(nct.Problem):
    r"""Squared error of the best classifier and bias for given features, on the set of $\Sigma_W=I$.

    Features are d x N, the samples of a class side by side. The flow is minus the gradient, projected on the tangent space.
    """

    members: jax.Array | np.ndarray
    """N x C, 1 where a sample is of a class."""
    features: jax.Array | np.ndarray
    """Their shape, d x N."""

    def init(self, key, scale):
        """Random features, whitened within classes, class means of size `scale`."""
        noise, drawn = jax.random.split(key)
        spread = self._within(jax.random.normal(noise, self.features.shape, jnp.float64))
        factor = jnp.linalg.cholesky(spread @ spread.T / self.samples)
        means = scale * jax.random.normal(drawn, (self.features.shape[0], self.members.shape[1]), jnp.float64)
        return jnp.linalg.solve(factor, spread) + means @ jnp.asarray(self.members).T

    @property
    def samples(self):
        """N."""
        return self.members.shape[0]

    def means(self, params):
        """Class means, d x C."""
        return params @ self.members / jnp.sum(jnp.asarray(self.members), axis=0, keepdims=True)

    def _within(self, params):
        return params - self.means(params) @ jnp.asarray(self.members).T

    def signal_to_noise(self, params):
        r"""Singular values of $\Sigma_W^{-1/2}(M-\bar m1^\top)$, the largest C-1 (or d)."""
        spread, means = self._within(params), self.means(params)
        factor = jnp.linalg.cholesky(spread @ spread.T / self.samples)
        centred = means - jnp.mean(means, axis=1, keepdims=True)
        singular = jnp.linalg.svd(jnp.linalg.solve(factor, centred), compute_uv=False)
        return singular[: min(self.members.shape[1] - 1, params.shape[0])]

    def objective(self, params):
        r"""$\min_{W,b}\frac12\mathrm{Ave}|Wh+b-y|^2$, by its normal equations."""
        centred = params - jnp.mean(params, axis=1, keepdims=True)
        targets = self.members - jnp.mean(jnp.asarray(self.members), axis=0, keepdims=True)
        cross = centred @ targets
        explained = jnp.sum(cross * jnp.linalg.solve(centred @ centred.T, cross))
        return 0.5 * (jnp.sum(targets**2) - explained) / self.samples

    def velocity(self, params):
        r"""$-\nabla L+SE$ with E the deviations from class means, S symmetric such that $EE^\top$ stays what it is."""
        slope = -jax.grad(self.objective)(params)
        spread = self._within(params)
        gram = spread @ spread.T
        wanted = slope @ spread.T + spread @ slope.T
        # S gram + gram S = wanted, in the eigenbasis of gram
        values, basis = jnp.linalg.eigh(gram)
        turned = basis.T @ wanted @ basis / (values[:, None] + values[None, :])
        return slope - basis @ turned @ basis.T @ spread

    def conservation_defect(self, start, params, time):
        r"""$|\Sigma_W-I|$, relative to $|I|$."""
        spread = self._within(params)
        off = spread @ spread.T / self.samples - jnp.eye(params.shape[0])
        return jnp.sqrt(jnp.sum(off**2) / params.shape[0])


class Curve(NamedTuple):
    """What is predicted of a path."""

    ratios: jax.Array
    spread: jax.Array


def draw_instances(key):
    """For three shapes four sizes of the means at the start each, and times spread in their logarithm."""
    rng, drawn = nct.theorems.numpy_rng(key), []
    for classes, n, dim in (shape for i, group in enumerate(SHAPES) for shape in pick(rng, group, i + 1)):
        for _ in range(4):
            size = log_uniform(rng, 0.2, 1.5)
            members = np.repeat(np.eye(classes), n, axis=0)
            problem = CentralPath(members, np.zeros((dim, classes * n)))
            times = tuple((n * np.geomspace(1.0, 1e5, 41)).tolist())
            shown = {"C": classes, "n": n, "d": dim, "size": size}
            drawn.append(nct.Instance(problem, shown, scale=size, trajectory=nct.theorems.TrajectorySpec(times)))
    return drawn


def balanced_members(instance):
    """Whether every sample is of one class, and every class has as many samples."""
    members = np.asarray(instance.problem.members)
    return bool(np.all(members.sum(axis=1) == 1) and np.ptp(members.sum(axis=0)) == 0)


def whitened(instance):
    """Whether a start has whitened features, of no more dimensions than samples less classes."""
    problem, start = instance.problem, instance.start()
    wide = problem.samples - problem.members.shape[1] >= problem.features.shape[0]
    return wide and float(problem.conservation_defect(start, start, 0.0)) < ROUNDED


def separated(instance):
    """Whether no singular value of a start is zero."""
    problem = instance.problem
    found = problem.signal_to_noise(instance.start())
    return float(jnp.min(found)) > DISTINCT * float(jnp.max(found))


def law(omega, time, classes, rate):
    r"""$\omega$ with $C^2\log\omega+C\omega^2+\omega^4/4$ larger by `rate` times `time`; Newton's method in its logarithm."""
    c1, c2, c3 = classes

    def total(p):
        return c1 * p + c2 * jnp.exp(2 * p) + c3 * jnp.exp(4 * p)

    begin = jnp.log(omega)
    target = total(begin) + rate * time
    # The left side is convex in p: from the right Newton's iterates come down to the root.
    top = jnp.maximum(begin, 0.25 * jnp.log(jnp.maximum(target - jnp.minimum(c1 * begin, 0.0), 1e-30) / c3)) + 1.0

    def newton(_, p):
        return p - (total(p) - target) / (c1 + 2 * c2 * jnp.exp(2 * p) + 4 * c3 * jnp.exp(4 * p))

    return jnp.exp(jax.lax.fori_loop(0, NEWTON, newton, top))


def predict_with(quartic=1.0, square=1.0, speed=1.0, logarithm=1.0):
    """The law with another constant."""

    def predict(problem, start, times):
        classes = problem.members.shape[1]
        constants = (logarithm * classes**2, square * classes, 0.25 * quartic)
        rate = speed * classes / problem.samples
        begun = problem.signal_to_noise(start)
        ratios = jax.vmap(lambda t: jax.vmap(lambda w: law(w, t, constants, rate))(begun))(times)
        return Curve(ratios, jnp.ones(()))

    return predict


THEOREM = nct.register(
    nct.Theorem(
        id="han-central-path",
        docstring=__doc__,
        hypotheses=(
            lambda i: isinstance(i.problem, CentralPath),
            balanced_members,
            whitened,
            separated,
        ),
        sources=(HAN_2022.remark("The form of the law. The constants are in our own derivation."),),
        instances=draw_instances,
        predict=predict_with(),
        claims=(
            nct.Trajectory(
                "ratios",
                r"\omega_j",
                lambda p, x, s: p.signal_to_noise(x),
                lambda c: c.ratios,
                logarithmic=True,
            ),
            nct.Limit(
                "equal in the end",
                r"\min_j\omega_j/\max_j\omega_j\to1",
                lambda p, x, s: jnp.min(p.signal_to_noise(x)) / jnp.max(p.signal_to_noise(x)),
                lambda c: c.spread,
                vanishing=lambda time: 1.0 / time,
                resolution=1e-5,
                because="extrapolated from four ends of a path that has not arrived",
                applies=lambda i: min(i.problem.members.shape[1] - 1, i.problem.features.shape[0]) > 1,
            ),
        ),
        controls=(
            nct.Control("no logarithm", "the logarithm left out", predict_with(logarithm=1e-6), claims=("ratios",)),
            nct.Control(
                "fourth power 1e-6 off",
                "its constant larger by a relative 1e-6",
                predict_with(quartic=1 + 1e-6),
                claims=("ratios",),
            ),
            nct.Control("twice the square", "2C in the place of C", predict_with(square=2.0), claims=("ratios",)),
            nct.Control(
                "t",
                "t in the place of t/n",
                lambda p, x, t: predict_with(speed=p.samples / p.members.shape[1])(p, x, t),
                claims=("ratios",),
            ),
            nct.Control(
                "unequal in the end",
                "1e-4 between the smallest and the largest",
                lambda p, x, t: predict_with()(p, x, t)._replace(spread=jnp.asarray(1 - 1e-4)),
                claims=("equal in the end",),
            ),
        ),
        method=nct.Integrate(),
        seeds=16,
    )
)

if __name__ == "__main__":
    nct.show(nct.verify(THEOREM))
