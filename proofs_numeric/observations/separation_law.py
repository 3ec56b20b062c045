r"""The law of data separation.

Every layer of a trained network is said to improve the separation of classes by the same factor, so that the
logarithm of the measure is a straight line in the layer. Three measures of separation are published, and the law may
be one of some of them only. A curve that falls has a high R^2 in any case; so the line is also tested against a
parabola.

Claim (He and Su 2023 for tr(S_W S_B^+), number unchecked; the other two measures stand beside):
    $D_l=\rho^l D_0$ with one $\rho<1$ for all layers $l$, the inputs being layer 0.
Statistic:
    R^2 of the line of least squares through $\log D_l$, counted as 0 where the F-test of the line against a parabola
    rejects it at 5 % (or the line rises). For $D=\mathrm{tr}(\Sigma_W\Sigma_B^\dagger)/K$, for
    $\mathrm{tr}\,\Sigma_W/\mathrm{tr}\,\Sigma_B$ and for the class-distance normalised variance, each at two decays.
    With eight layers $F=5\,(\mathrm{RSS}_1-\mathrm{RSS}_2)/\mathrm{RSS}_2$ is F(1, 5) under the law with independent
    normal errors.
Counts for it:
    R^2 above 0.9 and no curvature at 5 %. More than 50 % of 16 seeds must do so, at 95 %: if the law were true with
    such errors, 95 % of seeds would pass the test of curvature.
Counts against it:
    R^2 of 0.9 or less, or curvature.
Settings:
    ReLU, eight layers without biases, seven of them 48 wide; squared error, coupled decay 1e-3 and 1e-4, 1000
    full-batch steps of Adam; the 10 digits with 20 training samples each, others in every seed.
Controls:
    - random features: the same networks at their random starts must not show it
    - permuted labels: beside for comparison, because the law is stated of training samples, whatever their labels
"""

import numpy as np

import nctheory as nct
from proofs_numeric.bibliography_of_generalisation import GALANTI_2022
from proofs_numeric.bibliography_of_observations import HE_2023
from proofs_numeric.observations.shared import PERMUTED_LABELS, RANDOM_FEATURES, digits, layers

LEVEL = 0.05
"""The level of the test of curvature."""
DECAYS = {"decay 1e-3": 1e-3, "decay 1e-4": 1e-4}
MEASURES = {"nc1": "tr(S_W S_B^+)/K", "trace_ratio": "tr S_W / tr S_B", "cdnv": "CDNV"}


def networks(data):
    """Build the network at both decays."""
    return {
        name: nct.networks.network_on(data, (48,) * 7, weight_decay=decay, activation="relu")
        for name, decay in DECAYS.items()
    }


def straightness(test):
    """Return R^2, or 0 where the line is rejected or rises."""
    if np.isnan(test.p_value):
        return np.nan
    return test.r_squared if test.p_value >= LEVEL and test.slope < 0 else 0.0


def measure(trial):
    """Test the line for each measure at each decay."""
    found = {}
    for name, trained in trial.trained.items():
        metrics = layers(trained)
        for which in MEASURES:
            values = getattr(metrics, which)[0]
            test = nct.networks.straight_line(np.log(values))
            found |= {f"{which}, {name}": straightness(test), f"R^2 of {which}, {name}": test.r_squared}
            found |= {f"p of curvature of {which}, {name}": test.p_value, f"slope of {which}, {name}": test.slope}
            found[f"{which} by layer, {name}"] = values
    return found


OBSERVATION = nct.networks.register_observation(
    nct.networks.Observation(
        id="separation-law",
        docstring=__doc__,
        sources=(HE_2023, GALANTI_2022),
        data=digits(20),
        networks=networks,
        measure=measure,
        training={"steps": 1000},
        statistics=tuple(
            nct.networks.Statistic(
                f"{which}, {name}", f"log {words} is straight in the layer", "above", 0.9, against=("random features",)
            )
            for name in DECAYS
            for which, words in MEASURES.items()
        ),
        controls=(RANDOM_FEATURES, PERMUTED_LABELS),
        panels=tuple(
            nct.networks.Panel(f"{which} by layer, {name}", f"{words}, {name}")
            for name in DECAYS
            for which, words in MEASURES.items()
        ),
    )
)
