"""The state that each seed carries between the stages of a solve, and the numbers that steer a solve."""

from typing import NamedTuple

from nctheory.engine import Array
from nctheory.flow._vectors import Point


class Settings(NamedTuple):
    """The numbers that steer a solve; they are traced, so that changing them recompiles nothing."""

    tolerance: Array
    """The gradient norm at which a seed has converged, in the problem's unit of gradients."""
    rtol: Array
    """The local error allowed in a step of the flow, relative to the displacement of the step."""
    switch: Array
    """The first hand-over is tried at this fraction of the largest gradient norm seen."""
    scale: Array
    """The scale of the random start."""
    budget: Array
    """The number of gradient evaluations allowed per seed."""
    flow: Array
    """Whether the flow is followed at all."""
    polish: Array
    """Whether there is a polish at all."""


class Record(NamedTuple):
    """The state of one seed between two stages."""

    point: Point
    anchor: Point
    """The point at which the flow handed over; the flow resumes there if the polish is rejected."""
    step: Array
    """The step size of the integrator."""
    time: Array
    steps: Array
    """The number of gradient evaluations so far."""
    value: Array
    grad_norm: Array
    peak: Array
    """The largest gradient norm seen along the flow."""
    trigger: Array
    """The next hand-over is tried at trigger * peak."""
    radius: Array
    """The polish must end within this distance of its start."""
    attempts: Array
    """The number of hand-overs tried so far."""
    stage: Array
    """The code of its `Stage`."""
    tolerance: Array
    """The gradient norm at which it has converged."""
    length: Array
    """The problem's unit of parameters."""
    context: Array
    """The numbers in which this seed's problem differs from the others' (see `Family`); often none."""
