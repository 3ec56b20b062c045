r"""The terminal level of collapse against the decay.

Collapse is often said to go to zero in the terminal phase of training. With a decay that is fixed and part of the
objective, training ends at a stationary point, and there is a level of collapse there: is it zero, and does it grow
with the decay?

Claim (Papyan, Han and Donoho 2020 for the limit zero, number unchecked; that the level grows with the decay is our own):
    Within-class variability goes to zero in the terminal phase; and at a fixed decay it ends at a level that grows
    with the decay.
Statistic:
    Slopes of the logarithms of $\mathrm{tr}\,\Sigma_W/\mathrm{tr}\,\Sigma_B$ and of
    $\mathrm{tr}(\Sigma_W\Sigma_B^\dagger)/K$ of the last features against the logarithm of the decay, by least
    squares over the decays 1e-2, 3e-3 and 1e-3 from one start; and $\mathrm{tr}(\Sigma_W\Sigma_B^\dagger)/K$ at 1e-3.
Counts for it:
    A slope above 0; a level below 0.001. More than 50 % of 16 seeds must do so, at 95 %. Only seeds count whose three
    networks are terminal: the norm of the gradient is at most 0.01 of that of the decay's part of it.
Counts against it:
    A slope of 0 or less; a level of 0.001 or more.
Settings:
    GELU, four layers without biases, three of them 32 wide; squared error; 20000 full-batch steps of Adam; four
    normal classes of 15 samples in 8 dimensions with spread 0.3 about means of expected length 1, others in every
    seed. The activation is smooth because networks with ReLUs end at kinks, where the gradient does not vanish and
    nothing shows that they are terminal.
Controls:
    - random features: the same networks at their random starts, which no decay reaches, must not show it
    - permuted labels: beside for comparison, because neither claim is one about inputs
"""

import numpy as np

import nctheory as nct
from proofs_numeric.bibliography_of_observations import PAPYAN_2020
from proofs_numeric.observations.shared import PERMUTED_LABELS, RANDOM_FEATURES, layers

DECAYS = (1e-2, 3e-3, 1e-3)


def data(drawn):
    """Draw four normal classes."""
    return nct.networks.gaussian_mixture(counts=(15,) * 4, dim=8, spread=0.3, key=drawn)


def networks(data):
    """Build the same network at three decays."""
    return {
        f"decay {decay:g}": nct.networks.network_on(data, (32,) * 3, weight_decay=decay, activation="gelu")
        for decay in DECAYS
    }


def slope(levels):
    """Return the slope of log level against log decay, to twelve digits: that of equal levels is 0 whatever their rounding."""
    return np.round(np.polyfit(np.log(DECAYS), np.log(levels), 1)[0], 12)


def measure(trial):
    """Take the level of the last features at each decay."""
    found = [layers(trained) for trained in trial.trained.values()]
    ratio, nc1 = (np.array([getattr(one, name)[0, -1] for one in found]) for name in ("trace_ratio", "nc1"))
    return {
        "slope of the trace ratio": slope(ratio),
        "slope of nc1": slope(nc1),
        "nc1 at decay 1e-3": nc1[-1],
        "trace ratio by decay": ratio,
        "nc1 by decay": nc1,
    }


PLACES = tuple(f"{decay:g}" for decay in DECAYS)
OBSERVATION = nct.networks.register_observation(
    nct.networks.Observation(
        id="terminal-collapse-against-decay",
        docstring=__doc__,
        sources=(PAPYAN_2020,),
        data=data,
        networks=networks,
        measure=measure,
        training={"steps": 20000},
        terminal=0.01,
        statistics=(
            nct.networks.Statistic(
                "slope of the trace ratio", "tr S_W / tr S_B grows with the decay", "above", 0.0, ("random features",)
            ),
            nct.networks.Statistic(
                "slope of nc1", "tr(S_W S_B^+)/K grows with the decay", "above", 0.0, ("random features",)
            ),
            nct.networks.Statistic("nc1 at decay 1e-3", "collapse is complete", "below", 0.001, ("random features",)),
        ),
        controls=(RANDOM_FEATURES, PERMUTED_LABELS),
        panels=(
            nct.networks.Panel("trace ratio by decay", "tr S_W / tr S_B", PLACES),
            nct.networks.Panel("nc1 by decay", "tr(S_W S_B^+)/K", PLACES),
        ),
    )
)
