"""Phase diagrams: order parameters, predicted boundaries, and where the computed ones lie.

A `Diagram` is a model over two parameters with measures and the boundaries that a theory predicts of them. Its cells are
solved and certified by the room `sweeps`, so that a diagram can be resumed and shared out like any sweep. A boundary is
located row by row: on a few rows the whole range is halved, on the others a bracket around the neighbours' boundary. The
located brackets are held against the prediction to a relative distance, and the same check must refute the boundary moved by a
multiple of that distance. A loop of hysteresis is followed in steps, up and down again, and judged to a step.
"""

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
