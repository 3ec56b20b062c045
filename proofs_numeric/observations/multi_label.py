r"""Tag-wise averages of features with two tags.

With several tags a sample, the feature of a sample with two tags is said to be the scaled average of the features of
its tags, as in the unconstrained-feature model.

Claim (Li, Li, Wang and Qu 2024, number unchecked):
    At the end of training with the pick-all-label loss the features of samples with tags i and j are a common
    multiple of the sum of the means of the features with the single tags i and j.
Statistic:
    $\min_c\sum|h-\bar h-c(\mu_i+\mu_j-2\bar\mu)|^2/\sum|h-\bar h|^2$ with $\mu_k$ the means of features with one tag,
    $\bar\mu$ their mean, over the features h of samples with two tags, and over their means by pair; $\bar h$ is the
    mean of the latter.
Counts for it:
    A share below 0.1 of what is to be explained. More than 50 % of 16 seeds must do so, at 95 %. Only seeds count
    whose network is terminal: the norm of the gradient is at most 0.01 of that of the decay's part of it.
Counts against it:
    A share of 0.1 or more.
Settings:
    GELU, four layers without biases, three of them 32 wide; coupled decay 1e-2, 20000 full-batch steps of Adam; five
    digits with 12 samples each, and 80 further samples with two tags, which are means of two digits; others in every
    seed.
Controls:
    - raw inputs: the pixels themselves must not show it; inputs with two tags are means of two inputs here, so that
      they may
    - random features: the same networks at their random starts must not show it
    - permuted labels: tags in random order among all samples, beside for comparison, because the model knows nothing
      of inputs
"""

from itertools import combinations

import numpy as np

import nctheory as nct
from proofs_numeric.bibliography import LI_2024
from proofs_numeric.observations.shared import PERMUTED_LABELS, RANDOM_FEATURES, digits, last_features

CLASSES, PAIRS, DECAY = 5, 80, 1e-2
DRAW = digits(12, CLASSES)


def data(drawn):
    """Add samples with two tags to a few of each digit."""
    return DRAW(drawn).multi_label(PAIRS, key=drawn)


def tagged_network(hidden):
    """Return the network on data with tags."""

    def build(data):
        inputs = data.inputs.reshape(len(data.inputs), -1).T
        network = nct.networks.feed_forward(
            widths=(inputs.shape[0], *hidden, data.classes),
            inputs=inputs,
            targets=data.labels.T.astype(float),
            loss=nct.problems.pick_all_label(),
            weight_decay=DECAY,
            activation="gelu",
        )
        return {"network": network}

    return build


def left_over(features, sums):
    """Return what the best common multiple of the sums leaves of the features, as a share, and that multiple."""
    scale = np.sum(features * sums) / np.sum(sums**2)
    return np.sum((features - scale * sums) ** 2) / np.sum(features**2), scale


def measure(trial):
    """Hold features with two tags against the sums of the means of their tags."""
    features, tags = last_features(trial.trained["network"]), trial.data.labels
    several = tags.sum(axis=1)
    means = np.stack([features[(several == 1) & (tags[:, k] == 1)].mean(axis=0) for k in range(CLASSES)])
    means -= means.mean(axis=0)
    pairs = [pair for pair in combinations(range(CLASSES), 2) if np.any(tags[:, pair].all(axis=1))]
    members = [features[tags[:, pair].all(axis=1)] for pair in pairs]
    by_pair = np.stack([part.mean(axis=0) for part in members])
    centre = by_pair.mean(axis=0)
    sums = np.stack([means[i] + means[j] for i, j in pairs])
    each = np.repeat(sums, [len(part) for part in members], axis=0)
    samples, scale = left_over(np.concatenate(members) - centre, each)
    pair_means, _ = left_over(by_pair - centre, sums)
    return {"samples": samples, "means by pair": pair_means, "scale": scale, "left": np.array([samples, pair_means])}


AGAINST = ("raw inputs", "random features")
OBSERVATION = nct.networks.register_observation(
    nct.networks.Observation(
        id="multi-label-averages",
        docstring=__doc__,
        sources=(LI_2024,),
        data=data,
        networks=tagged_network((32,) * 3),
        measure=measure,
        training={"steps": 20000},
        terminal=0.01,
        statistics=(
            nct.networks.Statistic(
                "samples", "every feature is the scaled sum of its tags' means", "below", 0.1, AGAINST
            ),
            nct.networks.Statistic("means by pair", "their means by pair are", "below", 0.1, AGAINST),
        ),
        controls=(
            nct.networks.ControlGroup("raw inputs", "inputs do it already", networks=tagged_network(())),
            RANDOM_FEATURES,
            PERMUTED_LABELS,
        ),
        panels=(
            nct.networks.Panel("left", "share that the averages leave", ("samples", "means by pair"), joined=False),
        ),
    )
)
