"""Angles of features within two groups of classes, and decays on either side of where they change."""

import jax.numpy as jnp
import numpy as np


def group_cosines(problem, params):
    """Return the mean cosine of two features of different classes within either group; 1 for a single class."""
    units = problem.factor_pair(params)[1].T / problem.radius
    means = jnp.asarray(np.eye(problem.classes)[problem.labels] / np.asarray(problem.counts, float)[None, :]).T @ units
    gram = means @ means.T
    found = []
    for members in (np.equal(problem.counts, problem.counts[0]), np.equal(problem.counts, problem.counts[-1])):
        number = int(members.sum())
        others = np.outer(members, members) * (1.0 - np.eye(problem.classes))
        found.append(jnp.sum(jnp.asarray(others) * gram) / (number * (number - 1)) if number > 1 else jnp.ones(()))
    return jnp.stack(found)


def minority_angle(problem, params):
    """Return one minus the cosine within the minority: zero where it is merged."""
    return 1.0 - group_cosines(problem, params)[1]


def wider(problem, params):
    """Return the cosine within the majority minus that within the minority: positive where the minority is wider."""
    found = group_cosines(problem, params)
    return found[0] - found[1]


def around_merging(problem):
    """Name decays at which no minority of the shapes is merged, and at which all are."""
    return 0.02 * float(problem.radius) ** 2, 2.0 * float(problem.radius) ** 2


def around_crossing(problem):
    """Name decays at which every minority of the shapes is wider, and at which none is."""
    return 3e-4 * float(problem.radius) ** 2, 0.02 * float(problem.radius) ** 2
