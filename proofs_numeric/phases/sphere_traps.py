"""This diagram shows how many seeds end in the best minimum on spheres: classes in three dimensions against temperature."""

import nctheory as nct
from proofs_numeric.bibliography_of_codes import JIANG_2024
from proofs_numeric.bibliography_of_spheres import YARAS_2022
from proofs_numeric.spheres.orthoplex import open_spheres

DIM = 3
FEWEST, MOST = 3, 16
"""The numbers of classes: from K = d, of which no bad minimum is known, on (conventional)."""
COLDEST = 12.0
"""The largest tau (measured: values of about exp(-3 tau/2) are told from each other to a part in a million up to there)."""
SEEDS = 32
"""Seeds in every cell (conventional)."""
ALL = 1.0 - 0.5 / SEEDS
"""The share above which all seeds are at the least value (derived: half a seed is missing)."""


def model(strength, classes):
    """Build K classes in three dimensions, with tau = `strength`."""
    return open_spheres(int(classes), DIM, 1, strength)


nct.phase.register_diagram(
    nct.phase.Diagram(
        id="sphere-traps",
        title="Bad minima on spheres: classes in three dimensions against inverse temperature, cross-entropy",
        statement=r"Of cross-entropy of classifiers and features on the sphere in $\mathbb R^3$, $\tau=\rho\omega/T$: the "
        "share of random starts that end in the best minimum found. Nothing is predicted but that it is 1 for $K\\le4$, "
        "where the simplex has room.",
        along=nct.phase.Axis("strength", r"$\tau$", 4.0, COLDEST, log=True),
        across=nct.phase.Axis("classes", "$K$ classes in 3 dimensions", float(FEWEST), float(MOST), step=1.0),
        model=model,
        measures={},
        boundaries=(
            nct.phase.Boundary("first bad minimum", "share of seeds at the least value", level=ALL, of="lowest"),
        ),
        hypotheses=("classifier and features on spheres, cross-entropy of one-hot labels", "balanced classes"),
        sources=(
            YARAS_2022.remark("No bad minima for d > K; larger numbers of classes are our own observation."),
            JIANG_2024.remark("Codes of more classes than d + 1."),
        ),
        certified=False,
        method="flow+polish",
        seeds=SEEDS,
    )
)
