"""Compiled programs are not free: each holds about ten memory maps, of which a Linux process may have only 65,530."""

import gc
from pathlib import Path

import jax

LIMIT = 24_000
"""Memory maps from which on compiled programs are dropped; the compiler crashes the process at the system's limit."""


def release_programs(limit: int = LIMIT) -> bool:
    """Drop all compiled programs of this process if it holds more than `limit` memory maps; whether it did.

    What is still needed is compiled again, or comes from the persistent cache. Does nothing where the number of maps cannot
    be read (anywhere but Linux).
    """
    try:
        with Path("/proc/self/maps").open("rb") as maps:
            held = sum(1 for _ in maps)
    except OSError:
        return False
    if held <= limit:
        return False
    jax.clear_caches()
    gc.collect()
    return True
