"""Observations: empirical regularities of trained networks, with all that decides them fixed in a file beforehand."""

import dataclasses
import inspect
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from nctheory.engine import Registry, check_identifier, check_name, is_finite, shown, whole_number
from nctheory.networks._data import Data
from nctheory.networks._decision import can_decide
from nctheory.networks._network import Network
from nctheory.networks._train import TrainedNetworks
from nctheory.theorems import Source

SECTIONS = ("Claim", "Statistic", "Counts for it", "Counts against it", "Settings", "Controls")
"""The sections of an observation's docstring, in their order."""


@dataclasses.dataclass(frozen=True)
class Statistic:
    """One number of a trained network, and what it must be to support the claim; any other finite number contradicts it."""

    name: str
    """What `Observation.measure` calls it."""
    claim: str
    """What is claimed of it, in words."""
    supports: Literal["below", "above"]
    """On which side of the threshold it supports the claim; a number that equals the threshold contradicts."""
    threshold: float
    against: tuple[str, ...] | None = None
    """The control groups that must not show it: all, if None. The others are shown beside it for comparison."""

    def __post_init__(self) -> None:
        check_name("statistic", self.name)
        check_name("claim", self.claim)
        if self.supports not in ("below", "above"):
            raise ValueError(f"supports: expected 'below' or 'above', got {self.supports!r}")
        if not is_finite(self.threshold):
            raise ValueError(f"threshold: expected a finite number, got {self.threshold}")

    def supported(self, values: np.ndarray) -> np.ndarray:
        """The mask of values that support the claim."""
        return values < self.threshold if self.supports == "below" else values > self.threshold


@dataclasses.dataclass(frozen=True)
class ControlGroup:
    """Networks of which the claim must not be true for the reason claimed: the same statistics are taken of them.

    `permuted` permutes the labels, or tags, of training and test samples; `untrained` leaves the networks at their random
    starts; `networks` puts other ones in the place of the observation's.
    """

    name: str
    text: str
    """What it would mean if the control showed the same."""
    permuted: bool = False
    untrained: bool = False
    networks: Callable[[Data], Mapping[str, Network]] | None = None

    def __post_init__(self) -> None:
        check_name("control", self.name)
        if not (self.permuted or self.untrained or self.networks is not None):
            raise ValueError(
                f"control: expected permuted, untrained or other networks in {self.name!r}, got none of them"
            )


class Trial(NamedTuple):
    """What one seed's numbers are taken of: its own data, and the networks trained on them, each with this seed alone."""

    data: Data
    trained: Mapping[str, TrainedNetworks]


@dataclasses.dataclass(frozen=True)
class Panel:
    """A panel of the picture: the numbers called `name` of `Observation.measure`, over layers or over named places."""

    name: str
    label: str
    places: tuple[str, ...] = ()
    """Names of the places; without them they are layers, from 0, the inputs."""
    predicted: tuple[str, ...] = ()
    """Further numbers of the trained networks that are drawn beside: predictions."""
    joined: bool = True
    """Whether lines join the places, because they have an order; without one there is a mark for every group at each place."""


