"""The protocols of the package by name, each with the numbers that it has without being asked."""

from collections.abc import Callable

from nctheory.protocols._protocol import Protocol
from nctheory.protocols._replicas import EntropicDescent, PopulationRestarts, ReplicatedDescent
from nctheory.protocols._single import Annealing, Cycles, LayerNoise, Restarts
from nctheory.protocols._tempering import ParallelTempering

RESTARTS = (1, 4, 16, 64)
"""Into how many descents the budget is divided by the restarts that others are held against (conventional)."""

PROTOCOLS: dict[str, Callable[[], Protocol]] = {
    "restarts": Restarts,
    "annealing": Annealing,
    "cycles": Cycles,
    "parallel_tempering": ParallelTempering,
    "entropic_descent": EntropicDescent,
    "replicated_descent": ReplicatedDescent,
    "population_restarts": PopulationRestarts,
    "layer_noise": LayerNoise,
}
"""What each name makes."""


def find_protocol(name: str) -> Protocol:
    """The protocol of a name, written with '_' or '-'; `restarts_N` are N descents.

    Raises ValueError, with the names there are, for another one.

    >>> find_protocol("parallel-tempering").name, find_protocol("restarts_8").name
    ('parallel_tempering', 'restarts_8')
    """
    plain = name.strip().replace("-", "_")
    head, _, number = plain.rpartition("_")
    if head == "restarts" and number.isdecimal():
        return Restarts(runs=int(number))
    if plain not in PROTOCOLS:
        raise ValueError(f"protocols: expected some of {', '.join(PROTOCOLS)} or restarts_N, got {name!r}")
    return PROTOCOLS[plain]()


def usual_protocols() -> tuple[Protocol, ...]:
    """All of them, and restarts of several lengths."""
    others = (make() for name, make in PROTOCOLS.items() if name != "restarts")
    return (*usual_restarts(), *others)


def usual_restarts() -> tuple[Protocol, ...]:
    """The restarts that others are held against."""
    return tuple(Restarts(runs=number) for number in RESTARTS)
