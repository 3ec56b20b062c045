r"""Orthogonal decision axes of independent tasks.

Two ways to label the same samples, independent of each other, each have axes between their class means. Where the classes
of one task spread little along its own axis, the other task's labels cannot move the mean along it: so the axes are nearly
orthogonal, and one representation serves both tasks. What must be small is the spread of *every* class of the task along
the axis, not of the two classes alone that the axis joins.

Problem:
    Features $f_i$, here those of an unconstrained-feature model at any point of its training, with two labels each, of
    $K_1$ and $K_2$ classes; every pair of labels occurs equally often.
Theorem (Luthra, Salunkhe and Galanti 2026, Proposition 4.2 as their blog has it, in the reading that is true):
    For classes a, b of the first task let $d_1u_1=\mu_a-\mu_b$ with $|u_1|=1$, and let $\tilde V^1$ be the largest
    $\mathrm{Var}(\langle f,u_1\rangle\mid y_1=k)/d_1^2$ over all classes k of that task; the same with 2 for classes of the
    second. Then $|\langle u_1,u_2\rangle|\le\frac{d_1}{d_2}\sqrt{2K_2\tilde V^1}$ and
    $|\langle u_1,u_2\rangle|\le\frac{d_2}{d_1}\sqrt{2K_1\tilde V^2}$.
Hypotheses:
    - at least two classes in each task
    - every pair of labels occurs equally often
Notation:
    The blog speaks of the worst variance along the axis; whether over the two classes of the axis or over all of the task
    is not said.
Why:
    Let $X=\langle f,u_1\rangle$ and $g_k(c)$ its mean over the samples with the labels k and c, less that over the samples
    with the label k. The labels are independent, so that $d_2\langle u_1,u_2\rangle=E[X\mid c]-E[X\mid e]$ is the mean of
    $g_k(c)-g_k(e)$ over the classes k. The variance of X in class k is at least
    $\frac1{K_2}\sum_cg_k(c)^2\ge\frac1{2K_2}(g_k(c)-g_k(e))^2$. Both are equal where the second label moves the samples of
    all classes alike, in two opposite directions. With the variances of a and b alone the first step fails from $K_1=3$ on:
    classes at -1 and 1, and a third at 3 or -3 by the second label, have $\langle u_1,u_2\rangle=1$ and no variance in the
    first two.
Checked:
    At random starts and after 30 and 300 steps of gradient descent all pairs of axes are held against both bounds. Some
    starts attain them.
Refuted by:
    One pair of axes that are less orthogonal than a bound by more than rounding. The same check must refute the variances
    of the two classes alone, a half of the constant, bounds without the distances, and tasks that depend on each other.
Example:
    Three classes and a second label that moves the third alone: the cosine, the bound, and the bound by two variances alone.

    >>> import jax
    >>> problem = next(i.problem for i in draw_instances(jax.random.key(0)) if i.parameters["starts"] == "third class")
    >>> with jax.enable_x64(True):
    ...     point = problem.init(jax.random.key(0), 1.0)
    ...     inner, length = inner_products(problem, point)[0, 1, 0, 1], 2.0 * 2.0
    ...     bounds = [first_bounds(problem, point, pairwise=some)[0, 1, 0, 1] for some in (False, True)]
    >>> [round(abs(float(one) / length), 4) for one in (inner, *bounds)]
    [1.0, 3.0, 0.0]
"""

import equinox as eqx
import jax.numpy as jnp
import numpy as np

import nctheory as nct
from proofs_numeric.bibliography_of_generalisation import LUTHRA_2026
from proofs_numeric.conserved.vector_field import one, rounding_unit
from proofs_numeric.generalisation.populations import (
    SEEDS,
    Population,
    extent,
    labels_of,
    population,
    share,
    started,
)

ID = "task-orthogonality"


class TwoTasks(Population):
    """A population with a second label of every feature."""

    second: tuple[int, ...] = eqx.field(static=True, kw_only=True, default=())


def two_tasks(rng, first, second, each, dim, name, points=None, loss="mse"):
    """Build an instance in which every pair of labels occurs `each` times."""
    labels = tuple(int(c) for c in np.tile(np.repeat(np.arange(second), each), first))
    counts = (second * each,) * first
    return population(rng, counts, dim, name, points, loss=loss, kind=TwoTasks, second=labels)


