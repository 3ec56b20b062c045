"""Optimisers by name, the courses of their rate, and decay that is not coupled to the gradient."""

import functools
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from nctheory.engine import Array, is_finite
from nctheory.problems import Params

OPTIMISERS = {"adam": 1e-2, "muon": 2e-2, "sgd": 0.05}
"""Named optimisers with their usual rate (measured on 200 digits with five layers of 64, after 1,000 steps: the objective is
0.032 with Adam at 1e-2 and 0.045 at 3e-3, and 0.160 with momentum at 0.05)."""
SCHEDULES: Mapping[str, Callable[[Array], Array]] = MappingProxyType(
    {
        "constant": jnp.ones_like,
        "cooled": lambda left: jnp.minimum(1.0, left / 0.2),
        "cosine": lambda left: 0.5 * (1.0 - jnp.cos(jnp.pi * left)),
    }
)
"""The rate by the share of steps that are left, as a multiple of its start: the same throughout; falling to zero over the last
fifth; half a cosine."""
MOMENTUM = 0.9


def momentum_time(rate: float | None = None) -> float:
    r"""The time of the gradient flow that a step of `train(optimiser="sgd", schedule="constant")` takes: $\eta/(1-0.9)$.

    With momentum $\beta$ a gradient moves the parameters by $\eta\,(1+\beta+\beta^2+\dots)$ in all. Without a rate that of the
    optimiser is taken. Raises ValueError for one that is not positive.

    >>> round(momentum_time(1e-3), 6)
    0.01
    """
    chosen = OPTIMISERS["sgd"] if rate is None else rate
    if not (is_finite(chosen) and chosen > 0):
        raise ValueError(f"rate: expected a positive number, got {rate}")
    return float(chosen) / (1.0 - MOMENTUM)


class Rule(NamedTuple):
    """How a step is taken; it is part of the program, and all of it can be hashed."""

    transformation: Any
    """An optax transformation, which for a named optimiser has rate one."""
    schedule: str
    decoupled: bool


def rule_of(optimiser: Any, rate: float | None, schedule: str, decoupled: bool) -> tuple[Rule, float]:
    """The rule of an optimiser with its rate; ValueError, naming the argument, for others.

    >>> rule, rate = rule_of("muon", None, "cooled", False)
    >>> rule.schedule, rate
    ('cooled', 0.02)
    """
    if schedule not in SCHEDULES:
        raise ValueError(f"schedule: expected one of {', '.join(SCHEDULES)}, got {schedule!r}")
    if isinstance(optimiser, str):
        if optimiser not in OPTIMISERS:
            raise ValueError(f"optimiser: expected one of {', '.join(OPTIMISERS)} or one of optax, got {optimiser!r}")
        chosen = OPTIMISERS[optimiser] if rate is None else rate
        if not (is_finite(chosen) and chosen > 0):
            raise ValueError(f"rate: expected a positive number, got {rate}")
        return Rule(_named(_optax(), optimiser), schedule, decoupled), float(chosen)
    if not (hasattr(optimiser, "init") and hasattr(optimiser, "update")):
        raise ValueError(f"optimiser: expected a name or an optax transformation, got {optimiser!r}")
    if rate is not None:
        raise ValueError(f"rate: expected none beside an optimiser of optax, which has its own, got {rate}")
    if decoupled:
        raise ValueError("decoupled: expected a named optimiser with it, for one of optax has a decay of its own")
    return Rule(optimiser, "constant", False), 1.0


def _optax() -> Any:
    """The library, which only training needs."""
    try:
        import optax
    except ImportError as error:
        raise ImportError("training needs optax: pip install 'nctheory[networks]'") from error
    return optax


@functools.cache  # a new transformation would be a new program
def _named(optax: Any, optimiser: str) -> Any:
    if optimiser == "adam":
        return optax.adam(1.0)
    return optax.contrib.muon(1.0) if optimiser == "muon" else optax.sgd(1.0, momentum=MOMENTUM)


def update(
    rule: Rule, gradient: Params, memory: Any, point: Params, decays: Params, rate: Array, left: Array
) -> tuple[Params, Any]:
    r"""One step: $\theta\leftarrow\theta+\eta_t\,(u_t-\lambda\theta)$, with u the rule's own step at rate one.

    The decay stands here only where it is decoupled from the gradient; otherwise it is a part of the gradient. `left` is the
    share of steps that are left.
    """
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):  # optax relies on both
        step, memory = rule.transformation.update(gradient, memory, point)
    if rule.decoupled:
        step = jax.tree.map(lambda u, x, decay: u - decay * x, step, point, decays)
    now = rate * SCHEDULES[rule.schedule](left)
    return jax.tree.map(lambda x, u: x + now * u, point, step), memory
