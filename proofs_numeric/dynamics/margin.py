r"""Unregularised cross-entropy: the flow's direction tends to neural collapse.

Without weight decay cross-entropy has no minimum: once the K classes are separated, weights and features grow without
end. What converges is their direction, and where it goes can be told: to neural collapse, where the margin in
proportion to the squared norms is the largest that any classifier and features of n samples a class can have. So the
geometry of collapse does not need regularisation; the gradient flow prefers it by itself, only very slowly.

Problem:
    $f(W,H)=\frac1N\sum_i\mathrm{CE}(Wh_i,y_i)$ with K classes of n samples each, $N=nK$, no decay and no bias. W and
    the features H are free and follow the gradient flow. Its margin problem is: maximise
    $\min_{i,j\ne y_i}(z_{y_i}-z_j)/(\frac12|W|^2+\frac12|H|^2)$ over all W and H, $z=Wh_i$.
Theorem (Ji et al. 2022, number unchecked):
    For $f=\frac1N\sum_i\mathrm{CE}(Wh_i,y_i)$ with K balanced classes of n samples, no decay and $d\ge K-1$, a flow
    that comes to separate the classes diverges in norm and converges in direction, to a KKT point of the margin
    problem; at neural collapse, its global solution, where random starts lead, the margin
    $\min_{i,j}(z_{y_i}-z_j)/(\frac12|W|^2+\frac12|H|^2)$ is $1/(\sqrt n(K-1))$.
Hypotheses:
    - cross-entropy without decay or bias
    - one-hot targets, balanced classes
    - d >= K-1
Notation:
    Ji et al.: as ours. The flow of log f, which has the same path, is followed, and the limit extrapolated.
Why:
    Convergence in direction to a KKT point is the theorem of Ji et al.; its proof is not repeated here. The largest
    margin is elementary. Scale W and H until all $z_{y_i}-z_j\ge1$. Then $\frac12|W|^2+\frac12|H|^2\ge|WH|_*$, the sum
    of the singular values, with equality for some factors, because d is at least the rank. With $S=I-11^\top/K$ the
    inner product of $SY$ and Z is $\frac1K\sum_i\sum_{j\ne y_i}(z_{y_i}-z_j)\ge n(K-1)$, and $SY$ has the spectral
    norm $\sqrt n$: so $|Z|_*\ge\sqrt n(K-1)$. For $Z=SY$, the simplex, all margins are 1 and $|Z|_*=\sqrt n(K-1)$.
    That random starts lead to this KKT point and to no other is what is checked, not proved.
Checked:
    All entries of W and H are integrated from random starts, twice with different tolerances; their difference bounds
    the error. The path is that of the flow of f, in a time in which the squared norm grows linearly in the end, so
    that the margin's distance from its limit falls like the inverse of time. The limit is extrapolated from the last
    times. Each path must conserve $W^\top W-HH^\top$. All this is sampled: a law about every start is not certified by
    some.
Refuted by:
    One path whose extrapolated margin differs from the largest one by more than the extrapolation leaves open; paths
    that still linger near a saddle of the direction tell nothing. The same check must refute K in the place of K - 1,
    a margin larger by 1e-4, and n in the place of its root.
Example:
    Two classes of two samples: the largest margin, and the limits of three fresh paths, extrapolated from two times.

    >>> problem = LogLoss(np.zeros((2, 2)), np.repeat(np.eye(2), 2, axis=1))
    >>> observe = lambda problem, params: margin(problem, params, None)
    >>> paths = nct.gradient_flow(problem, nct.starts(problem, seeds=3), [400.0, 800.0], observe=observe, light=True)
    >>> half, full = paths.values.T
    >>> round(0.5**0.5, 4), (2 * full - half).round(4).tolist()
    (0.7071, [0.7071, 0.7071, 0.7071])
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import nctheory as nct
from proofs_numeric.bibliography_of_networks import JI_2022
from proofs_numeric.pool import log_uniform, pick

# Each shape is (classes, samples a class, features). A key picks one of two classes or one sample, and two others. Five
# classes of several samples, and four in three dimensions, are left out: there one start in ten or twenty lingers at a
# saddle of the direction for longer than can be followed, and tells nothing of the limit.
SHAPES = (((2, 1, 2), (2, 4, 1), (4, 1, 4)), ((3, 2, 3), (3, 3, 2), (3, 4, 3), (4, 2, 4)))
RADIUS = 50.0
"""From this squared norm R on time is slowed."""
LAST = 6400.0
"""Paths are followed to this time."""
LINEAR = 30.0
"""A log-loss below minus this is computed from its first-order form."""


class LogLoss(nct.Problem):
    r"""The logarithm of the mean cross-entropy of W H, with a flow on the path of that of the cross-entropy itself.

    Its time s is another one, in which the squared norm grows linearly in the end: $dt=ds/(f(1+|\theta|^2/R))$.
    """

    weights: jax.Array
    """Only its shape counts, K x d."""
    labels: jax.Array
    """One-hot columns, K x N."""

    def init(self, key, scale):
        """Draw independent normal entries."""
        one, other = jax.random.split(key)
        low = (self.weights.shape[1], self.labels.shape[1])
        return (
            scale * jax.random.normal(one, self.weights.shape, jnp.float64),
            scale * jax.random.normal(other, low, jnp.float64),
        )

    def logits(self, params):
        """Return W H."""
        return params[0] @ params[1]

    def objective(self, params):
        """Return the log of the mean of log(1 + sum exp(z_j - z_y)), also where the mean underflows."""
        logits = self.logits(params)
        own = jnp.sum(logits * self.labels, axis=0)
        others = jnp.where(self.labels == 1, -jnp.inf, logits - own[None, :])
        excess = jax.scipy.special.logsumexp(others, axis=0)
        small = excess < -LINEAR
        log_loss = jnp.where(small, excess, jnp.log(jnp.log1p(jnp.exp(jnp.where(small, 0.0, excess)))))
        return jax.scipy.special.logsumexp(log_loss) - jnp.log(log_loss.size)

    def velocity(self, params):
        r"""Return $-\nabla\log f/(1+|\theta|^2/R)$."""
        slower = 1.0 / (1.0 + sum(jnp.sum(x**2) for x in params) / RADIUS)
        return jax.tree.map(lambda x: -slower * x, jax.grad(self.objective)(params))

    def conservation_defect(self, start, params, time):
        r"""Return the change of $W^\top W-HH^\top$, which is conserved, relative to its two terms."""

        def imbalance(point):
            return point[0].T @ point[0], point[1] @ point[1].T

        above, below = imbalance(params)
        first, second = imbalance(start)
        away = jnp.sqrt(jnp.sum((above - below - first + second) ** 2))
        return away / (jnp.sqrt(jnp.sum(above**2)) + jnp.sqrt(jnp.sum(below**2)))


class Limits(NamedTuple):
    """What is predicted of the limit."""

    margin: jax.Array


def draw_instances(key):
    """Draw for each shape four scales of the starts, with times to a squared norm of some ten thousands."""
    drawn = []
    rng = nct.theorems.numpy_rng(key)
    for classes, n, dim in (shape for i, group in enumerate(SHAPES) for shape in pick(rng, group, i + 1)):
        labels = jnp.repeat(jnp.eye(classes), n, axis=1)
        problem = LogLoss(jnp.zeros((classes, dim)), labels)
        times = tuple((LAST * 2.0 ** -np.arange(11.0, -0.5, -0.5)).tolist())
        for _ in range(4):
            scale = log_uniform(rng, 0.3, 1.3)
            shown = {"K": classes, "n": n, "d": dim, "scale": scale}
            drawn.append(nct.Instance(problem, shown, scale=scale, trajectory=nct.theorems.TrajectorySpec(times)))
    return drawn


def balanced_labels(instance):
    """Tell whether every column is one class, and every class has as many columns."""
    labels = np.asarray(instance.problem.labels)
    return bool(np.all(labels.sum(axis=0) == 1) and np.ptp(labels.sum(axis=1)) == 0)


def margin(problem, params, start):
    r"""Return the least $z_y-z_j$, over $\frac12|W|^2+\frac12|H|^2$."""
    logits = problem.logits(params)
    own = jnp.sum(logits * problem.labels, axis=0)
    others = jnp.where(problem.labels == 1, jnp.inf, own[None, :] - logits)
    return jnp.min(others) / (0.5 * sum(jnp.sum(x**2) for x in params))


def predict_with(change=1.0, offset=0.0, power=0.5):
    """State the margin, or a wrong one: times a factor, with another power of n, with `offset` more classes."""

    def predict(problem, start, times):
        classes, total = problem.labels.shape
        n = total / classes
        return Limits(jnp.asarray(change / (n**power * (classes - 1 + offset))))

    return predict


THEOREM = nct.register(
    nct.Theorem(
        id="ji-ce-gf",
        docstring=__doc__,
        hypotheses=(
            lambda i: isinstance(i.problem, LogLoss),
            balanced_labels,
            lambda i: i.problem.weights.shape[1] >= i.problem.weights.shape[0] - 1,
        ),
        sources=(JI_2022.remark("That from random starts the KKT point is the global one is what is checked here."),),
        instances=draw_instances,
        predict=predict_with(),
        claims=(
            nct.Limit(
                "margin",
                r"\min(z_y-z_j)/(\frac12|W|^2+\frac12|H|^2)",
                margin,
                lambda m: m.margin,
                vanishing=lambda time: 1.0 / time,
                resolution=1e-5,
                because="extrapolated from four ends of a path whose direction converges like 1/log t",
            ),
        ),
        controls=(
            nct.Control("1/K", "1/(sqrt(n) K) in the place of 1/(sqrt(n) (K-1))", predict_with(offset=1.0)),
            nct.Control("1e-4 more", "a margin larger by a relative 1e-4", predict_with(change=1 + 1e-4)),
            nct.Control(
                "1/n",
                "n in the place of its root",
                predict_with(power=1.0),
                applies=lambda one: float(one.parameters["n"]) > 1,
            ),
        ),
        method=nct.Integrate(),
        seeds=16,
    )
)

if __name__ == "__main__":
    nct.show(nct.verify(THEOREM))
