"""Which protocol wins where: the comparison repeated over depth and decay."""

import json
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from nctheory.closed_form import onset
from nctheory.engine import float64, is_finite, shown, untraced, whole_number
from nctheory.problems import Problem, deep_linear, deep_nonlinear
from nctheory.protocols._compare import compare_protocols
from nctheory.protocols._protocol import Protocol
from nctheory.protocols._result import ProtocolComparison, csv_of

ChainKind = Literal["linear", "relu"]
CLASSES = 2
"""The classes of the chains of a map, as many as units in every layer (conventional: the smallest with two directions)."""
START = 0.7
"""The scale of their starts: from these half of the descents of two layers, and nearly all of four, fall to zero, a local
minimum (measured); from starts of twice the size restarts find the global one nearly always."""


@float64
def chain_at(depth: int, strength: float, kind: ChainKind | str = "linear") -> Problem:
    r"""The chain of `depth` weight layers for two classes whose strength b is so many times the onset of collapse.

    Squared error, free features, one sample a class, all widths 2 and all decays equal: $b=MN(N\lambda^{M+1})^{1/M}$ in the
    notation of `deep-mse-linear`. Below 1 the global minimum has both classes on, and from two layers on zero is a local
    minimum beside it. `kind` "relu" has ReLUs behind the inner layers.

    Raises ValueError for a depth below 1, a strength that is not positive, and another kind.

    >>> round(float(chain_at(3, 0.9).weight_decay[0]), 4)
    0.1257
    """
    layers = whole_number("depth", depth)
    if not (is_finite(strength) and strength > 0):
        raise ValueError(f"strength: expected a positive number, got {strength}")
    if kind not in ("linear", "relu"):
        raise ValueError(f"kind: expected 'linear' or 'relu', got {kind!r}")
    target = float(strength * onset(layers)) / (layers * CLASSES)
    decay = (target**layers / CLASSES) ** (1.0 / (layers + 1))
    widths, decays, counts = (CLASSES,) * (layers + 1), (decay,) * (layers + 1), (1,) * CLASSES
    if kind == "relu":
        return deep_nonlinear(widths=widths, counts=counts, loss="mse", weight_decay=decays)
    return deep_linear(widths=widths, counts=counts, loss="mse", weight_decay=decays)


@shown()
class ProtocolMap(NamedTuple):
    """The comparisons over depth and strength of decay."""

    kind: str
    """"linear" or "relu"."""
    depths: np.ndarray
    strengths: np.ndarray
    """Strengths of the decay, in onsets."""
    winners: np.ndarray
    """`ProtocolComparison.winner`: depths x strengths."""
    share: np.ndarray
    """The shares at the end of the budget: depths x strengths x protocols."""
    comparisons: tuple[tuple[ProtocolComparison, ...], ...]

    @property
    def protocols(self) -> tuple[str, ...]:
        """Names, restarts first."""
        return self.comparisons[0][0].protocols

    def rows(self) -> list[dict[str, Any]]:
        """One row a cell and protocol, in plain values."""
        rows = []
        for i, depth in enumerate(self.depths):
            for j, strength in enumerate(self.strengths):
                one = self.comparisons[i][j]
                told = {verdict.protocol: verdict.outcome for verdict in one.verdicts}
                for name, share, (low, high) in zip(one.protocols, one.share[:, -1], one.band[:, -1], strict=True):
                    rows.append(
                        {
                            "depth": int(depth), "strength": float(strength), "protocol": name, "share": float(share),
                            "low": float(low), "high": float(high), "outcome": told.get(name, "restarts"),
                            "winner": str(self.winners[i, j]), "evidence": one.reference.evidence,
                        }
                    )  # fmt: skip
        return rows

    def to_json(self) -> str:
        """`rows` as JSON."""
        data = {"schema": "nctheory protocol map 1", "kind": self.kind, "rows": self.rows()}
        return json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False) + "\n"

    def to_csv(self) -> str:
        """`rows` as comma-separated values."""
        return csv_of(self.rows())


@untraced()
@float64
def protocol_map(
    depths: Sequence[int] = (2, 3, 4),
    strengths: Sequence[float] = (0.5, 0.7, 0.9, 0.97),
    protocols: Sequence[Protocol | str] | None = None,
    budget: int = 1000,
    seeds: int = 64,
    key: int = 0,
    *,
    kind: ChainKind | str = "linear",
    scale: float = START,
    progress: Callable[[str], None] | None = None,
) -> ProtocolMap:
    """`compare_protocols` on `chain_at` every depth and strength, at one checkpoint, the end of the budget.

    Chains of one depth share their compiled programs. Raises ValueError as `compare_protocols` and `chain_at` do, and for no
    depth or no strength.

    >>> found = protocol_map((1,), (0.5,), ["annealing", "restarts"], budget=50, seeds=4)
    >>> found.winners.tolist(), found.share.shape
    ([['none told apart']], (1, 1, 2))
    """
    if not len(depths) or not len(strengths):
        raise ValueError(f"depths, strengths: expected at least one of each, got {depths!r} and {strengths!r}")
    chains = [[chain_at(depth, strength, kind) for strength in strengths] for depth in depths]
    table = []
    for depth, row in zip(depths, chains, strict=True):
        told = []
        for strength, chain in zip(strengths, row, strict=True):
            if progress is not None:
                progress(f"depth {depth}, strength {strength:g}")
            told.append(compare_protocols(chain, protocols, budget, seeds, key, checkpoints=1, scale=scale))
        table.append(tuple(told))
    return ProtocolMap(
        kind=kind,
        depths=np.asarray(depths),
        strengths=np.asarray(strengths, float),
        winners=np.array([[one.winner for one in row] for row in table]),
        share=np.array([[one.share[:, -1] for one in row] for row in table]),
        comparisons=tuple(table),
    )
