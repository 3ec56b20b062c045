"""What a comparison of protocols came to: shares with exact bands, costs, and who is better than restarts."""

import csv
import dataclasses
import io
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from nctheory.engine import json_value, shown
from nctheory.protocols._reference import Reference

if TYPE_CHECKING:
    import xarray

CONFIDENCE = 0.95
"""The confidence of every band, and one less the level of all verdicts together (conventional)."""
SURE = 0.99
"""The time to solution is that after which the minimum has been found with this probability (conventional in annealing)."""
NONE = "none told apart"
"""The winner where no protocol is."""

VerdictOutcome = Literal["better than restarts", "worse than restarts", "not told apart"]


@shown()
class ProtocolVerdict(NamedTuple):
    """A protocol against restarts of equal cost, at the end of the budget."""

    protocol: str
    outcome: VerdictOutcome
    """Better: more seeds than with restarts of every length; worse: fewer than with those of some length."""
    p_better: float
    """The p-value of "no better than the best of the restarts", corrected for all verdicts together."""
    p_worse: float
    """The p-value of "no worse than any of the restarts", corrected likewise."""


def holm(values: Sequence[float] | np.ndarray) -> np.ndarray:
    """Holm's p-values of several tests: rejecting those up to a level errs with at most that probability in any (Holm 1979).

    >>> holm([0.01, 0.04, 0.03]).tolist()
    [0.03, 0.06, 0.06]
    """
    given = np.asarray(values, float)
    order = np.argsort(given, kind="stable")
    raised = np.maximum.accumulate(given[order] * np.arange(len(given), 0, -1))
    found = np.empty_like(given)
    found[order] = np.minimum(raised, 1.0)
    return found


def share_band(found: int, seeds: int) -> tuple[float, float]:
    """Clopper and Pearson's exact interval of a share, at `CONFIDENCE`."""
    from scipy.stats import binomtest  # here: nothing that does not need SciPy waits for its import

    interval = binomtest(found, seeds).proportion_ci(CONFIDENCE, "exact")
    return float(interval.low), float(interval.high)


def p_more(one: np.ndarray, other: np.ndarray) -> float:
    """The p-value of "`one` succeeds no more often than `other`" from paired seeds: McNemar's exact test.

    >>> round(p_more(np.array([True] * 5), np.array([False] * 5)), 5), p_more(np.array([True]), np.array([True]))
    (0.03125, 1.0)
    """
    from scipy.stats import binomtest

    gained, lost = int(np.sum(one & ~other)), int(np.sum(other & ~one))
    return float(binomtest(gained, gained + lost, 0.5, alternative="greater").pvalue) if gained + lost else 1.0


