r"""Low rank by depth.

Deep networks that are trained with a decay are said to end with weights of low rank, lower the deeper the layer. In
the middle layers the rank may even be lower than the number of classes, so that class means cannot be a simplex
there.

Claim (Huh et al. 2023 for the bias, Sukenik et al. 2024 for ranks below K; numbers unchecked):
    The weights of the middle layers have low rank, at most K and in the soft sense below K, and the rank falls with
    depth.
Statistic:
    Over the middle layers 2, …, L-1: the largest stable rank $|W|_F^2/|W|_2^2$; the largest number of singular values
    above 1 % of the largest; and, from layer 1 to L-1, the largest rise of the stable rank from one layer to the
    next.
Counts for it:
    A stable rank below 10, which is K; at most 10 singular values, that is below 10.5; a rise below 0: it falls at
    every layer. More than 50 % of 16 seeds must do so, at 95 %.
Counts against it:
    A stable rank of 10 or more; more than 10 singular values; a layer whose stable rank is not below that of the one
    before.
Settings:
    ReLU, six layers without biases, five of them 64 wide; squared error, coupled decay 1e-3, 2000 full-batch steps of
    Adam; the 10 digits with 20 training samples each, others in every seed.
Controls:
    - random features: the same networks at their random starts must not show it
    - no decay: networks trained without a decay must not show it, because the claim is one about decay
    - permuted labels: beside for comparison, because the claim is one about any labels
"""

import numpy as np

import nctheory as nct
from proofs_numeric.bibliography_of_observations import HUH_2023, SUKENIK_2024
from proofs_numeric.observations.shared import PERMUTED_LABELS, RANDOM_FEATURES, digits, one_network, weights_of

CLASSES, SMALL = 10, 0.01
HIDDEN = (64,) * 5


def measure(trial):
    """Take both kinds of rank of every layer."""
    singular = [np.linalg.svd(weight, compute_uv=False) for weight in weights_of(trial.trained["network"])]
    stable = np.array([np.sum(s**2) / s[0] ** 2 for s in singular])
    numerical = np.array([np.sum(s > SMALL * s[0]) for s in singular], float)
    return {
        "stable rank": np.max(stable[1:-1]),
        "numerical rank": np.max(numerical[1:-1]),
        "rise of the stable rank": np.max(np.diff(stable[:-1])),
        "stable rank by layer": stable,
        "numerical rank by layer": numerical,
    }


AGAINST = ("random features", "no decay")
OBSERVATION = nct.networks.register_observation(
    nct.networks.Observation(
        id="low-rank-by-depth",
        docstring=__doc__,
        sources=(HUH_2023, SUKENIK_2024),
        data=digits(20),
        networks=one_network(HIDDEN, weight_decay=1e-3),
        measure=measure,
        training={"steps": 2000},
        statistics=(
            nct.networks.Statistic("stable rank", "stable ranks of middle layers are below K", "below", 10.0, AGAINST),
            nct.networks.Statistic(
                "numerical rank", "middle layers have rank at most K to 1 %", "below", 10.5, AGAINST
            ),
            nct.networks.Statistic(
                "rise of the stable rank", "the stable rank falls at every layer", "below", 0.0, AGAINST
            ),
        ),
        controls=(
            RANDOM_FEATURES,
            nct.networks.ControlGroup(
                "no decay", "the decay is not what does it", networks=one_network(HIDDEN, weight_decay=0.0)
            ),
            PERMUTED_LABELS,
        ),
        panels=(
            nct.networks.Panel(
                "stable rank by layer", "|W|_F^2 / |W|_2^2", tuple(str(i) for i in range(1, len(HIDDEN) + 2))
            ),
            nct.networks.Panel(
                "numerical rank by layer", "singular values above 1 %", tuple(str(i) for i in range(1, len(HIDDEN) + 2))
            ),
        ),
    )
)
