"""Real networks as theory sees them: what is exact at any point of any network, and what is certified of its head.

`FeedForward` is a network as a problem, for every verb of the library. What was trained elsewhere needs no framework here:
features, labels, weights and gradients come in as arrays of any library, samples first.
`peeled_gap` compares a trained network's head with the unconstrained-feature model at the network's own norms, and certifies
the distance. `Data` holds checked inputs with labels or tags, read from files (`idx`, `npz`, `csv`), taken from scikit-learn
(`digits`) or drawn (`gaussian_mixture`), and makes the harder versions of them: long-tailed, with wrong labels, with two tags.
`observe` decides an `Observation`, an empirical regularity whose statistic, threshold and number of seeds are fixed in its
file: it is observed, not observed or undecided, by exact intervals and against controls, and it never holds.
"""

from nctheory.networks._data import Data
from nctheory.networks._decision import Tally, share_interval
from nctheory.networks._feed_forward import (
    ACTIVATIONS,
    HOMOGENEOUS,
    FeedForward,
    NetworkParams,
    feed_forward,
    network_on,
)
from nctheory.networks._loop import Seen
from nctheory.networks._measure import error_on, layer_metrics
from nctheory.networks._network import Network
from nctheory.networks._observation import (
    ControlGroup,
    Observation,
    Panel,
    Statistic,
    Trial,
    find_observation,
    load_observation_file,
    observations,
    register_observation,
)
from nctheory.networks._observe import Observed, ObservedGroup, ObservedStatistic, observe
from nctheory.networks._peeled import PeeledGap, peeled_gap
from nctheory.networks._polish import polish
from nctheory.networks._sources import csv, digits, gaussian_mixture, idx, npz, read_idx
from nctheory.networks._straight_line import LineTest, straight_line
from nctheory.networks._train import Progress, TrainedNetworks, train

__all__ = [
    "ACTIVATIONS",
    "HOMOGENEOUS",
    "ControlGroup",
    "Data",
    "FeedForward",
    "LineTest",
    "Network",
    "NetworkParams",
    "Observation",
    "Observed",
    "ObservedGroup",
    "ObservedStatistic",
    "Panel",
    "PeeledGap",
    "Progress",
    "Seen",
    "Statistic",
    "Tally",
    "TrainedNetworks",
    "Trial",
    "csv",
    "digits",
    "error_on",
    "feed_forward",
    "find_observation",
    "gaussian_mixture",
    "idx",
    "layer_metrics",
    "load_observation_file",
    "network_on",
    "npz",
    "observations",
    "observe",
    "peeled_gap",
    "polish",
    "read_idx",
    "register_observation",
    "share_interval",
    "straight_line",
    "train",
]
