"""What the rows of all tables of verdicts say, as plain text: for terminals, the page and LaTeX alike."""

import math
from collections.abc import Iterable, Sequence

from nctheory.report._fitted import Column
from nctheory.theorems import (
    DEFAULT_RESOLUTION,
    ClaimResult,
    ControlResult,
    InstanceResult,
    LocatedThreshold,
    Verdict,
    corrected_bounds,
)

NOTHING = "-"
WIDEST = 24
"""Characters of an identifier that are left together where a terminal has 40 columns."""
NARROW = 14
"""Those of other names."""
SHOUTED = {"refuted": "refuted", "not refuted": "NOT REFUTED", "not run": "NOT RUN"}
"""How the status of a control is shown."""

SUMMARY = (
    Column("theorem", 0, number=False, narrowest=WIDEST),
    Column("outcome", 0, "what the run says of the theorem; after an engine error it says nothing", number=False),
    Column("evidence", 2, "that of the theorem's weakest claim, from sampled over certified to proved", number=False),
    Column("instances", 3, "those that support the theorem, of all"),
    Column("seeds", 1, "random starts that support it, of all"),
    Column("formula", 5, "upper bound on the share of instances, drawn like these, on which the theorem fails"),
    Column("basins", 7, "upper bound at 95 % on the share of starts of one instance that do not support it, the worst"),
    Column("resolution", 6, "relative error in a prediction that would have been caught, on the worst equality"),
    Column("ratio", 1, "largest residual over its derived tolerance; above 1 refutes"),
    Column("controls", 4, "wrong versions of the theorem that the same check refuted, of all"),
)
CLAIMS = (
    Column("claim", 0, number=False, narrowest=NARROW),
    Column("kind", 7, "", number=False),
    Column("evidence", 0, "", number=False),
    Column("seeds", 1, "seeds at which it was checked; a/b: a of b are certified as to this claim"),
    Column("instances", 5, "instances on which it was decided; a/b: a of b are certified"),
    Column("violations", 0, "seeds at which it fails"),
    Column("worst ratio", 1, "largest residual over its derived tolerance; above 1 refutes"),
    Column(
        "resolution", 2, "relative error that would have been caught on the worst instance; in brackets what is asked"
    ),
    Column("slack", 3, "of an inequality: least relative distance from its bound; in brackets what is asked"),
    Column("moved", 6, "instances on which the claim's own wrong version is refuted, of all"),
)
CONTROLS = (
    Column("control", 0, number=False, narrowest=WIDEST),
    Column("outcome", 0, "", number=False),
    Column("instances", 1, "instances on which it was refuted, of those to which it applies"),
    Column("worst ratio", 3, "largest residual over its derived tolerance"),
    Column("refuted by", 2, "claims that refuted it", number=False, wraps=True),
)
INSTANCES = (
    Column("instance", 0, number=False),
    Column("supporting", 0, "seeds that support the theorem, of all"),
    Column("converged", 1),
    Column("certified", 1, "seeds certified to be at the global minimum"),
    Column("unique", 2, "whether the minimiser is certified to be the only one, up to the symmetry", number=False),
    Column("gap", 4, "largest relative duality gap of a certified seed, beyond rounding"),
    Column("curvature", 5, "smallest Hessian eigenvalue off the gauge at an end state"),
    Column("ratio", 3, "largest residual over its derived tolerance"),
    Column("thresholds", 2, "brackets in which thresholds were located", number=False),
    Column(
        "values reached",
        2,
        "values at which converged seeds ended, and how many; * the minimum",
        number=False,
        wraps=True,
    ),
)


def number(value: float) -> str:
    """Two significant digits; a dash where there is no number.

    >>> number(0.01234), number(float("nan")), number(float("inf"))
    ('0.012', '-', 'inf')
    """
    return NOTHING if math.isnan(value) else f"{value:.2g}"


def share(bound: float) -> str:
    """A bound on a probability in percent, two digits, rounded up: it remains a bound.

    >>> share(0.1391), share(0.00731), share(0.05), share(1.0)
    ('14 %', '0.74 %', '5 %', '100 %')
    """
    percent = 100.0 * bound
    if not 0.0 < percent < 100.0:
        return f"{percent:.3g} %"
    unit = 10.0 ** (math.floor(math.log10(percent)) - 1)
    return f"{unit * math.ceil(round(percent / unit, 6)):.3g} %"


def asked(found: float, wanted: float) -> str:
    """A resolution or slack, and in brackets what is asked for where that is coarser than usual."""
    if math.isnan(found):
        return NOTHING
    return number(found) + (f" ({wanted:g})" if wanted > DEFAULT_RESOLUTION else "")


def sure(certified: int, all_: int) -> str:
    """How many of all are certified; without any, how many there are."""
    return f"{certified}/{all_}" if certified else str(all_)