def additive(first, second, each, dim, lengths=(1.0, 1.0), angle=1.0):
    """Place each task's first and last class opposite each other, all others in the middle, on axes at an angle."""
    points = np.zeros((dim, first, second, each))
    for task, (classes, length, turn) in enumerate(zip((first, second), lengths, (0.0, angle), strict=True)):
        height = np.zeros(classes)
        height[0], height[-1] = -0.5 * length, 0.5 * length
        axis = np.eye(dim)[:, :2] @ np.array([np.cos(turn), np.sin(turn)])
        shape = (1, classes, 1, 1) if task == 0 else (1, 1, classes, 1)
        points = points + axis[:, None, None, None] * height.reshape(shape)
    return points.reshape(dim, -1)


def third_class(each, dim):
    """Place two classes at -1 and 1, and a third at -3 or 3 by the second label of two."""
    points = np.zeros((dim, 3, 2, each))
    points[0, 0], points[0, 1] = -1.0, 1.0
    points[0, 2, 0], points[0, 2, 1] = -3.0, 3.0
    return points.reshape(dim, -1)


def draw_instances(key):
    """Draw tasks of several shapes with normal starts, and arranged ones that attain the bounds."""
    rng = nct.theorems.numpy_rng(key)
    return [
        two_tasks(rng, 3, 2, 2, 3, "normal"),
        two_tasks(rng, 3, 2, 2, 3, "third class", third_class(2, 3)),
        two_tasks(rng, 3, 2, 2, 3, "additive", additive(3, 2, 2, 3)),
        two_tasks(rng, 3, 2, 2, 3, "long first", additive(3, 2, 2, 3, (3.0, 1.0), 0.3)),
        two_tasks(rng, 3, 2, 2, 3, "long second", additive(3, 2, 2, 3, (1.0, 3.0), 0.3)),
        two_tasks(rng, 2, 2, 2, 3, "normal", loss="cross_entropy"),
        two_tasks(rng, 2, 2, 2, 3, "additive", additive(2, 2, 2, 3), loss="cross_entropy"),
        two_tasks(rng, 3, 3, 1, 2, "normal"),
        two_tasks(rng, 3, 3, 1, 2, "additive", additive(3, 3, 1, 2)),
        two_tasks(rng, 2, 4, 1, 3, "normal", loss="cross_entropy"),
        two_tasks(rng, 2, 4, 1, 3, "additive", additive(2, 4, 1, 3), loss="cross_entropy"),
    ]


def draw_dependent(key):
    """Draw a population whose two labels are the same, so that the axes are too."""
    rng = nct.theorems.numpy_rng(key)
    points = np.repeat(np.array([[-1.0, 1.0], [0.0, 0.5]]), 4, axis=1)
    return [population(rng, (4, 4), 2, "one task twice", points, kind=TwoTasks, second=(0,) * 4 + (1,) * 4)]


def tasks(problem):
    """Return the two labels of every feature, and the numbers of classes."""
    first, second = labels_of(problem), np.asarray(problem.second)
    return (first, second), (problem.classes, int(second.max()) + 1)


def steps(problem, params, task):
    """Return mu_a - mu_b of all pairs of classes of a task, K x K x d."""
    labels, numbers = tasks(problem)
    x = params.features.T
    means = jnp.stack([jnp.mean(x[np.flatnonzero(labels[task] == k)], axis=0) for k in range(numbers[task])])
    return means[:, None, :] - means[None, :, :]


def inner_products(problem, params):
    """Return |<mu_a - mu_b, mu_c - mu_e>| of all pairs of axes."""
    return jnp.abs(jnp.einsum("abd,ced->abce", steps(problem, params, 0), steps(problem, params, 1)))


def deviations(problem, params, task, pairwise):
    """Return the largest standard deviation of a class of a task along mu_a - mu_b, times its length: K x K."""
    labels, numbers = tasks(problem)
    x, axes = params.features.T, steps(problem, params, task)
    rows = [x[np.flatnonzero(labels[task] == k)] for k in range(numbers[task])]
    spreads = [jnp.std(jnp.einsum("nd,abd->nab", one, axes), axis=0) for one in rows]
    every = jnp.stack(spreads)
    if not pairwise:
        return jnp.max(every, axis=0)
    a, b = np.indices((numbers[task],) * 2)
    return jnp.maximum(every[a, a, b], every[b, a, b])


