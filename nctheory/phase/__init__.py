"""Phase diagrams: order parameters, predicted boundaries, and where the computed ones lie."""

from nctheory.phase._diagram import Axis, Boundary, Diagram, Loop, diagrams, find_diagram, register_diagram
from nctheory.phase._hysteresis import Hysteresis, hysteresis
from nctheory.phase._judge import LocatedBoundary
from nctheory.phase._locate import Located, locate
from nctheory.phase._phase import PhaseDiagram, order_of, phase_diagram

__all__ = [
    "Axis",
    "Boundary",
    "Diagram",
    "Hysteresis",
    "Located",
    "LocatedBoundary",
    "Loop",
    "PhaseDiagram",
    "diagrams",
    "find_diagram",
    "hysteresis",
    "locate",
    "order_of",
    "phase_diagram",
    "register_diagram",
]
