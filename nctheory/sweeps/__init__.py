"""Many problems and very many seeds: statistics that are streamed, so that memory does not grow with the parameters."""

from nctheory.sweeps._survey import Survey, survey

__all__ = ["Survey", "survey"]
