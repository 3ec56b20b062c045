"""What k of n seeds say of a claim: exact intervals of shares, and the rule that decides by them."""

from collections.abc import Mapping
from typing import Literal, NamedTuple

import numpy as np

from nctheory.engine import shown

CONFIDENCE = 0.95
"""The confidence of every interval (conventional)."""
RESAMPLES = 2_000
"""The resamples of a bootstrap interval (conventional)."""

Outcome = Literal["observed", "not observed", "undecided"]


@shown()
class Tally(NamedTuple):
    """How many of `seeds` support a claim and how many contradict it; the others tell nothing."""

    supporting: int
    contradicting: int
    seeds: int

    @property
    def interval(self) -> tuple[float, float]:
        """`share_interval` of these numbers."""
        return share_interval(*self)


def share_interval(supporting: int, contradicting: int, seeds: int) -> tuple[float, float]:
    r"""The exact interval, at 95 %, of the share of seeds that support a claim, when some of them may tell nothing.

    Its lower end is that of Clopper and Pearson's interval for k supporting of n, its upper end that of their interval for
    n - c, with c contradicting. So it holds both intervals that one would have if every seed that tells nothing had
    contradicted, or supported; where each seed tells something it is Clopper and Pearson's own.

    Raises ValueError for numbers below zero, or of which there are more than seeds.

    >>> [round(end, 4) for end in share_interval(16, 0, 16)], [round(end, 3) for end in share_interval(2, 0, 2)]
    ([0.7941, 1.0], [0.158, 1.0])
    >>> [round(end, 3) for end in share_interval(12, 1, 16)]  # three seeds tell nothing
    [0.476, 0.998]
    """
    if min(supporting, contradicting) < 0 or supporting + contradicting > seeds or seeds < 1:
        raise ValueError(
            f"supporting: expected at most {seeds} with those that contradict, got {(supporting, contradicting)}"
        )
    from scipy.stats import binomtest  # here: nothing that does not need SciPy waits for its import

    lower = binomtest(supporting, seeds).proportion_ci(CONFIDENCE, "exact").low
    upper = binomtest(seeds - contradicting, seeds).proportion_ci(CONFIDENCE, "exact").high
    return float(lower), float(upper)


def can_decide(seeds: int, share: float) -> bool:
    """Whether so many seeds could be enough for either outcome at a share.

    >>> can_decide(16, 0.5), can_decide(2, 0.5), can_decide(16, 0.8)
    (True, False, False)
    """
    return share_interval(seeds, 0, seeds)[0] > share > share_interval(0, seeds, seeds)[1]


def decide(tally: Tally, share: float, controls: Mapping[str, Tally]) -> tuple[Outcome, str]:
    """The outcome and its reason in words; the rule is the same for every observation.

    The claim is that more than `share` of the seeds show it. It is observed if the interval of the networks lies above the
    share and that of every control below that of the networks; it is not observed if the interval lies below the share.
    Everything else is undecided: also that a control shows it too, or is not told apart from the networks.

    >>> decide(Tally(16, 0, 16), 0.5, {"random features": Tally(0, 16, 16)})
    ('observed', 'more than 50 % of seeds show it, and no control')
    >>> decide(Tally(16, 0, 16), 0.5, {"random features": Tally(15, 1, 16)})
    ('undecided', 'the control shows it too: random features')
    >>> decide(Tally(3, 13, 16), 0.5, {})[0], decide(Tally(2, 0, 2), 0.5, {})[0]
    ('not observed', 'undecided')
    """
    lower, upper = tally.interval
    if upper < share:
        return "not observed", f"fewer than {100 * share:g} % of seeds show it"
    if lower <= share:
        silent = tally.seeds - tally.supporting - tally.contradicting
        because = f"; {silent} tell nothing" if silent else ""
        return "undecided", f"{tally.supporting} of {tally.seeds} seeds decide nothing at {100 * share:g} %{because}"
    showing = [name for name, one in controls.items() if one.interval[0] > share]
    if showing:
        return "undecided", f"the control shows it too: {', '.join(showing)}"
    close = [name for name, one in controls.items() if one.interval[1] >= lower]
    if close:
        return "undecided", f"not told apart from the control: {', '.join(close)}"
    return "observed", f"more than {100 * share:g} % of seeds show it" + (", and no control" if controls else "")


def median_interval(values: np.ndarray) -> tuple[float, float, float]:
    """The median of the finite values and its percentile-bootstrap interval at 95 %; NaN where there are fewer than two.

    >>> [round(x, 2) for x in median_interval(np.array([1.0, 2.0, 3.0, np.nan]))]
    [2.0, 1.0, 3.0]
    """
    finite = values[np.isfinite(values)]
    if finite.size == 0:
        return float("nan"), float("nan"), float("nan")
    if finite.size == 1:
        return float(finite[0]), float("nan"), float("nan")
    drawn = np.random.default_rng(0).choice(finite, (RESAMPLES, finite.size))
    low, high = np.quantile(np.median(drawn, axis=1), [0.5 - 0.5 * CONFIDENCE, 0.5 + 0.5 * CONFIDENCE])
    return float(np.median(finite)), float(low), float(high)
