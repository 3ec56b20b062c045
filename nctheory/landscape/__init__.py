"""The landscape room finds critical points of every index, classifies them off the gauge and counts them modulo symmetry.

`census` is the main verb; `search` lowers the gradient's norm from many starts, so that it stops at critical points of every
index. A seed of the search first takes damped Gauss-Newton steps by products with the Hessian (`_walk`), and near a critical
point steps with the dense Hessian (`_levenberg`). End states are then grouped into orbit types by their value and by
quantities that no symmetry changes (`_orbit_types`), and the Hessian at the best representative of each says of what kind it
is. `compare` holds the rows of a census against a complete analytic list, and `saddle_connections` follows the gradient flow
from every strict saddle to where it leads. `chain_index_loss` and `glass_index_loss` put the critical points of chains and of
spin glasses on the same axes.
"""

from nctheory.landscape._census import CensusResult, CriticalType, census, take_census
from nctheory.landscape._compare import Comparison, Match, compare, expected_gauge
from nctheory.landscape._index_loss import IndexLoss, chain_index_loss, glass_index_loss
from nctheory.landscape._orbit_types import orbit_types
from nctheory.landscape._relabellings import relabellings
from nctheory.landscape._saddle_connections import SaddleConnection, saddle_connections
from nctheory.landscape._search import search

__all__ = [
    "CensusResult",
    "Comparison",
    "CriticalType",
    "IndexLoss",
    "Match",
    "SaddleConnection",
    "census",
    "chain_index_loss",
    "compare",
    "expected_gauge",
    "glass_index_loss",
    "orbit_types",
    "relabellings",
    "saddle_connections",
    "search",
    "take_census",
]
