"""What a result depends on besides its inputs: versions, device, precision."""

import importlib.metadata
import platform

import jax

PACKAGES = ("nctheory", "jax", "jaxlib", "diffrax", "equinox", "numpy", "scipy")


def environment() -> dict[str, str]:
    """Versions of everything a number depends on, the device and the precision.

    >>> environment()["precision"]
    'float64'
    """
    found = {"python": platform.python_version(), "platform": f"{platform.system()} {platform.machine()}"}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "not installed"
    devices = jax.local_devices()
    found["device"] = f"{len(devices)} x {devices[0].device_kind} ({devices[0].platform})"
    found["precision"] = "float64"
    return found
