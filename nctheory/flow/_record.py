"""What is carried for each seed between the stages of a solve, and the numbers that steer them."""

from typing import NamedTuple

from nctheory.engine import Array
from nctheory.flow._vectors import Point


class Settings(NamedTuple):
    """Traced numbers that steer a solve, so that changing them recompiles nothing."""

    tolerance: Array
    """Gradient norm at which a seed has converged, in the problem's unit of gradients."""
    rtol: Array
    """Local error of the flow, relative to the displacement of the step."""
    switch: Array
    """Fraction of the largest gradient norm seen at which the first hand-over is tried."""
    scale: Array
    """Scale of the random start."""
    budget: Array
    """Gradient evaluations allowed per seed."""
    flow: Array
    """Whether to follow the flow at all."""
    polish: Array
    """Whether to polish at all."""


class Record(NamedTuple):
    """One seed between stages."""

    point: Point
    anchor: Point
    """Where the flow stood when it handed over; it resumes there if the polish is rejected."""
    step: Array
    """Step size of the integrator."""
    time: Array
    steps: Array
    """Gradient evaluations so far."""
    value: Array
    grad_norm: Array
    peak: Array
    """Largest gradient norm along the flow."""
    trigger: Array
    """The next hand-over is tried at trigger * peak."""
    radius: Array
    """The polish must end within this distance of its start."""
    attempts: Array
    phase: Array
    tolerance: Array
    """Gradient norm at which it has converged."""
    length: Array
    """The problem's unit of parameters."""
    context: Array
    """The numbers in which this seed's problem differs from the others' (see `Family`); often none."""


FLOW, VALLEY, TEST, POLISH, REFINE, CONFIRM, REACHED = range(7)
"""Phases of a record at work: the flow (VALLEY by the stabilised method), the test of a hand-over, the polish and its Newton
steps, and what is seen of a point whose gradient is small enough, come to by the polish or by the flow alone."""
DONE, ARRIVED, SADDLE, STUCK, SPENT, LOST, KINK, RECEDING, RUNAWAY = range(7, 16)
"""How a record ends: DONE through a polish; ARRIVED by the flow alone, or where the value is lower at twice the point, so that
it may be on its way to infinity. The last three are told apart afterwards."""
