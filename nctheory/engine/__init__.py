"""The engine is the machinery that every other room computes with; it knows nothing of problems and theorems.

A program is compiled once for each shape of its arguments and kept, and the oldest programs are dropped where a process holds
too many (`fast_compile`, `release_programs`); what it was traced to is kept on the disk for the next process, by the identity
of all that it depends on (`keep_traced_programs`); its factorisations never wait for the threads that it runs on
(`unshared_factorisations`). Items that take different numbers of steps share a window of lanes, whose finished items are
replaced (`run_lanes`); items that take equally long are mapped in blocks (`map_in_blocks`). Every verb computes in float64,
whatever the host program's settings, on what the user's own functions read now (`float64`), and a function can also be
evaluated with many digits (`extended`). A file is written whole or not at all (`write_atomically`), and a failure is told in
one line (`Failure`, `Misuse`). The names stand in `__init__.pyi` and are imported when they are used, so that asking for help
costs no import of JAX.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
