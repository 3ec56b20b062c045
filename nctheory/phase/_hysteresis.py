"""Hysteresis: the state followed as a parameter goes up and down again in finite steps."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from nctheory.engine import as_key, float64, shown, unshared_factorisations, untraced
from nctheory.flow import as_seeds, solve_from
from nctheory.problems import Params, Problem
from nctheory.sweeps import Measure
from nctheory.theorems import CONTROL_SHIFT, JUMP_LEVEL, Outcome

if TYPE_CHECKING:
    from nctheory.phase._diagram import Diagram, Loop

STEPS = 43
"""Values of the parameter, each way: 42 steps, so that with the margin below both jumps fall in the middle of one.

At a jump itself the nucleus is a critical point, a saddle, and the state says nothing."""
MARGIN = 0.5
"""How far the loop goes beyond the predicted jumps, in multiples of their distance."""


@shown()
class Hysteresis(NamedTuple):
    """A loop as computed, held against its prediction."""

    loop: "Loop"
    values: np.ndarray
    """The values of the parameter, ascending."""
    up: np.ndarray
    """The order parameter on the way up, values x seeds; NaN where a seed did not converge."""
    down: np.ndarray
    """The same on the way down, at the same values."""

    def jumps(self, branch: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The last value without order and the first one with it, per seed; -inf or inf beyond the range."""
        # A seed without order at all has its jump behind the last value: the padding makes that the bracket (last value,
        # inf).
        ordered = branch > self.loop.level
        first = np.where(ordered.any(axis=0), np.argmax(ordered, axis=0), len(self.values))
        padded = np.concatenate([[-np.inf], self.values, [np.inf]])
        return padded[first], padded[first + 1]

    def judge(self, shift: int = 0) -> Outcome:
        """Does every seed jump within the very step in which the prediction, moved by `shift` steps, lies, and only there?

        The outcome is "inconclusive" where a seed did not converge.
        """
        if np.isnan(self.up).any() or np.isnan(self.down).any():
            return "inconclusive"
        # A predicted jump lies between two neighbouring values: those from `at` on must be ordered, those before it not.
        for branch, predicted in ((self.up, self.loop.up), (self.down, self.loop.down)):
            ordered = branch > self.loop.level
            at = np.searchsorted(self.values, predicted) + shift
            if np.any(ordered != (np.arange(len(self.values)) >= at)[:, None]):
                return "refuted"
        return "holds"

    @property
    def control_refuted(self) -> bool:
        """Whether the same check refutes jumps moved by two steps, to either side."""
        return self.judge(CONTROL_SHIFT) == "refuted" and self.judge(-CONTROL_SHIFT) == "refuted"


@untraced()
@float64
def hysteresis(
    model: Callable[[float], Problem],
    values: Sequence[float] | np.ndarray,
    measure: Measure,
    nucleus: Callable[[Problem, jax.Array], Params],
    seeds: int | Sequence[int] | np.ndarray = 16,
    key: int = 0,
    level: float = JUMP_LEVEL,
) -> tuple[np.ndarray, np.ndarray]:
    """Order parameters (values x seeds) on the way up and down again, each state from where the one before ended.

    The gradient flow of `model(value)` is followed to its rest (see `solve_from`). On the way up a state whose `measure` is at
    most `level`, and the very first one, begins at `nucleus(problem, key)` instead: from a minimum nothing departs by itself.
    Both arrays are in the order of `values`, and NaN where a seed did not converge. Raises ValueError for values that do not
    increase or are fewer than two.

    >>> import jax.numpy as jnp, numpy as np, nctheory as nct
    >>> def model(weight):  # a chain of three factors; its targets weigh more and more
    ...     return nct.deep_linear(
    ...         widths=(1,) * 4, inputs=np.ones((1, 1)), targets=np.full((1, 1), weight), loss="mse", weight_decay=(0.1,) * 3
    ...     )
    >>> def height(problem, params):
    ...     return jnp.abs(problem.logits(params)[0, 0])
    >>> def nucleus(problem, key):  # a product of 0.01
    ...     return nct.problems.ChainParams((jnp.full((1, 1), 0.01 ** (1 / 3)),) * 3, None, None)
    >>> up, down = hysteresis(model, [0.2, 0.4, 0.6, 0.8], height, nucleus, seeds=1)
    >>> (up[:, 0] > 1e-4).tolist(), (down[:, 0] > 1e-4).tolist()
    ([False, False, True, True], [False, True, True, True])
    """
    at, seeds, root = np.asarray(values, np.float64), as_seeds(seeds), as_key(key)
    if at.ndim != 1 or at.size < 2 or not np.all(np.isfinite(at)) or np.any(np.diff(at) <= 0):
        raise ValueError(f"values: expected at least two finite numbers that increase, got {values!r}")
    # Every seed has a key of its own, by which its nuclei are drawn at every value.
    keys = jax.vmap(lambda seed: jax.random.fold_in(root, seed))(jnp.asarray(seeds))
    begin = jax.vmap(lambda problem, one: nucleus(problem, one), in_axes=(None, 0))
    observe = jax.jit(unshared_factorisations(jax.vmap(measure, in_axes=(None, 0))))

    def settle(problem: Problem, points: Params) -> tuple[Params, np.ndarray]:
        ends = solve_from(problem, points)
        return ends.params, np.where(ends.converged, np.asarray(observe(problem, ends.params)), np.nan)

    problems = [model(float(value)) for value in at]
    upward, downward = [], []
    state, found = None, np.zeros(len(seeds))
    # On the way up a seed that has no order, or no converged state, begins anew at its nucleus.
    for problem in problems:
        fresh = jax.tree.map(np.asarray, begin(problem, keys))
        if state is None:
            state = fresh
        empty = ~(found > level)
        state = jax.tree.map(
            lambda new, old, e=empty: np.where(e.reshape(-1, *[1] * (old.ndim - 1)), new, old), fresh, state
        )
        state, found = settle(problem, state)
        upward.append(found)
    # On the way down each state is followed as it is: order vanishes by itself where its minimum ends.
    for problem in reversed(problems):
        state, found = settle(problem, state)
        downward.append(found)
    return np.array(upward), np.array(downward[::-1])


def follow_loop(diagram: "Diagram", loop: "Loop", seeds: np.ndarray, key: int) -> Hysteresis:
    """The loop of a diagram, from some way below both predicted jumps to some way above them."""
    axis = diagram.across
    # The loop goes beyond both jumps by half of their distance, as far as the axis reaches.
    low, high = axis.forth(min(loop.up, loop.down)), axis.forth(max(loop.up, loop.down))
    beyond = MARGIN * (high - low)
    values = axis.back(
        np.linspace(max(low - beyond, axis.forth(axis.low)), min(high + beyond, axis.forth(axis.high)), STEPS)
    )

    def model(value: float) -> Problem:
        return diagram.model(**{diagram.along.name: loop.at, diagram.across.name: value})

    up, down = hysteresis(model, values, diagram.measures[loop.order], loop.nucleus, seeds, key, loop.level)
    return Hysteresis(loop, values, up, down)