@shown()
@dataclasses.dataclass(frozen=True)
class Observation:
    """An empirical claim about trained networks, and the rule, fixed beforehand, by which it is observed or not.

    `docstring` is that of the file: a title, some sentences, and the sections Claim, Statistic, Counts for it, Counts against
    it, Settings, Controls. Every seed has data and starts of its own, so that seeds are independent trials and an interval
    speaks of networks trained like these on data drawn like these. Raises ValueError for a part that is missing or does not
    fit, for names of controls that there are none of, and for so few seeds that nothing could be decided at this share.
    """

    id: str
    docstring: str | None
    sources: tuple[Source, ...]
    data: Callable[[int], Data]
    """The data of a seed, drawn by a whole number."""
    networks: Callable[[Data], Mapping[str, Network]]
    """The networks that are trained on the data, by name."""
    measure: Callable[[Trial], Mapping[str, Any]]
    """All statistics by name, NaN where there is none; other numbers are reported, and lists of numbers are for panels."""
    statistics: tuple[Statistic, ...]
    controls: tuple[ControlGroup, ...]
    training: Mapping[str, Any]
    """Arguments of `train`: steps, optimiser, rate."""
    seeds: int = 16
    """n."""
    share: float = 0.5
    """The share of seeds that more than must show it."""
    terminal: float | None = None
    r"""The largest $|\nabla f|/|\lambda\theta|$ of a network that counts as terminal, with the gradient of the decay below:
    at a stationary point those of fit and decay cancel. Other networks tell nothing. None where the claim is of any."""
    panels: tuple[Panel, ...] = ()
    title: str = dataclasses.field(init=False, default="")
    words: str = dataclasses.field(init=False, default="")
    sections: Mapping[str, str] = dataclasses.field(init=False, default_factory=dict)
    """The texts of the docstring's sections."""

    def __post_init__(self) -> None:
        check_identifier("observation", self.id)
        title, words, sections = _read(self.docstring, self.id)
        for name, value in (("title", title), ("words", words), ("sections", sections)):
            object.__setattr__(self, name, value)
        names = [one.name for one in self.statistics]
        groups = [one.name for one in self.controls]
        for what, listed in (("statistics", names), ("controls", groups)):
            if not listed or len(set(listed)) < len(listed):
                raise ValueError(f"{what}: expected at least one, of different names, in {self.id!r}, got {listed}")
        for one in self.statistics:
            unknown = sorted(set(one.against or ()) - set(groups))
            if unknown or one.against == ():
                raise ValueError(
                    f"against: expected names of controls in {one.name!r}, got {', '.join(unknown) or 'none'}"
                )
        if not (is_finite(self.share) and 0 < self.share < 1):
            raise ValueError(f"share: expected a number between 0 and 1, got {self.share}")
        if not can_decide(whole_number("seeds", self.seeds), self.share):
            raise ValueError(f"seeds: expected enough to decide at a share of {self.share:g}, got {self.seeds}")
        if self.terminal is not None and not (is_finite(self.terminal) and self.terminal > 0):
            raise ValueError(f"terminal: expected a positive number or None, got {self.terminal}")

    def against(self, statistic: Statistic) -> tuple[str, ...]:
        """The names of the controls that must not show a statistic."""
        return tuple(one.name for one in self.controls) if statistic.against is None else statistic.against


def _read(docstring: str | None, identifier: str) -> tuple[str, str, dict[str, str]]:
    """Title, words and sections of a docstring."""
    if not docstring or not docstring.strip():
        raise ValueError(f"docstring: expected a description of observation {identifier!r}, got none")
    head, *rest = re.split(r"^(\S[^\n]*):[ ]*\n(?=[ \t]+\S)", inspect.cleandoc(docstring) + "\n", flags=re.MULTILINE)
    headings, texts = rest[::2], [inspect.cleandoc(text).strip() for text in rest[1::2]]
    # The claim's heading says in brackets whose it is.
    names = [re.sub(r" \(.*\)$", "", heading, flags=re.DOTALL) for heading in headings]
    if tuple(names) != SECTIONS:
        raise ValueError(
            f"docstring: expected the sections {', '.join(SECTIONS)} in {identifier!r}, got {', '.join(names) or 'none'}"
        )
    title, _, words = head.strip().partition("\n")
    if not words.strip():
        raise ValueError(f"docstring: expected some sentences between title and sections in {identifier!r}")
    return title.strip().removesuffix("."), words.strip(), dict(zip(headings, texts, strict=True))


_OBSERVATIONS = Registry("observation", Observation, "nctheory.networks.register_observation(Observation(...))")


def register_observation(observation: Observation) -> Observation:
    """Add an observation to those that `nctheory observe` knows, and return it; no theorem is concerned.

    Raises ValueError when its identifier is taken by another.

    >>> import dataclasses
    >>> known = find_observation("progressive-collapse")
    >>> register_observation(known) is known
    True
    """
    return _OBSERVATIONS.add(observation)


def observations() -> dict[str, Observation]:
    """All observations of the package `proofs_numeric`, and those registered by hand, by identifier.

    >>> "separation-law" in observations()
    True
    """
    return _OBSERVATIONS.all()


def find_observation(identifier: str) -> Observation:
    """The observation of that identifier; ValueError lists the known ones.

    >>> find_observation("minority-collapse").seeds
    16
    """
    return _OBSERVATIONS.find(identifier)


def load_observation_file(path: str | Path) -> list[Observation]:
    """Import a file and return the observations that it registers.

    Raises TheoremFileError when the file is missing, fails to import, or registers none.

    >>> from proofs_numeric.observations import low_rank
    >>> [one.id for one in load_observation_file(low_rank.__file__)]
    ['low-rank-by-depth']
    """
    return _OBSERVATIONS.load(path)
