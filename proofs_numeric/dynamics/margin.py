r"""Unregularised cross-entropy: the flow's direction tends to neural collapse.

Unregularised cross-entropy: the direction of the flow converges to neural collapse, its margin to the largest one.

Theorem:
    For $f=\frac1N\sum_i\mathrm{CE}(Wh_i,y_i)$ with K balanced classes of n samples, no decay and
    $d\ge K-1$, a flow that comes to separate the classes diverges in norm and converges in direction, to a KKT point of the
    margin problem; at neural collapse, its global solution, where random starts lead, the margin
    $\min_{i,j}(z_{y_i}-z_j)/(\frac12|W|^2+\frac12|H|^2)$ is $1/(\sqrt n(K-1))$.
Hypotheses:
    - cross-entropy without decay or bias
    - one-hot targets, balanced classes
    - d >= K-1
Notation:
    Ji et al.: as ours. The flow of log f, which has the same path, is followed, and the limit extrapolated.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import nctheory as nct
from proofs_numeric.bibliography_of_networks import JI_2022
from proofs_numeric.pool import log_uniform, pick

# classes, samples a class, features: two classes or one sample, and more; a key picks one of the first and two
# of the other. Five classes of several samples, and four in three dimensions, are left out: there one start in ten or twenty
# lingers at a saddle of the direction for longer than can be followed, and tells nothing of the limit.
SHAPES = (((2, 1, 2), (2, 4, 1), (4, 1, 4)), ((3, 2, 3), (3, 3, 2), (3, 4, 3), (4, 2, 4)))
RADIUS = 50.0
"""R, the squared norm from which on time is slowed."""
LAST = 6400.0
LINEAR = 30.0
"""Log-loss below minus this is computed from its first-order form."""


class LogLoss(nct.Problem):
    r"""The logarithm of the mean cross-entropy of W H, with a flow that has the same path as that of the cross-entropy itself.

    Time s is another one, $ds=f(1+|\theta|^2/R)dt$, in which the squared norm grows linearly in the end.
    """

    weights: jax.Array
    """Their shape, K x d."""
    labels: jax.Array
    """One-hot, K x N."""

    def init(self, key, scale):
        """Independent normal entries."""
        one, other = jax.random.split(key)
        low = (self.weights.shape[1], self.labels.shape[1])
        return (
            scale * jax.random.normal(one, self.weights.shape, jnp.float64),
            scale * jax.random.normal(other, low, jnp.float64),
        )

    def logits(self, params):
        """W H."""
        return params[0] @ params[1]

    def objective(self, params):
        """log of the mean of log(1 + sum exp(z_j - z_y)), also where the mean underflows."""
        logits = self.logits(params)
        own = jnp.sum(logits * self.labels, axis=0)
        others = jnp.where(self.labels == 1, -jnp.inf, logits - own[None, :])
        excess = jax.scipy.special.logsumexp(others, axis=0)
        small = excess < -LINEAR
        log_loss = jnp.where(small, excess, jnp.log(jnp.log1p(jnp.exp(jnp.where(small, 0.0, excess)))))
        return jax.scipy.special.logsumexp(log_loss) - jnp.log(log_loss.size)

    def velocity(self, params):
        r"""$-\nabla\log f/(1+|\theta|^2/R)$."""
        slower = 1.0 / (1.0 + sum(jnp.sum(x**2) for x in params) / RADIUS)
        return jax.tree.map(lambda x: -slower * x, jax.grad(self.objective)(params))

    def conservation_defect(self, start, params, time):
        r"""$W^\top W-HH^\top$ is conserved, relative to its two terms."""

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
    """For each shape four scales of the starts; times to a squared norm of some ten thousands."""
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
    """Whether every column is one class, and every class has as many columns."""
    labels = np.asarray(instance.problem.labels)
    return bool(np.all(labels.sum(axis=0) == 1) and np.ptp(labels.sum(axis=1)) == 0)


def margin(problem, params, start):
    r"""The least $z_y-z_j$, over $\frac12|W|^2+\frac12|H|^2$."""
    logits = problem.logits(params)
    own = jnp.sum(logits * problem.labels, axis=0)
    others = jnp.where(problem.labels == 1, jnp.inf, own[None, :] - logits)
    return jnp.min(others) / (0.5 * sum(jnp.sum(x**2) for x in params))


def predict_with(change=1.0, offset=0.0, power=0.5):
    """The margin times a factor, with another power of n."""

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
                applies=lambda one: one.parameters["n"] > 1,
            ),
        ),
        method=nct.Integrate(),
        seeds=16,
    )
)

if __name__ == "__main__":
    nct.show(nct.verify(THEOREM))
