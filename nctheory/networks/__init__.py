"""Real networks as theory sees them: what is exact at any point of any network, and what is certified of its head.

Nothing here needs a framework: features, labels, weights and gradients come in as arrays of any library, samples first.
`peeled_gap` compares a trained network's head with the unconstrained-feature model at the network's own norms, and certifies
the distance. `Data` holds checked inputs with labels or tags, read from files (`idx`, `npz`, `csv`), taken from scikit-learn
(`digits`) or drawn (`gaussian_mixture`), and makes the harder versions of them: long-tailed, with wrong labels, with two tags.
"""

from nctheory.networks._data import Data
from nctheory.networks._peeled import PeeledGap, peeled_gap
from nctheory.networks._sources import csv, digits, gaussian_mixture, idx, npz, read_idx

__all__ = ["Data", "PeeledGap", "csv", "digits", "gaussian_mixture", "idx", "npz", "peeled_gap", "read_idx"]