def summary_rows(verdicts: Sequence[Verdict]) -> list[tuple[str, ...]]:
    """One row a theorem, in the columns `SUMMARY`; the bound of the formula is corrected for their number."""
    trials = [len(v.instances) for v in verdicts]
    failures = [n - v.instances_supporting for n, v in zip(trials, verdicts, strict=True)]
    bounds = corrected_bounds(failures, trials)
    return [_summary_row(verdict, bound) for verdict, bound in zip(verdicts, bounds, strict=True)]


def _summary_row(v: Verdict, bound: float) -> tuple[str, ...]:
    if not v.instances:
        return (v.theorem, v.outcome, *[NOTHING] * (len(SUMMARY) - 2))
    refuted = sum(control.refuted for control in v.controls)
    return (
        v.theorem,
        v.outcome,
        v.evidence,
        f"{v.instances_supporting}/{len(v.instances)}",
        f"{v.supporting}/{v.seeds_run}",
        share(bound),
        share(v.basin_bound),
        number(v.resolution),
        number(v.worst.tolerance_ratio) if v.worst else NOTHING,
        f"{refuted}/{len(v.controls)}" if v.controls else NOTHING,
    )


def summary_caption(count: int) -> str:
    """The confidence at which the bound of the formula is one, and what it is corrected for."""
    if count < 2:
        return "Formula: at 95 %."
    return f"Formula: at 95 % for all {count} theorems of the table jointly (Holm's correction)."


def legend(columns: Sequence[Column]) -> str:
    """What the columns of a table mean, a sentence each."""
    return " ".join(f"{one.heading[0].upper()}{one.heading[1:]}: {one.means}." for one in columns if one.means)


def claim_row(claim: ClaimResult) -> tuple[str, ...]:
    """The row of a claim, in the columns `CLAIMS`."""
    decided = claim.instances > 0
    return (
        claim.name,
        claim.kind,
        claim.evidence if decided else "undecided",
        sure(claim.certified_seeds, claim.checked),
        sure(claim.certified_instances, claim.instances),
        str(claim.violations),
        number(claim.tolerance_ratio) if decided else NOTHING,
        asked(claim.resolution, claim.asked_resolution),
        asked(claim.slack, claim.asked_resolution),
        f"{claim.moved_refuted}/{claim.instances}",
    )


def control_row(control: ControlResult) -> tuple[str, ...]:
    """The row of a control, in the columns `CONTROLS`."""
    ran = control.status != "not run"
    return (
        control.name,
        SHOUTED[control.status],
        f"{control.refuted_on}/{control.applicable}",
        number(control.tolerance_ratio) if ran else NOTHING,
        ", ".join(control.claims) or NOTHING,
    )


def instance_row(row: InstanceResult) -> tuple[str, ...]:
    """The row of an instance, in the columns `INSTANCES`."""
    return (
        str(row.index),
        f"{row.supporting}/{row.seeds}",
        str(row.statuses.get("converged", 0)),
        str(row.certified),
        "yes" if row.unique else "not certified",
        number(row.largest_gap),
        number(row.smallest_curvature),
        number(row.tolerance_ratio),
        ", ".join(map(located, row.thresholds)) or NOTHING,
        reached_values(row) or NOTHING,
    )


def told(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> list[int]:
    """Numbers of the columns in which some row says something, or that are always shown."""
    return [i for i, column in enumerate(columns) if column.priority == 0 or any(row[i] != NOTHING for row in rows)]


def located(one: LocatedThreshold) -> str:
    """The bracket in which a threshold was located, to the digits that tell its ends apart.

    >>> located(LocatedThreshold("onset", 0.99998873, 1.00003566, 1.0, None))
    'onset in [0.999988, 1.000036]'
    >>> located(LocatedThreshold("onset", 0.1, float("inf"), 1.0, "both ends are undecided"))
    'onset not located'
    """
    width = one.high - one.low
    if not math.isfinite(width):
        return f"{one.claim} not located"
    if width <= 0:
        return f"{one.claim} at {one.low:.8g}"
    digits = max(0, 1 - math.floor(math.log10(width)))
    unit = 10.0**-digits
    low, high = math.floor(one.low / unit) * unit, math.ceil(one.high / unit) * unit
    return f"{one.claim} in [{low:.{digits}f}, {high:.{digits}f}]"


def reached_values(row: InstanceResult) -> str:
    """Every value at which converged seeds of an instance ended, with their number."""
    return ", ".join(f"{one.value:.8g}{'*' if one.minimum else ''} ({one.seeds})" for one in row.reached)


def parameters(shown: Iterable[tuple[str, object]]) -> str:
    """Names and values of an instance's parameters."""
    return ", ".join(f"{name}={value:.6g}" if isinstance(value, float) else f"{name}={value}" for name, value in shown)
