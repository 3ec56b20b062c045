"""Theorems as executable claims: what a theorem is, the catalogue, and `verify`.

A theorem draws instances within its hypotheses, predicts something of each, and makes claims about it (room `claims`). Its
method (`Solve`, `Census`, `Integrate` or `Train`) gathers the evidence of an instance without a look at any prediction: end
states, critical points, trajectories or checkpoints. The judge holds every claim against that evidence, the wrong versions of
the theorem too, and evaluates anew in extended precision what seems to fail. What comes of it is a `Verdict`, claim by claim,
with the evidence of each. One `Run` carries what is fixed for all instances, and one executor does the work.
"""

from nctheory.engine import TheoremFileError
from nctheory.theorems._chain_claims import balance_claim, balance_control, chain_claims, chain_controls
from nctheory.theorems._collapse_claims import collapse_claims, collapse_controls
from nctheory.theorems._compose import compose_verdict
from nctheory.theorems._docstring import Description, described
from nctheory.theorems._draws import Move, moved_draws, numpy_rng
from nctheory.theorems._dynamics import Curve, Dynamics, dynamics
from nctheory.theorems._engine_error import EngineError
from nctheory.theorems._erratum import Erratum, ErratumResult, errata, find_erratum, register_erratum
from nctheory.theorems._evidence import Checkpoints, CriticalPoints, EndStates, Evidence, Trajectories
from nctheory.theorems._fidelity import flow_fidelity
from nctheory.theorems._instance import Hypothesis, Instance, Source, TrajectorySpec
from nctheory.theorems._integrate import Integrate
from nctheory.theorems._judge import Case, claim_result, judge_case, refuting_violations, required_claims
from nctheory.theorems._methods import Census, Solve
from nctheory.theorems._narrow import narrow_reason
from nctheory.theorems._registry import catalogue, find_theorem, load_theorem_file, register
from nctheory.theorems._results import (
    ClaimResult,
    ControlResult,
    InstanceResult,
    LocatedThreshold,
    ReachedValue,
    WorstCase,
)
from nctheory.theorems._run import Run, VerifyOptions, instance_key
from nctheory.theorems._statistics import corrected_bounds, failure_bound
from nctheory.theorems._theorem import Control, Theorem
from nctheory.theorems._thresholds import (
    BOUNDARY_MOVED,
    BOUNDARY_WIDTHS,
    CONTROL_SHIFT,
    DEFAULT_RESOLUTION,
    JUMP_LEVEL,
    ORDER_LEVEL,
    UNCLEAR,
)
from nctheory.theorems._train import Train
from nctheory.theorems._verdict import SCHEMA_VERSION as VERDICT_VERSION
from nctheory.theorems._verdict import Outcome, Verdict
from nctheory.theorems._verify import (
    covering_instances,
    gather_cases,
    gather_evidence,
    quick_seeds,
    start_scale,
    verify,
)
from nctheory.theorems.claims import (
    Check,
    Claim,
    Equality,
    GlobalValue,
    Index,
    Limit,
    LowerBound,
    MemberOf,
    Order,
    Threshold,
    Trajectory,
    UpperBound,
)

__all__ = [
    "BOUNDARY_MOVED",
    "BOUNDARY_WIDTHS",
    "CONTROL_SHIFT",
    "DEFAULT_RESOLUTION",
    "JUMP_LEVEL",
    "ORDER_LEVEL",
    "UNCLEAR",
    "VERDICT_VERSION",
    "Case",
    "Census",
    "Check",
    "Checkpoints",
    "Claim",
    "ClaimResult",
    "Control",
    "ControlResult",
    "CriticalPoints",
    "Curve",
    "Description",
    "Dynamics",
    "EndStates",
    "EngineError",
    "Equality",
    "Erratum",
    "ErratumResult",
    "Evidence",
    "GlobalValue",
    "Hypothesis",
    "Index",
    "Instance",
    "InstanceResult",
    "Integrate",
    "Limit",
    "LocatedThreshold",
    "LowerBound",
    "MemberOf",
    "Move",
    "Order",
    "Outcome",
    "ReachedValue",
    "Run",
    "Solve",
    "Source",
    "Theorem",
    "TheoremFileError",
    "Threshold",
    "Train",
    "Trajectories",
    "Trajectory",
    "TrajectorySpec",
    "UpperBound",
    "Verdict",
    "VerifyOptions",
    "WorstCase",
    "balance_claim",
    "balance_control",
    "catalogue",
    "chain_claims",
    "chain_controls",
    "claim_result",
    "collapse_claims",
    "collapse_controls",
    "compose_verdict",
    "corrected_bounds",
    "covering_instances",
    "described",
    "dynamics",
    "errata",
    "failure_bound",
    "find_erratum",
    "find_theorem",
    "flow_fidelity",
    "gather_cases",
    "gather_evidence",
    "instance_key",
    "judge_case",
    "load_theorem_file",
    "moved_draws",
    "narrow_reason",
    "numpy_rng",
    "quick_seeds",
    "refuting_violations",
    "register",
    "register_erratum",
    "required_claims",
    "start_scale",
    "verify",
]
