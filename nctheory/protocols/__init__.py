"""Exploration and exploitation: protocols that search a landscape for its global minimum, held against restarts at equal cost.

A `Protocol` says how the walkers of one seed move and what one step of it costs in gradients; of a `Landscape` it sees the
objective, its gradient and the problem's units (`_landscape`). One compiled program runs all seeds of a protocol through its
budget (`_program`). At checkpoints one answer of each seed is polished by the solver of the package, the same for every
protocol, and counts where it is the global minimum, by the certificate where there is one, else by the best value known
(`_reference`). `compare_protocols` makes shares with exact bands of it, and says with a correction for their number which
protocols beat restarts (`_result`); `protocol_map` repeats that over depth and decay (`_map`).
"""

from nctheory.protocols._compare import compare_protocols
from nctheory.protocols._instances import protocol_instance
from nctheory.protocols._landscape import Landscape, landscape_of
from nctheory.protocols._map import START, ProtocolMap, chain_at, protocol_map
from nctheory.protocols._named import PROTOCOLS, find_protocol
from nctheory.protocols._program import ProtocolRun, run_protocol
from nctheory.protocols._protocol import Protocol
from nctheory.protocols._reference import Reference
from nctheory.protocols._replicas import EntropicDescent, PopulationRestarts, ReplicatedDescent
from nctheory.protocols._result import NONE, ProtocolComparison, ProtocolVerdict, holm
from nctheory.protocols._single import Annealing, Cycles, LayerNoise, Restarts
from nctheory.protocols._tempering import ParallelTempering, swap_probability

__all__ = [
    "NONE",
    "PROTOCOLS",
    "START",
    "Annealing",
    "Cycles",
    "EntropicDescent",
    "Landscape",
    "LayerNoise",
    "ParallelTempering",
    "PopulationRestarts",
    "Protocol",
    "ProtocolComparison",
    "ProtocolMap",
    "ProtocolRun",
    "ProtocolVerdict",
    "Reference",
    "ReplicatedDescent",
    "Restarts",
    "chain_at",
    "compare_protocols",
    "find_protocol",
    "holm",
    "landscape_of",
    "protocol_instance",
    "protocol_map",
    "run_protocol",
    "swap_probability",
]
