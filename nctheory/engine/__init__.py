"""Machinery that knows nothing of problems and theorems: what every other room computes with.

Programs are compiled for a shape and kept in a book, and dropped where a process has too many (`light_jit`,
`release_programs`). Lanes run many items of unequal length at a time (`run_lanes`), and blocks those of equal length
(`map_in_blocks`). Precision is float64 within every verb, whatever the host program's settings (`float64`); a function can
also be evaluated with many digits (`extended`). Files are written whole or not at all (`write_atomically`). What fails is told
in one line (`Failure`, `Misuse`). Its names stand in `__init__.pyi` and are imported when used, so that asking for help costs
no import of JAX.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
