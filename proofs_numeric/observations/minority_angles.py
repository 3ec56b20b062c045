r"""Angles under imbalance.

The unconstrained-feature model says exactly at which angles classifiers stand when classes are of unequal size: those
of the minority stand closer together than those of the majority. Do the classifiers of a network stand at these
angles?

Claim (Thrampoulidis et al. 2022, Hong and Ling 2024, for the model, of which networks are said to be near; numbers unchecked):
    The classifiers of a network trained on imbalanced classes stand at the angles of the model's global minimum.
Statistic:
    The absolute difference between the mean cosine of the network's classifiers and that of the exact minimum of the
    model with the network's own decay, class counts and ratio of norms $\lambda_H=\lambda_W|W|^2/|H|^2$: within the
    majority, within the minority, and between them. And the sum of the three, less that of the differences from the
    simplex, -1/5 throughout.
Counts for it:
    A difference below 0.05; for the last, a number below 0: the network is nearer to the model than to a simplex.
    More than 50 % of 16 seeds must do so, at 95 %. Only seeds count whose network is terminal: the norm of the
    gradient is at most 0.01 of that of the decay's part of it.
Counts against it:
    A difference of 0.05 or more; a number of 0 or more.
Settings:
    GELU, four layers without biases, three of them 32 wide; cross-entropy, coupled decay 5e-3, 12000 full-batch steps
    of Adam; three digits with 40 samples and three with 4, others in every seed.
Controls:
    - raw inputs: a linear classifier of the pixels must not show it
    - random features: the same networks at their random starts must not show it
    - permuted labels: beside for comparison, because the model knows nothing of inputs
"""

import numpy as np

import nctheory as nct
from proofs_numeric.bibliography import HONG_2024, THRAMPOULIDIS_2022
from proofs_numeric.observations.shared import (
    PERMUTED_LABELS,
    RANDOM_FEATURES,
    digits,
    group_cosines,
    hard_margin_gram,
    last_features,
    one_network,
    peeled_minimum,
    weights_of,
)

COUNTS, MAJORITY, DECAY = (40, 40, 40, 4, 4, 4), 3, 5e-3
PAIRS = ("majority", "minority", "between")
PREDICTED = ("simplex (ETF)", "model's minimum (UFM)", "hard margins (SELI)")
OPTIONS = {"loss": "cross_entropy", "weight_decay": DECAY, "activation": "gelu"}


def measure(trial):
    """Hold the cosines of the network against the model's, the simplex's and those of the hard-margin limit."""
    trained = trial.trained["network"]
    head, features = weights_of(trained)[-1], last_features(trained)
    seen = group_cosines(head @ head.T, MAJORITY)
    minimum = peeled_minimum(COUNTS, head, features, DECAY)
    model = group_cosines(np.asarray(minimum.gram_weights), MAJORITY)
    simplex = np.full(3, -1.0 / (len(COUNTS) - 1))
    found = {f"{name}: off the model": abs(x) for name, x in zip(PAIRS, seen - model, strict=True)}
    nearer = np.sum(np.abs(seen - model)) - np.sum(np.abs(seen - simplex))
    norms, best = np.linalg.norm(head, axis=1), np.sqrt(np.diag(np.asarray(minimum.gram_weights)))
    return found | {
        "model against simplex": nearer,
        "minority norm / majority norm": norms[MAJORITY:].mean() / norms[:MAJORITY].mean(),
        "the model's": best[MAJORITY:].mean() / best[:MAJORITY].mean(),
        "cosines": seen,
        "model's minimum (UFM)": model,
        "simplex (ETF)": simplex,
        "hard margins (SELI)": group_cosines(hard_margin_gram(COUNTS), MAJORITY),
    }


OBSERVATION = nct.networks.register_observation(
    nct.networks.Observation(
        id="minority-angles",
        docstring=__doc__,
        sources=(THRAMPOULIDIS_2022, HONG_2024),
        data=digits(COUNTS, len(COUNTS)),
        networks=one_network((32,) * 3, **OPTIONS),
        measure=measure,
        training={"steps": 12000},
        terminal=0.01,
        statistics=(
            *(
                nct.networks.Statistic(
                    f"{name}: off the model", "cosines equal those of the model's minimum", "below", 0.05,
                    ("raw inputs", "random features"),
                )
                for name in PAIRS
            ),
            nct.networks.Statistic(
                "model against simplex", "cosines are nearer to the model's than to a simplex", "below", 0.0,
                ("raw inputs", "random features"),
            ),
        ),
        controls=(
            nct.networks.ControlGroup("raw inputs", "no features need be learned", networks=one_network((), **OPTIONS)),
            RANDOM_FEATURES,
            PERMUTED_LABELS,
        ),
        panels=(nct.networks.Panel("cosines", "mean cosine of classifiers", PAIRS, PREDICTED, joined=False),),
    )
)  # fmt: skip
