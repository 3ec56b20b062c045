"""Real networks as theory sees them: what is exact at any point of any network, and what is certified of its head.

Nothing here needs a framework: features, labels, weights and gradients come in as arrays of any library, samples first.
`peeled_gap` compares a trained network's head with the unconstrained-feature model at the network's own norms, and certifies
the distance.
"""

from nctheory.networks._peeled import PeeledGap, peeled_gap

__all__ = ["PeeledGap", "peeled_gap"]
