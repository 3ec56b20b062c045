"""Theorems as executable claims: what a theorem is, the catalogue, and `verify`.

Every claim is held against certified end states with a derived tolerance, and every control must be refuted.
"""

from nctheory._registry import TheoremFileError
from nctheory.theorems._chain_claims import chain_claims
from nctheory.theorems._check import GAP_LEVEL, Check, Evidence, check_claim
from nctheory.theorems._collapse_claims import collapse_claims
from nctheory.theorems._dynamics import Curve, Dynamics, dynamics
from nctheory.theorems._erratum import Erratum, Finding, errata, find_erratum, register_erratum
from nctheory.theorems._evidence import Effort
from nctheory.theorems._registry import catalogue, find_theorem, load_theorem_file, register
from nctheory.theorems._statistics import failure_bound
from nctheory.theorems._theorem import Claim, Control, Course, Instance, Source, Theorem, generator, minimum_value
from nctheory.theorems._verdict import (
    ClaimResult,
    ControlResult,
    InstanceResult,
    ReachedValue,
    Verdict,
    WorstCase,
    whole_file,
    write_atomically,
)
from nctheory.theorems._verify import verify

__all__ = [
    "GAP_LEVEL",
    "Check",
    "Claim",
    "ClaimResult",
    "Control",
    "ControlResult",
    "Course",
    "Curve",
    "Dynamics",
    "Effort",
    "Erratum",
    "Evidence",
    "Finding",
    "Instance",
    "InstanceResult",
    "ReachedValue",
    "Source",
    "Theorem",
    "TheoremFileError",
    "Verdict",
    "WorstCase",
    "catalogue",
    "chain_claims",
    "check_claim",
    "collapse_claims",
    "dynamics",
    "errata",
    "failure_bound",
    "find_erratum",
    "find_theorem",
    "generator",
    "load_theorem_file",
    "minimum_value",
    "register",
    "register_erratum",
    "verify",
    "whole_file",
    "write_atomically",
]
