r"""Minority collapse.

Where the imbalance is large enough, the classifiers of all minority classes are said to become one: the network can
no longer tell these classes apart, whatever it learned of the others.

Claim (Fang, He, Long and Su 2021, number unchecked):
    From some imbalance ratio on, the classifiers of the minority classes coincide.
Statistic:
    The least cosine between two classifiers of the minority; and the mean cosine within the minority less that within
    the majority.
Counts for it:
    A cosine above 0.9; a difference above 0. More than 50 % of 16 seeds must do so, at 95 %. Only seeds count whose
    network is terminal: the norm of the gradient is at most 0.01 of that of the decay's part of it.
Counts against it:
    A cosine of 0.9 or less; a difference of 0 or less.
Settings:
    GELU, four layers without biases, three of them 32 wide; cross-entropy, coupled decay 5e-3, 10000 full-batch steps
    of Adam; three digits with 100 samples and three with 2, a ratio of 50, others in every seed. What the exact
    minimum of the unconstrained-feature model has at the network's own norms is reported beside.
Controls:
    - raw inputs: a linear classifier of the pixels must not show it
    - random features: the same networks at their random starts must not show it
    - permuted labels: beside for comparison, because the claim is one about counts, not about inputs
"""

import numpy as np

import nctheory as nct
from proofs_numeric.bibliography import FANG_2021
from proofs_numeric.observations.shared import (
    PERMUTED_LABELS,
    RANDOM_FEATURES,
    cosines,
    digits,
    group_cosines,
    last_features,
    one_network,
    peeled_minimum,
    weights_of,
)

COUNTS, MAJORITY, DECAY = (100, 100, 100, 2, 2, 2), 3, 5e-3
OPTIONS = {"loss": "cross_entropy", "weight_decay": DECAY, "activation": "gelu"}


def measure(trial):
    """Take the cosines of the classifiers, and those of the model's minimum."""
    trained = trial.trained["network"]
    head, features = weights_of(trained)[-1], last_features(trained)
    gram = head @ head.T
    minority = cosines(gram)[MAJORITY:, MAJORITY:]
    within = group_cosines(gram, MAJORITY)
    model = np.asarray(peeled_minimum(COUNTS, head, features, DECAY).gram_weights)
    gone = np.min(np.diag(model)) <= 1e-12 * np.max(np.diag(model))  # a classifier that vanishes has no angles
    return {
        "least cosine in the minority": np.min(minority),
        "minority less majority": within[1] - within[0],
        "cosines": within,
        "model's minimum (UFM)": np.full(3, np.nan) if gone else group_cosines(model, MAJORITY),
    }


AGAINST = ("raw inputs", "random features")
OBSERVATION = nct.networks.register_observation(
    nct.networks.Observation(
        id="minority-collapse",
        docstring=__doc__,
        sources=(FANG_2021,),
        data=digits(COUNTS, len(COUNTS)),
        networks=one_network((32,) * 3, **OPTIONS),
        measure=measure,
        training={"steps": 10000},
        terminal=0.01,
        statistics=(
            nct.networks.Statistic(
                "least cosine in the minority", "classifiers of the minority coincide", "above", 0.9, AGAINST
            ),
            nct.networks.Statistic(
                "minority less majority", "those of the minority stand closer together", "above", 0.0, AGAINST
            ),
        ),
        controls=(
            nct.networks.ControlGroup("raw inputs", "no features need be learned", networks=one_network((), **OPTIONS)),
            RANDOM_FEATURES,
            PERMUTED_LABELS,
        ),
        panels=(
            nct.networks.Panel(
                "cosines",
                "mean cosine of classifiers",
                ("majority", "minority", "between"),
                ("model's minimum (UFM)",),
                joined=False,
            ),
        ),
    )
)
