"""Locating a threshold: the parameter is divided ever finer at values with certified end states."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from nctheory.certificates import DENSE_LIMIT, certify_many, hessian_report
from nctheory.engine import Array, fast_compile, in_few_lengths, map_in_blocks
from nctheory.flow import solve_many
from nctheory.problems import Family, Params, Problem, as_family, size
from nctheory.theorems._evidence import Bracket
from nctheory.theorems._run import Run
from nctheory.theorems._thresholds import MOVED_WIDTHS, ORDER_LEVEL, THRESHOLD_WIDTH
from nctheory.theorems.claims import Threshold

POINTS = 15
"""A round tries one value more than this, so that it divides a bracket by 17 (conventional)."""
SEEDS = 8
"""Starts at each (conventional): one that is certified decides."""
MAX_ROUNDS = 9
POLISH_BUDGET = 50_000
"""Gradient evaluations per start: next to a continuous transition some may not get there, and are not waited for."""


@partial(fast_compile, static_argnames="order")
def _orders(family: Family, points: tuple[Array, Any], order: Any) -> Array:
    return map_in_blocks(lambda item: jnp.asarray(order(family.at(item[0]), item[1])), points)


def locate_threshold(claim: Threshold, problem: Problem, run: Run) -> Bracket:
    """The bracket in which the order parameter of the certified minimiser changes, no wider than `THRESHOLD_WIDTH` where that
    can be.

    The width is in the parameter's logarithm. A value at which no end state is certified, or certified ones lie on both
    sides, decides nothing, and the bracket stays around it. Next to a continuous transition the saddle at which the order is
    still zero lies above the minimum by the square of the distance, within the relative gap of a certificate: an end counts
    only if no other one at its value, converged or not, is lower by more than rounding, and what the ends of the bracket
    rest on must be minima by their Hessians.
    """
    return _Location(claim, problem, run).bracket()


class _Location:
    """A threshold that is being located; values of its parameter are logarithms."""

    def __init__(self, claim: Threshold, problem: Problem, run: Run) -> None:
        self.claim, self.problem, self.run = claim, problem, run
        self.solves = 0
        self.rests_on: dict[float, tuple[Problem, Params]] = {}
        """The member and the end state by which the phase at a value was decided."""
        self.minima: dict[float, bool] = {}
        self.ordered: dict[float, float] = {}
        """The least order parameter of the certified ends at each value that lies beyond the level."""

    def bracket(self) -> Bracket:
        """The bracket, once it is narrow enough or nothing more is decided."""
        # The first round: both ends of the range, which must lie on different sides, and equally spaced values between
        # them, as many as a round has in all.
        low, high = (float(np.log(x)) for x in self.claim.between(self.problem))
        ends = np.concatenate([[low, high], np.linspace(low, high, POINTS + 1)[1:-1]])
        at = self.phases(ends)
        if not np.isfinite(at[:2]).all() or at[0] == at[1]:
            told = "undecided" if not np.isfinite(at[:2]).all() else "on one side of it"
            return self.failed(low, f"both ends of the range ({np.exp(low):g}, {np.exp(high):g}) are {told}")
        side = at[0]
        low, high = self.narrowed(ends, at, side, low, high)
        # Each further round divides the bracket into equal parts, and keeps what lies between the last decided value on the
        # one side and the first on the other.
        stuck = 0
        for round_ in range(MAX_ROUNDS):
            if high - low <= THRESHOLD_WIDTH or stuck > 2:
                break
            # After a round that decided nothing every other round is at other places: one may lie on the threshold itself.
            shift = 0.37 * (stuck > 0) * (round_ % 2)
            places = low + (high - low) * (np.arange(1, POINTS + 2) - shift) / (POINTS + 2)
            before = (low, high)
            low, high = self.narrowed(places, self.phases(places), side, low, high)
            stuck = stuck + 1 if before == (low, high) else 0
        # A saddle next to the minimum may be certified with it; what it says of the side is worth nothing.
        for place in (low, high):
            if not self.is_minimum(place):
                told = f"the end state certified at {np.exp(place):g} is a saddle, next to the minimum in value"
                return self.failed(low, told)
        reason = None if high - low <= THRESHOLD_WIDTH else "no end state between the ends of the bracket is certified"
        # The order may have left zero already at the end where it is below the level.
        slack = self.slack(*((low, high) if side == 0 else (high, low)))
        if not np.isfinite(slack):
            return self.failed(low, f"the order next to it is nowhere twice its level, {ORDER_LEVEL:g}")
        if slack > THRESHOLD_WIDTH:
            reason = f"the order next to it is small against its level, {ORDER_LEVEL:g}"
        low, high = (low - slack, high) if side == 0 else (low, high + slack)
        return Bracket(float(np.exp(low)), float(np.exp(high)), self.solves, reason)

    def slack(self, short: float, beyond: float) -> float:
        r"""How far before the end that is `short` of the level the order may have left zero.

        Let it leave zero at x, and be at every s on the way to a value y beyond the level at least half of the chord,
        $\frac12 o(y)|s-x|/|y-x|$, as it is for any exponent up to 1 and for a larger slope further on. At the short end it is
        at most the level l, so that $|s-x|\le2|y-s|\,l/(o(y)-2l)$. The least of these bounds over values y next to the
        threshold holds. A `level` that the claim itself names is the threshold, and is met exactly.
        """
        if self.claim.level != ORDER_LEVEL:
            return 0.0
        bounds = []
        for place, order in self.ordered.items():
            away, ratio = abs(place - short), order / ORDER_LEVEL
            near = away <= MOVED_WIDTHS * THRESHOLD_WIDTH or place == beyond
            if near and ratio > 2.0 and (place - short) * (beyond - short) > 0:
                bounds.append(2.0 * away / (ratio - 2.0))
        return min(bounds, default=np.inf)

    def failed(self, low: float, reason: str) -> Bracket:
        """A bracket without an upper end, which says why there is none."""
        return Bracket(float(np.exp(low)), np.inf, self.solves, reason)

    def phases(self, values: np.ndarray) -> np.ndarray:
        """1 beyond the level, 0 not, NaN undecided; as many values at a time as fill a call of the programs of the seeds."""
        at_a_time = max(1, self.run.width // SEEDS)
        return np.concatenate([self.some_phases(values[i : i + at_a_time]) for i in range(0, len(values), at_a_time)])

    def some_phases(self, values: np.ndarray) -> np.ndarray:
        """The same, in one call: an end state counts where it is certified and none at its value is lower."""
        run, claim = self.run, self.claim
        self.solves += values.size * SEEDS
        members = [claim.at(self.problem, float(x)) for x in np.exp(values)]
        # All values of a round are solved from the same starts, by one program.
        found = solve_many(
            members, SEEDS, run.key, method="polish", scale=run.scale, budget=POLISH_BUDGET, light=run.light,
            chunk=run.width, workers=1,
        )  # fmt: skip
        bound = certify_many(members, found.params)
        # A seed decides where it converged, its gap is closed, and no end at this value is lower by more than rounding.
        least = np.min(np.where(np.isfinite(found.value), found.value, np.inf), axis=1, keepdims=True)
        certified = found.converged & bound.closed(found.value) & (found.value <= least + bound.gap_rounding)
        # The order parameter is evaluated at all end states of the round at once.
        family, contexts = as_family(members, counts=True)
        flat = jax.tree.map(lambda x: np.asarray(x).reshape(-1, *np.shape(x)[2:]), found.params)
        items = (np.repeat(contexts, SEEDS, axis=0), flat)
        order = in_few_lengths(lambda some: _orders(family, some, claim.order), items).reshape(certified.shape)
        beyond, short = (certified & (order > claim.level)).any(1), (certified & ~(order > claim.level)).any(1)
        # Certified seeds on both sides, or none at all, decide nothing.
        for i in np.flatnonzero(beyond != short):
            seed = int(np.argmax(certified[i]))
            place = float(values[i])
            self.rests_on[place] = (members[i], jax.tree.map(lambda x, at=(i, seed): np.asarray(x)[at], found.params))
            self.minima.pop(place, None)
            if beyond[i]:
                self.ordered[place] = float(np.min(order[i][certified[i]]))
        return np.where(beyond == short, np.nan, beyond.astype(float))

    def is_minimum(self, place: float) -> bool:
        """Whether what was certified at a value is a minimum, as far as its Hessian can be had."""
        if place not in self.minima:
            member, point = self.rests_on[place]
            # A problem too large for a dense Hessian is believed.
            self.minima[place] = size(member) > DENSE_LIMIT or not hessian_report(member, point).saddle
        return self.minima[place]

    def narrowed(self, places: np.ndarray, at: np.ndarray, side: float, low: float, high: float) -> tuple[float, float]:
        """The bracket after these values, of which those that rest on a saddle decide nothing."""
        while True:
            ends = _narrowed(places, at, side, low, high)
            # An end that rests on a saddle is taken as undecided, and the bracket is looked for again without it.
            saddles = [place for place in ends if place not in (low, high) and not self.is_minimum(place)]
            if not saddles:
                return ends
            at = np.where(np.isin(places, saddles), np.nan, at)


def _narrowed(places: np.ndarray, at: np.ndarray, side: float, low: float, high: float) -> tuple[float, float]:
    """The bracket from the last decided place on the low side before the first on the other."""
    # The low end moves up with each place of its own phase, and the first place of the other phase ends the search.
    order = np.argsort(places)
    for place, phase in zip(places[order], at[order], strict=True):
        if not low < place < high or np.isnan(phase):
            continue
        if phase == side:
            low = float(place)
        else:
            high = float(place)
            break
    return low, high


__all__ = ["locate_threshold"]
