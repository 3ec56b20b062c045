r"""Dynamics on the central path under squared error.

On the central path the classifier is always the best one for the features, and the features are renormalised within
classes: all that moves is the ratio of signal to noise. In each direction that separates the K classes it grows by one
closed law, without an end, and more and more slowly. The directions that lag behind catch up, so that in the end all
are equally strong: this is neural collapse, with its speed. n samples a class slow it down in proportion.

Problem:
    $L(H)=\min_{W,b}\frac1{2N}\sum_i|Wh_i+b-y_i|^2$ for $N=nC$ samples of C (elsewhere K) classes with one-hot labels.
    The features H, d x N, are free but for $\Sigma_W=I$, and follow minus the gradient of L, projected on the tangent
    space of this set.
Theorem (Han et al. 2022, number unchecked; the constants are our own):
    Let $L(H)=\min_{W,b}\frac12\mathrm{Ave}|Wh+b-y|^2$ for C balanced classes of n samples, and let H follow the
    gradient flow of L projected on $\{\Sigma_W=I\}$. The singular values $\omega_j$ of
    $\Sigma_W^{-1/2}(M-\bar m1^\top)$, M the class means, obey $C^2\log\omega_j+C\omega_j^2+\frac14\omega_j^4=a_j+t/n$;
    they grow without bound, and $\omega_i/\omega_j\to1$.
Hypotheses:
    - squared error, the classifier and bias at their optimum, no decay
    - balanced classes
    - features whitened, N - C at least d
    - no singular value 0 at the start
Notation:
    Han et al.: constants $c_1,c_2,c_3$; ours follow from $L=\frac12\sum_j(C+\omega_j^2)^{-1}$.
Why:
    Let $H=MB^\top+E$, B the classes' indicators and E the deviations from class means; the two parts are orthogonal,
    and $|H|^2=n|M|^2+|E|^2$. By the normal equations $L=\frac12(1-\frac1C)-\frac1{2C^2}\mathrm{tr}\,\tilde
    M^\top(\Sigma_W+\frac1C\tilde M\tilde M^\top)^{-1}\tilde M$ with $\tilde M=M-\bar m1^\top$, which for $\Sigma_W=I$
    is $\frac12\sum_j(C+\omega_j^2)^{-1}$, j up to $C-1$, a singular value that d is too small for counting as 0. On E
    it depends through $EE^\top$ alone: its gradient there is a symmetric matrix times E, normal to the set, and E
    stays. So $\dot M=-\frac1n\nabla_ML$: the singular vectors of $\tilde M$ stay too, and
    $\dot\omega_j=\frac1n\omega_j(C+\omega_j^2)^{-2}$. Integrating $(C+\omega^2)^2/\omega$ gives the law. Its left side
    increases to infinity, and so do all $\omega_j$; differences of it stay as they are, which bounds
    $|\omega_i^4-\omega_j^4|$ by a constant.
Checked:
    All entries of the features are integrated along the projected flow, whose gradient is found by automatic
    differentiation, from random whitened starts, twice with different tolerances; their difference bounds the error.
    The logarithms of all ratios of signal to noise are compared with the root of the law at 41 times over five
    decades. The smallest over the largest is extrapolated to infinite time from the last of them. Each path must keep
    $\Sigma_W=I$. All this is sampled: a law about every start is not certified by some.
Refuted by:
    One path that leaves the law by more than twice the integrator's error and rounding, or whose extrapolated ratio is
    not 1. The same check must refute the law without its logarithm, with a fourth power off by 1e-6, with twice the
    square, with a time that the samples of a class do not slow down, and an end that is unequal by 1e-4.
Example:
    Two ratios of signal to noise along a fresh flow, and what the law says is constant in each: the left side less
    t/n.

    >>> problem = CentralPath(np.repeat(np.eye(3), 3, axis=0), np.zeros((2, 9)))
    >>> start, times = nct.starts(problem, seeds=1, scale=0.8), np.array([0.0, 30.0, 3000.0])
    >>> paths = nct.gradient_flow(problem, start, times, observe=CentralPath.signal_to_noise, light=True)
    >>> omega = paths.values[0]
    >>> omega.round(4).tolist()
    [[1.3766, 0.7559], [1.8823, 1.3661], [7.5666, 7.5453]]
    >>> (9 * np.log(omega) + 3 * omega**2 + omega**4 / 4 - times[:, None] / 3).round(5).tolist()
    [[9.45909, -0.72246], [9.45909, -0.72246], [9.45909, -0.72246]]
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import nctheory as nct
from proofs_numeric.bibliography_of_networks import HAN_2022
from proofs_numeric.pool import log_uniform, pick
from proofs_numeric.thresholds import DISTINCT, ROUNDED

# Each shape is (classes, samples a class, features). A key picks one of two classes, and two of more.
SHAPES = (((2, 4, 3), (2, 3, 1)), ((3, 4, 4), (4, 5, 3), (3, 6, 5), (5, 4, 6)))
NEWTON_STEPS = 80


class CentralPath(nct.Problem):
    r"""Squared error of the best classifier and bias for given features, on the set of $\Sigma_W=I$.

    Features are d x N, the samples of a class side by side. The flow is minus the gradient, projected on the tangent
    space.
    """

    members: jax.Array | np.ndarray
    """It is N x C, 1 where a sample is of a class."""
    features: jax.Array | np.ndarray
    """Only its shape counts, d x N."""

    def init(self, key, scale):
        """Draw features that are whitened within classes, with class means of size `scale`."""
        noise, drawn = jax.random.split(key)
        spread = self._within(jax.random.normal(noise, self.features.shape, jnp.float64))
        factor = jnp.linalg.cholesky(spread @ spread.T / self.samples)
        means = scale * jax.random.normal(drawn, (self.features.shape[0], self.members.shape[1]), jnp.float64)
        return jnp.linalg.solve(factor, spread) + means @ jnp.asarray(self.members).T

    @property
    def samples(self):
        """Return N."""
        return self.members.shape[0]

    def means(self, params):
        """Return the class means, d x C."""
        return params @ self.members / jnp.sum(jnp.asarray(self.members), axis=0, keepdims=True)

    def _within(self, params):
        return params - self.means(params) @ jnp.asarray(self.members).T

    def signal_to_noise(self, params):
        r"""Return the singular values of $\Sigma_W^{-1/2}(M-\bar m1^\top)$, the largest C-1 (or d)."""
        spread, means = self._within(params), self.means(params)
        factor = jnp.linalg.cholesky(spread @ spread.T / self.samples)
        centred = means - jnp.mean(means, axis=1, keepdims=True)
        singular = jnp.linalg.svd(jnp.linalg.solve(factor, centred), compute_uv=False)
        return singular[: min(self.members.shape[1] - 1, params.shape[0])]

    def objective(self, params):
        r"""Return $\min_{W,b}\frac12\mathrm{Ave}|Wh+b-y|^2$, by its normal equations."""
        centred = params - jnp.mean(params, axis=1, keepdims=True)
        targets = self.members - jnp.mean(jnp.asarray(self.members), axis=0, keepdims=True)
        cross = centred @ targets
        explained = jnp.sum(cross * jnp.linalg.solve(centred @ centred.T, cross))
        return 0.5 * (jnp.sum(targets**2) - explained) / self.samples

    def velocity(self, params):
        r"""Return $-\nabla L-SE$, E the deviations from class means, with a symmetric S for which $EE^\top$ stays."""
        slope = -jax.grad(self.objective)(params)
        spread = self._within(params)
        gram = spread @ spread.T
        wanted = slope @ spread.T + spread @ slope.T
        # S solves S gram + gram S = wanted; in the eigenbasis of gram this is a division.
        values, basis = jnp.linalg.eigh(gram)
        turned = basis.T @ wanted @ basis / (values[:, None] + values[None, :])
        return slope - basis @ turned @ basis.T @ spread

    def conservation_defect(self, start, params, time):
        r"""Return $|\Sigma_W-I|$, relative to $|I|$."""
        spread = self._within(params)
        off = spread @ spread.T / self.samples - jnp.eye(params.shape[0])
        return jnp.sqrt(jnp.sum(off**2) / params.shape[0])


class Curve(NamedTuple):
    """What is predicted of a path: the ratios of signal to noise, and the limit of the smallest over the largest."""

    ratios: jax.Array
    spread: jax.Array


def draw_instances(key):
    """Draw for three shapes four sizes of the means at the start each, with times on a logarithmic scale."""
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
    """Tell whether every sample is of one class, and every class has as many samples."""
    members = np.asarray(instance.problem.members)
    return bool(np.all(members.sum(axis=1) == 1) and np.ptp(members.sum(axis=0)) == 0)


def whitened(instance):
    """Tell whether a start has whitened features, of no more dimensions than samples less classes."""
    problem, start = instance.problem, instance.start()
    wide = problem.samples - problem.members.shape[1] >= problem.features.shape[0]
    return wide and float(problem.conservation_defect(start, start, 0.0)) < ROUNDED


def separated(instance):
    """Tell whether no singular value of a start is zero."""
    problem = instance.problem
    found = problem.signal_to_noise(instance.start())
    return float(jnp.min(found)) > DISTINCT * float(jnp.max(found))


def law(omega, time, constants, rate):
    r"""Find where $c_1\log\omega+c_2\omega^2+c_3\omega^4$ is larger by `rate` times `time`.

    Newton's method finds its logarithm. The constants are $C^2$, C and 1/4, or wrong ones.
    """
    c1, c2, c3 = constants

    def total(p):
        return c1 * p + c2 * jnp.exp(2 * p) + c3 * jnp.exp(4 * p)

    begin = jnp.log(omega)
    target = total(begin) + rate * time
    # The left side is convex in p: from the right Newton's iterates come down to the root.
    top = jnp.maximum(begin, 0.25 * jnp.log(jnp.maximum(target - jnp.minimum(c1 * begin, 0.0), 1e-30) / c3)) + 1.0

    def newton(_, p):
        return p - (total(p) - target) / (c1 + 2 * c2 * jnp.exp(2 * p) + 4 * c3 * jnp.exp(4 * p))

    return jnp.exp(jax.lax.fori_loop(0, NEWTON_STEPS, newton, top))


def predict_with(quartic=1.0, square=1.0, speed=1.0, logarithm=1.0):
    """State the law, or with a factor that is not 1 a wrong version of it."""

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
