"""Real networks as theory sees them: what is exact at any point of any network, and what is certified of its head.

`FeedForward` is a network as a problem, for every verb of the library. What was trained elsewhere needs no framework here:
features, labels, weights and gradients come in as arrays of any library, samples first.
`peeled_gap` compares a trained network's head with the unconstrained-feature model at the network's own norms, and certifies
the distance. `Data` holds checked inputs with labels or tags, read from files (`idx`, `npz`, `csv`), taken from scikit-learn
(`digits`) or drawn (`gaussian_mixture`), and makes the harder versions of them: long-tailed, with wrong labels, with two tags.
"""

from nctheory.networks._data import Data
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
from nctheory.networks._models import MODELS, ConvNet, ResidualMLP, Transformer, model_for
from nctheory.networks._modules import ModuleNetwork, module_on
from nctheory.networks._network import Network
from nctheory.networks._peeled import PeeledGap, peeled_gap
from nctheory.networks._polish import polish
from nctheory.networks._sources import csv, digits, gaussian_mixture, idx, markov_sequences, npz, read_idx
from nctheory.networks._train import Progress, TrainedNetworks, train

__all__ = [
    "ACTIVATIONS",
    "HOMOGENEOUS",
    "MODELS",
    "ConvNet",
    "Data",
    "FeedForward",
    "ModuleNetwork",
    "Network",
    "NetworkParams",
    "PeeledGap",
    "Progress",
    "ResidualMLP",
    "Seen",
    "TrainedNetworks",
    "Transformer",
    "csv",
    "digits",
    "error_on",
    "feed_forward",
    "gaussian_mixture",
    "idx",
    "layer_metrics",
    "markov_sequences",
    "model_for",
    "module_on",
    "network_on",
    "npz",
    "peeled_gap",
    "polish",
    "read_idx",
    "train",
]
