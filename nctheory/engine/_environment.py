"""What a result depends on besides its inputs: versions, device, precision."""

import gc
import os
import platform
import tempfile
from pathlib import Path

from nctheory.engine._code import version_of
from nctheory.engine._failures import Failure

PACKAGES = ("nctheory", "jax", "jaxlib", "diffrax", "equinox", "numpy", "scipy")

RARELY = (100_000, 20, 100)
"""The thresholds of Python's collector: tracing makes very many objects and little garbage (a seventh of its time)."""


def environment() -> dict[str, str]:
    """The versions of everything a number depends on, the device and the precision.

    >>> environment()["precision"]
    'float64'
    """
    import jax

    found = {"python": platform.python_version(), "platform": f"{platform.system()} {platform.machine()}"}
    for package in PACKAGES:
        found[package] = version_of(package)
    devices = jax.local_devices()
    found["device"] = f"{len(devices)} x {devices[0].device_kind} ({devices[0].platform})"
    found["precision"] = "float64"
    return found


def cache_directory() -> Path:
    """Where compiled programs are kept: JAX_COMPILATION_CACHE_DIR, else the user's cache folder."""
    import platformdirs

    named = os.environ.get("JAX_COMPILATION_CACHE_DIR")
    return Path(named) if named else Path(platformdirs.user_cache_dir("nctheory")) / "xla"


TRACE_ALWAYS = "NCTHEORY_TRACE_ALWAYS"
"""The environment's variable that, if it is not empty, has every program traced anew."""


class NoDevice(Failure):
    """JAX finds no device that it was asked for."""


def configure() -> Path | None:
    """float64, the persistent compilation cache and rare garbage collection, for a process that the command line owns.

    Returns the cache folder, or None where none can be written; then every run compiles afresh. Traced programs are kept there
    too; a process that changes the package itself calls `keep_traced_programs(None)` next. Raises `NoDevice` where JAX
    finds nothing to compute on.
    """
    import jax

    # JAX starts its backends when it is first asked for its devices, so that a missing one is found at once.
    try:
        jax.local_devices()
    except (
        RuntimeError,
        AssertionError,
    ) as error:  # the latter from JAX itself, where none of those asked for is there
        platforms = os.environ.get("JAX_PLATFORMS")
        asked = f" (JAX_PLATFORMS={platforms})" if platforms else ""
        why = str(error).splitlines()[0] if str(error) else "none of the platforms asked for is there"
        raise NoDevice(f"JAX finds no device{asked}: {why}; JAX_PLATFORMS=cpu runs on the processor alone") from error
    jax.config.update("jax_enable_x64", True)
    gc.set_threshold(*RARELY)
    folder = cache_directory()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # A folder that exists may still refuse files.
        check_writable(folder)
    except OSError:
        return None
    jax.config.update("jax_compilation_cache_dir", str(folder))
    # Every program is kept, however short its compilation and however small it is.
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    from nctheory.engine._traced import keep_traced_programs

    keep_traced_programs(None if os.environ.get(TRACE_ALWAYS) else folder / "nctheory-traced")
    return folder


def check_writable(folder: Path) -> None:
    """Raise OSError where no file can be made in the folder."""
    with tempfile.TemporaryFile(dir=folder):
        pass