@shown()
@dataclasses.dataclass(frozen=True)
class ProtocolComparison:
    """Which seeds of which protocols had found the global minimum after how many gradients."""

    protocols: tuple[str, ...]
    """Names, restarts first."""
    restarts: int
    """How many of them are restarts."""
    gradients: np.ndarray
    """The checkpoints: gradients that a seed may have spent."""
    found: np.ndarray
    """Whether the polished answer was at the minimum: protocols x checkpoints x seeds."""
    value: np.ndarray
    """The objective at the polished answers, likewise; infinite where nothing finite was answered."""
    converged: np.ndarray
    """Whether the polish converged, likewise; an end that did not is not counted as found."""
    answered: np.ndarray
    """The objective at the answers before the polish, likewise."""
    spent: np.ndarray
    """The gradients that whole steps took: protocols x checkpoints."""
    polish: np.ndarray
    """The mean gradients of one polish, likewise; each seed of each protocol is given one at each checkpoint."""
    reference: Reference
    """What counts as the minimum."""
    scale: float
    """The scale of the starts."""
    key: int | str
    """The random key."""

    @property
    def seeds(self) -> int:
        """The number of seeds."""
        return int(self.found.shape[2])

    @property
    def share(self) -> np.ndarray:
        """The share of seeds at the minimum: protocols x checkpoints."""
        return self.found.mean(axis=2)

    @property
    def band(self) -> np.ndarray:
        """Clopper and Pearson's intervals of the shares: protocols x checkpoints x 2."""
        counts = self.found.sum(axis=2)
        return np.array([[share_band(int(one), self.seeds) for one in row] for row in counts])

    @property
    def expected_cost(self) -> np.ndarray:
        """Gradients, polish included, until the first success of independent repetitions: infinite at share 0."""
        return _over(self.spent + self.polish, self.share)

    @property
    def time_to_solution(self) -> np.ndarray:
        r"""Gradients, polish included, until success with probability `SURE`: $c\,\max(1,\ln(1-0.99)/\ln(1-p))$ at share p."""
        share = np.clip(self.share, 0.0, SURE)  # from this share on one run is enough
        return _over((self.spent + self.polish) * np.log1p(-SURE), np.log1p(-share))

    @property
    def verdicts(self) -> tuple[ProtocolVerdict, ...]:
        """Every protocol against the restarts, at the end of the budget; all together err with probability 5 % at the most.

        Better is a protocol that is better than each of the restarts, tested by the largest of their p-values; worse one that
        is worse than some of them, tested by the smallest of their p-values times their number. Seeds are paired, for they
        begin at the same points. Holm's correction is over both tests of all protocols.
        """
        last, number = self.found[:, -1], self.restarts
        rivals, tried = last[:number], last[number:]
        better = [max(p_more(one, rival) for rival in rivals) for one in tried]
        worse = [min(1.0, number * min(p_more(rival, one) for rival in rivals)) for one in tried]
        corrected = holm([*better, *worse])
        told = []
        for name, up, down in zip(self.protocols[number:], corrected, corrected[len(tried) :], strict=False):
            outcome: VerdictOutcome = "not told apart"
            if up <= 1.0 - CONFIDENCE:
                outcome = "better than restarts"
            elif down <= 1.0 - CONFIDENCE:
                outcome = "worse than restarts"
            told.append(ProtocolVerdict(name, outcome, float(up), float(down)))
        return tuple(told)

    @property
    def winner(self) -> str:
        """Of the protocols that are better than restarts the one of largest share, the first of several.

        "restarts" where every other is worse, and "none told apart" elsewhere.
        """
        told = self.verdicts
        if told and all(one.outcome == "worse than restarts" for one in told):
            return "restarts"
        shares = dict(zip(self.protocols, self.share[:, -1], strict=True))
        ahead = [one.protocol for one in told if one.outcome == "better than restarts"]
        return max(ahead, key=lambda name: shares[name]) if ahead else NONE

    def rows(self) -> list[dict[str, Any]]:
        """One row a protocol and checkpoint, in plain values."""
        band, costs, times, share = self.band, self.expected_cost, self.time_to_solution, self.share
        return [
            {
                "protocol": name, "gradients": int(self.gradients[c]), "spent": int(self.spent[p, c]),
                "found": int(self.found[p, c].sum()), "seeds": self.seeds, "share": float(share[p, c]),
                "low": float(band[p, c, 0]), "high": float(band[p, c, 1]), "polish": float(self.polish[p, c]),
                "expected_cost": float(costs[p, c]), "time_to_solution": float(times[p, c]),
            }
            for p, name in enumerate(self.protocols)
            for c in range(len(self.gradients))
        ]  # fmt: skip

    def dataset(self) -> "xarray.Dataset":
        """An xarray Dataset with coordinates protocol, gradients and seed (extra `data`); ValueError without xarray."""
        try:
            import xarray
        except ImportError:
            raise ValueError("dataset: needs the extra 'data' (pip install 'nctheory[data]')") from None
        whole, part = ("protocol", "gradients", "seed"), ("protocol", "gradients")
        columns: dict[str, Any] = {
            name: (whole, getattr(self, name)) for name in ("found", "value", "converged", "answered")
        }
        columns |= {name: (part, getattr(self, name)) for name in ("share", "spent", "polish", "expected_cost")}
        columns |= {"low": (part, self.band[..., 0]), "high": (part, self.band[..., 1])}
        coordinates = {"protocol": list(self.protocols), "gradients": self.gradients, "seed": np.arange(self.seeds)}
        return xarray.Dataset(
            columns, coordinates, {"minimum": self.reference.value, "evidence": self.reference.evidence}
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain Python values; what is not finite becomes None."""
        data = {
            "schema": "nctheory protocols 1",
            **{name: getattr(self, name) for name in ("seeds", "scale", "key", "winner")},
            "minimum": self.reference._asdict(),
            "verdicts": [one._asdict() for one in self.verdicts],
            "rows": self.rows(),
        }
        return json_value(data)

    def to_json(self) -> str:
        """JSON text of `to_dict`."""
        return json.dumps(self.to_dict(), indent=1, ensure_ascii=False, allow_nan=False) + "\n"

    def to_csv(self) -> str:
        """`rows` as comma-separated values."""
        return csv_of(self.rows())


def csv_of(rows: Sequence[dict[str, Any]]) -> str:
    """Rows of the same names as comma-separated values under them; what holds a comma is quoted.

    >>> csv_of([{"protocol": "a, b", "share": 0.5}])
    'protocol,share\\n"a, b",0.5\\n'
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _over(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """A quotient of numbers of one sign, infinite over 0."""
    return np.where(below == 0.0, np.inf, above / np.where(below == 0.0, 1.0, below))
