"""N28: decision axes of independent tasks, bounded by the variances of the two classes that an axis joins."""

import numpy as np

import nctheory as nct
from proofs_numeric.bibliography_of_generalisation import LUTHRA_2026


def axis(features, labels, pair):
    """Return the step between two class means, and the variances of all classes along it, over its squared length."""
    means = np.stack([features[labels == k].mean(axis=0) for k in range(labels.max() + 1)])
    step = means[pair[0]] - means[pair[1]]
    along = features @ step / np.linalg.norm(step)
    return step, np.array([np.var(along[labels == k]) for k in range(labels.max() + 1)]) / np.sum(step**2)


def held_against(features, first, second):
    """Return the cosine of the axes of the classes 0 and 1, and its bounds by two classes and by all of the first task."""
    (one, spread), (two, _) = axis(features, first, (0, 1)), axis(features, second, (0, 1))
    lengths = np.linalg.norm(one), np.linalg.norm(two)
    cosine = abs(one @ two) / (lengths[0] * lengths[1])
    factor = lengths[0] / lengths[1] * np.sqrt(2.0 * (second.max() + 1))
    return float(cosine), *(float(factor * np.sqrt(np.max(some))) for some in (spread[:2], spread))


def reproduce(seeds, key):
    """Evaluate both readings at the counterexample, and count where each fails on random features."""
    first, second = np.repeat(np.arange(3), 2), np.tile(np.arange(2), 3)
    points = np.array([[-1.0], [-1.0], [1.0], [1.0], [-3.0], [3.0]])
    cosine, pair, every = held_against(points, first, second)
    figures = [
        ("classes at -1 and 1, the third at -3 or 3 by the second label: |cos|", f"{cosine:.6f}"),
        ("bound by the variances of the two classes, and of all three", f"{pair:.6f}, {every:.6f}"),
    ]
    rng, failed = np.random.default_rng(key), {}
    for classes in (2, 3, 5):
        labels = np.repeat(np.arange(classes), 2), np.tile(np.arange(2), classes)
        # The more a class may move by the second label, the longer: sizes are drawn over decades.
        sizes = 10.0 ** rng.uniform(-2, 1, size=(seeds, classes, 1))
        moved = rng.normal(size=(seeds, classes, 1, 3)) + sizes[..., None] * rng.normal(size=(seeds, classes, 2, 3))
        found = np.array([held_against(x.reshape(-1, 3), *labels) for x in moved])
        # What is beyond rounding counts alone: with two classes both readings are one.
        beyond = found[:, :1] > found[:, 1:] * (1.0 + 1e-9)
        failed[classes] = beyond.sum(axis=0)
        figures.append(
            (
                f"random features, {classes} classes and 2: bounds exceeded by two variances, and by all",
                f"{failed[classes][0]} and {failed[classes][1]} of {seeds}",
            )
        )
    sound = bool(all(number[1] == 0 for number in failed.values()) and failed[2][0] == 0)
    return nct.theorems.ErratumResult(cosine > pair and cosine <= every and sound, "arithmetic", tuple(figures))


nct.theorems.register_erratum(
    nct.theorems.Erratum(
        id="N28",
        title="Two collapsed classes make an axis orthogonal to those of independent tasks",
        published="For independent balanced tasks |cos| <= min{(d_1/d_2) sqrt(2 K_2 V_1), (d_2/d_1) sqrt(2 K_1 V_2)}, where "
        "V_1 is the worse of the directional variances of the two classes whose means the axis joins: one reading of the "
        "proposition, whose words as they were seen admit another.",
        why="The mean of a class of the other task is over all classes of this one: a third class that the other label moves "
        "along the axis carries the other task's means with it.",
        instead="The bound holds with the worst directional variance over all classes of the task; with two classes the "
        "readings are one.",
        convention="d_1, d_2 are distances of class means, V variances along the axis over d^2, K_1, K_2 numbers of classes.",
        sources=(
            LUTHRA_2026.remark(
                "Read in the authors' blog, whose words (worst variance along the axis) admit both readings; the false one "
                "may not be what the paper means.",
                "Proposition 4.2 of the authors' blog",
            ),
        ),
        reproduce=reproduce,
        theorem="task-orthogonality",
    )
)
