"""The sampling room runs stochastic processes on an objective, thousands of chains at once.

`langevin` is its verb: overdamped Langevin steps (unadjusted, adjusted, or with gradients of minibatches), splittings of the
underdamped equation, and gradient descent with noise. A chain's random numbers depend on its number and step alone
(`_noise`), a step is a function of one chain (`_schemes`), and blocks of chains of a fixed width are one program (`_program`).
`Chains` has what was recorded, without the chains that stopped being finite in any mean; `effective_size` says what correlated
numbers are worth.
"""

from nctheory.sampling._chains import Chains
from nctheory.sampling._langevin import langevin
from nctheory.sampling._noise import chain_words, standard_normal
from nctheory.sampling._program import Chain, Running, follow_chain
from nctheory.sampling._schemes import KINDS, SPLITTINGS, ChainState, Numbers, Scheme
from nctheory.sampling._stability import quadratic_curvature
from nctheory.sampling._statistics import (
    PooledMoments,
    autocovariance,
    effective_size,
    integrated_time,
    merged,
    moments_of,
)

__all__ = [
    "KINDS",
    "SPLITTINGS",
    "Chain",
    "ChainState",
    "Chains",
    "Numbers",
    "PooledMoments",
    "Running",
    "Scheme",
    "autocovariance",
    "chain_words",
    "effective_size",
    "follow_chain",
    "integrated_time",
    "langevin",
    "merged",
    "moments_of",
    "quadratic_curvature",
    "standard_normal",
]
