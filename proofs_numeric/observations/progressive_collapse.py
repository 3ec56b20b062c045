r"""Progressive collapse.

Each layer of a trained classifier is said to bring the samples of a class closer together, relative to the distances
between the classes, than the layer before did. A network that only reached collapse at its end, in one jump, would
show no such thing.

Claim (Rangamani et al. 2023, He and Su 2023; numbers unchecked):
    Within-class variability relative to that between classes falls at every layer, from the inputs to the last
    features.
Statistic:
    The largest ratio of neighbouring layers, $\max_l v_{l+1}/v_l$, for
    $v=\mathrm{tr}\,\Sigma_W/\mathrm{tr}\,\Sigma_B$ and for $v=\mathrm{tr}(\Sigma_W\Sigma_B^\dagger)/K$ of the
    training samples, and for the former of test samples.
Counts for it:
    A ratio below 1: the measure falls at every layer. More than 50 % of 16 seeds must do so, at 95 %.
Counts against it:
    A ratio of 1 or more: some layer does not lower the measure.
Settings:
    ReLU, six layers without biases, five of them 64 wide; squared error, coupled decay 1e-3, 1000 full-batch steps of
    Adam; the 10 digits with 20 training samples each, others in every seed.
Controls:
    - random features: the same networks at their random starts must not show it
    - permuted labels: must not show it on test samples; on training samples they stand beside for comparison, because
      the claim there is one about fitting labels, whatever these are
"""

import numpy as np

import nctheory as nct
from proofs_numeric.bibliography_of_observations import HE_2023, RANGAMANI_2023
from proofs_numeric.observations.shared import PERMUTED_LABELS, RANDOM_FEATURES, digits, layers, one_network


def steepest(values):
    """Return the largest ratio of neighbouring numbers."""
    return np.max(values[1:] / values[:-1])


def measure(trial):
    """Take both measures by layer, on training and on test samples."""
    trained = trial.trained["network"]
    seen, unseen = layers(trained), layers(trained, trial.data.test_inputs, trial.data.test_labels)
    return {
        "trace ratio": steepest(seen.trace_ratio[0]),
        "nc1": steepest(seen.nc1[0]),
        "trace ratio, test samples": steepest(unseen.trace_ratio[0]),
        "trace ratio by layer": seen.trace_ratio[0],
        "nc1 by layer": seen.nc1[0],
        "test trace ratio by layer": unseen.trace_ratio[0],
    }


def falls(name, words, against=("random features",)):
    """Claim that a measure falls at every layer."""
    return nct.networks.Statistic(name, f"{words} falls at every layer", "below", 1.0, against=against)


OBSERVATION = nct.networks.register_observation(
    nct.networks.Observation(
        id="progressive-collapse",
        docstring=__doc__,
        sources=(RANGAMANI_2023, HE_2023),
        data=digits(20),
        networks=one_network((64,) * 5, weight_decay=1e-3),
        measure=measure,
        training={"steps": 1000},
        statistics=(
            falls("trace ratio", "tr S_W / tr S_B"),
            falls("nc1", "tr(S_W S_B^+)/K"),
            falls("trace ratio, test samples", "tr S_W / tr S_B of unseen samples", against=None),
        ),
        controls=(RANDOM_FEATURES, PERMUTED_LABELS),
        panels=(
            nct.networks.Panel("trace ratio by layer", "tr S_W / tr S_B"),
            nct.networks.Panel("nc1 by layer", "tr(S_W S_B^+)/K"),
            nct.networks.Panel("test trace ratio by layer", "tr S_W / tr S_B, test samples"),
        ),
    )
)
