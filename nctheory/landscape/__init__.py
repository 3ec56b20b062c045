"""Critical points of every index: the search, their classification off the gauge, the census modulo symmetry.

`census` is the public verb; `compare` holds its rows against a complete analytic list.
"""

from nctheory.landscape._census import CensusResult, CriticalType, census, orbit_types, take_census
from nctheory.landscape._compare import Comparison, Match, compare, expected_gauge
from nctheory.landscape._saddle_connections import SaddleConnection, saddle_connections
from nctheory.landscape._search import search

__all__ = [
    "CensusResult",
    "Comparison",
    "CriticalType",
    "Match",
    "SaddleConnection",
    "census",
    "compare",
    "expected_gauge",
    "orbit_types",
    "saddle_connections",
    "search",
    "take_census",
]
