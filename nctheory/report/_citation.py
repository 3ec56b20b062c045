"""`citation`: the BibTeX of exactly what was run."""

import functools
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from nctheory._version import __version__
from nctheory.flow import Ensemble, Paths
from nctheory.phase import Diagram, PhaseDiagram, diagrams, find_diagram
from nctheory.report._latex import citation_key
from nctheory.sweeps import Survey, SweepResult
from nctheory.theorems import Dynamics, Erratum, Source, Theorem, Verdict, catalogue, errata, find_theorem

PACKAGE = f"""@software{{nctheory,
  title = {{nctheory: the theorems of neural-collapse theory as executable claims}},
  author = {{{{The nctheory authors}}}},
  version = {{{__version__}}},
  year = {{2026}}
}}"""
JAX = """@software{jax2018github,
  title = {{JAX}: composable transformations of {Python+NumPy} programs},
  author = {Bradbury, James and Frostig, Roy and Hawkins, Peter and Johnson, Matthew James and Leary, Chris and Maclaurin,
    Dougal and Necula, George and Paszke, Adam and VanderPlas, Jake and Wanderman-Milne, Skye and Zhang, Qiao},
  year = {2018}
}"""
DIFFRAX = """@phdthesis{kidger2021on,
  title = {On Neural Differential Equations},
  author = {Kidger, Patrick},
  school = {University of Oxford},
  year = {2021}
}"""
TSIT5 = """@article{tsitouras2011runge,
  title = {Runge-Kutta pairs of order 5(4) satisfying only the first column simplifying assumption},
  author = {Tsitouras, Charalampos},
  journal = {Computers \\& Mathematics with Applications},
  volume = {62},
  number = {2},
  pages = {770--775},
  year = {2011}
}"""
CHEBYSHEV = """@article{sommeijer1998rkc,
  title = {{RKC}: an explicit solver for parabolic {PDEs}},
  author = {Sommeijer, B. P. and Shampine, L. F. and Verwer, J. G.},
  journal = {Journal of Computational and Applied Mathematics},
  volume = {88},
  number = {2},
  pages = {315--326},
  year = {1998}
}"""
DOPRI8 = """@article{prince1981high,
  title = {High order embedded Runge-Kutta formulae},
  author = {Prince, P. J. and Dormand, J. R.},
  journal = {Journal of Computational and Applied Mathematics},
  volume = {7},
  number = {1},
  pages = {67--75},
  year = {1981}
}"""
KVAERNO5 = """@article{kvaerno2004singly,
  title = {Singly diagonally implicit Runge-Kutta methods with an explicit first stage},
  author = {Kv{\\ae}rn{\\o}, Anne},
  journal = {BIT Numerical Mathematics},
  volume = {44},
  number = {3},
  pages = {489--502},
  year = {2004}
}"""
SOLVED = (DIFFRAX, TSIT5, CHEBYSHEV)
"""What end states rest on: the flow, and its stabilised method in long valleys."""
FOLLOWED = (DIFFRAX, DOPRI8, KVAERNO5)
"""What paths rest on: the explicit method, and the implicit one where the flow is stiff."""
OF_METHOD = {"solve": SOLVED, "integrate": FOLLOWED, "census": ()}


def citation(result: Any) -> str:
    """The BibTeX entries of what a result rests on: this package, the publications checked, and the methods that were used.

    Args:
        result: a `Verdict` or a list of them, `PhaseDiagram`, `Dynamics`, `SweepResult`, `Survey`, `Ensemble` or `Paths`; or a
            `Theorem`, an `Erratum`, a `Diagram` or the identifier of one, for what checking it rests on.

    Returns:
        One entry for each, every one once, this package first.

    Raises:
        ValueError: something else, or an identifier that nothing has.

    >>> print(citation("ufm-ce-balanced"))  # doctest: +ELLIPSIS
    @software{nctheory,
    ...
    @inproceedings{zhu2021geometric,
    ...
    @article{tsitouras2011runge,
    ...
    """
    entries = [PACKAGE, *_entries(result), JAX]
    return "\n\n".join(dict.fromkeys(entry.strip() for entry in entries)) + "\n"


@functools.singledispatch
def _entries(result: Any) -> Iterable[str]:
    """The entries of a result, without those of the package and of JAX."""
    raise ValueError(
        f"result: nothing is cited for {type(result).__name__}; expected a verdict, an ensemble, paths, a sweep, a phase "
        "diagram, or a theorem or its identifier"
    )


def _published(sources: Iterable[Source]) -> list[str]:
    return [source.bibtex for source in sources if citation_key(source)]


@_entries.register
def _(result: str) -> Iterable[str]:
    if result in errata():
        return _entries(errata()[result])
    if result not in catalogue() and result in diagrams():
        return _entries(find_diagram(result))
    return _entries(find_theorem(result))


@_entries.register
def _(result: Verdict) -> Iterable[str]:
    return [*_published(result.sources), *OF_METHOD.get(result.method, ())]


@_entries.register
def _(result: Theorem) -> Iterable[str]:
    return [*_published(result.sources), *OF_METHOD.get(result.method.name, ())]


@_entries.register(list | tuple)
def _(result: Sequence[Any]) -> Iterable[str]:
    if hasattr(result, "_fields"):  # a named tuple is one result, not several
        return _entries.dispatch(object)(result)
    return [entry for one in result for entry in _entries(one)]


@_entries.register
def _(result: Erratum) -> Iterable[str]:
    return _published(result.sources)


@_entries.register
def _(result: Diagram) -> Iterable[str]:
    return [*_published(result.sources), *(SOLVED if result.method != "polish" else ())]


@_entries.register
def _(result: PhaseDiagram) -> Iterable[str]:
    return _entries(result.diagram)


@_entries.register
def _(result: Dynamics) -> Iterable[str]:
    return _entries(result.theorem)


@_entries.register
def _(result: Ensemble | Survey | SweepResult) -> Iterable[str]:
    return SOLVED


@_entries.register
def _(result: Paths) -> Iterable[str]:
    return () if np.isnan(result.dissipation).all() else FOLLOWED  # of a descent nothing is integrated