def bounds(problem, params, task, constant, pairwise, distances):
    """Return the bound on |<mu_a - mu_b, mu_c - mu_e>| from the variances of one task, K_1 x K_1 x K_2 x K_2 or turned.

    It is the bound on the cosine times both lengths, so that distances of zero are no exception; without `distances` their
    ratio is left out of the bound on the cosine.
    """
    numbers = tasks(problem)[1]
    told = jnp.sqrt(constant * numbers[1 - task]) * deviations(problem, params, task, pairwise)
    own, other = (jnp.linalg.norm(steps(problem, params, one), axis=2) for one in (task, 1 - task))
    whole = told[:, :, None, None] * jnp.ones((1, 1, *other.shape))
    # (d_1/d_2) sqrt(2 K_2 V) d_1 d_2 = d_1 sqrt(2 K_2 V d_1^2); without the ratio it is d_2 times the root instead.
    return whole if distances else whole * other[None, None] / jnp.where(own > 0, own, 1.0)[:, :, None, None]


def first_bounds(problem, params, constant=2.0, pairwise=False, distances=True):
    """Return the bound from the variances of the first task."""
    return bounds(problem, params, 0, constant, pairwise, distances)


def second_bounds(problem, params, constant=2.0, pairwise=False, distances=True):
    """Return the bound from the variances of the second task."""
    return jnp.transpose(bounds(problem, params, 1, constant, pairwise, distances), (2, 3, 0, 1))


def rounding_of_products(problem, params):
    """Return the rounding of inner products and of bounds.

    Differences of features are at most G and known to the rounding e of the largest feature: inner products of two to 4eG, and
    standard deviations of such products too.
    """
    largest, extreme = extent(params.features)
    most = float(np.sqrt(2.0 * max(tasks(problem)[1])))
    return (4.0 + 4.0 * most) * rounding_unit(params) * largest * extreme * jnp.ones(())


def ones(prediction):
    """Predict that a cosine is at most the whole of its bound."""
    return jnp.ones(())


def first(**change):
    """State the bound from the first task, or a wrong version of it."""
    observed, rounded = share(inner_products, lambda p, x: first_bounds(p, x, **change), rounding_of_products)
    statement = r"|\langle u_1,u_2\rangle|\le\frac{d_1}{d_2}\sqrt{2K_2\tilde V^1}"
    return nct.UpperBound("first task", statement, observed, ones, scope="any point", terms=rounded, size=one)


def second(**change):
    """State the bound from the second task, or a wrong version of it."""
    observed, rounded = share(inner_products, lambda p, x: second_bounds(p, x, **change), rounding_of_products)
    statement = r"|\langle u_1,u_2\rangle|\le\frac{d_2}{d_1}\sqrt{2K_1\tilde V^2}"
    return nct.UpperBound("second task", statement, observed, ones, scope="any point", terms=rounded, size=one)


def balanced(instance):
    """Tell whether every pair of labels occurs equally often."""
    labels, numbers = tasks(instance.problem)
    table = np.zeros(numbers, int)
    np.add.at(table, labels, 1)
    return bool(table.min() > 0 and table.min() == table.max())


THEOREM = nct.register(
    nct.Theorem(
        id=ID,
        docstring=__doc__,
        hypotheses=(lambda i: min(tasks(i.problem)[1]) >= 2, balanced),
        sources=(
            LUTHRA_2026.remark(
                "Read in the authors' blog; the proof and the boundary of the reading are our own.",
                "Proposition 4.2 of the authors' blog",
            ),
        ),
        instances=draw_instances,
        predict=lambda problem: None,
        seeds=SEEDS,
        method=nct.theorems.Train(steps=(0, 30, 300), rate=0.1),
        claims=(first(), second()),
        controls=(
            nct.Control(
                "two classes alone",
                "the larger variance of the two classes that the axis joins",
                versions=(first(pairwise=True),),
                applies=started("third class"),
            ),
            nct.Control(
                "half the constant",
                "K in the place of 2K",
                versions=(first(constant=1.0), second(constant=1.0)),
                applies=started("additive"),
            ),
            nct.Control(
                "first distances left out",
                "|<u_1,u_2>| <= sqrt(2 K_2 V)",
                versions=(first(distances=False),),
                applies=started("long first"),
            ),
            nct.Control(
                "second distances left out",
                "|<u_1,u_2>| <= sqrt(2 K_1 V)",
                versions=(second(distances=False),),
                applies=started("long second"),
            ),
            nct.Control("dependent tasks", "one task twice", outside=draw_dependent),
        ),
    )
)

if __name__ == "__main__":
    nct.show(nct.verify(THEOREM))
