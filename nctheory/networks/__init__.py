"""Real networks as theory sees them: what is exact at any point of any network, and what is certified of its head.

`FeedForward` is a network as a problem, for every verb of the library. What was trained elsewhere needs no framework here:
features, labels, weights and gradients come in as arrays of any library, samples first.
`peeled_gap` compares a trained network's head with the unconstrained-feature model at the network's own norms, and certifies
the distance. `nearest_mean_bounds` holds bounds on the nearest-mean error in every layer against what the error is.
`Data` holds checked inputs with labels or tags, read from files (`idx`, `npz`, `csv`), taken from scikit-learn
(`digits`) or drawn (`gaussian_mixture`), and makes the harder versions of them: long-tailed, with wrong labels, with two tags.
"""

from nctheory.networks._data import Data
from nctheory.networks._feed_forward import ACTIVATIONS, HOMOGENEOUS, FeedForward, NetworkParams, feed_forward
from nctheory.networks._nearest_mean import NearestMeanBounds, nearest_mean_bounds
from nctheory.networks._peeled import PeeledGap, peeled_gap
from nctheory.networks._sources import csv, digits, gaussian_mixture, idx, npz, read_idx
from nctheory.networks._train import TrainedNetworks, error_on, layer_metrics, network_on, train

__all__ = [
    "ACTIVATIONS",
    "HOMOGENEOUS",
    "Data",
    "FeedForward",
    "NearestMeanBounds",
    "NetworkParams",
    "PeeledGap",
    "TrainedNetworks",
    "csv",
    "digits",
    "error_on",
    "feed_forward",
    "gaussian_mixture",
    "idx",
    "layer_metrics",
    "nearest_mean_bounds",
    "network_on",
    "npz",
    "peeled_gap",
    "read_idx",
    "train",
]
