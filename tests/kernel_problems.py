"""Small problems that have kernels, and what the tests of these ask them for."""

import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import nctheory as nct
from nctheory.flow import Options, as_key
from nctheory.flow import _kernel_road as road
from nctheory.flow import _kernel_tables as tables
from nctheory.flow._program import Chunk
from nctheory.kernels import emulated
from nctheory.problems import as_family

needs_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="the emulator compiles the kernels with g++")


def entropy(decay=0.02):
    """Smoothed labels and a free bias; five columns, so that some of the emulator's four threads have two."""
    loss = nct.losses.label_smoothing(0.1)
    return nct.unconstrained_features(counts=(2, 3), dim=2, loss=loss, weight_decay=(decay, decay), bias=0.0)


def squares():
    """Squared error against targets of one's own, no bias."""
    targets = np.array([[0.8, 0.1, 0.3, 0.2], [0.2, 0.7, 0.9, 0.1]])
    return nct.deep_linear(widths=(2, 2), targets=targets, loss="mse", weight_decay=(0.02, 0.03))


def three_factors():
    """Cross-entropy with a free bias; the first layer is wider than there are logits, and its rows are no square."""
    return nct.deep_linear(
        widths=(3, 4, 2), counts=(2, 3), loss="cross_entropy", weight_decay=(0.01, 0.02, 0.01), bias=0.0
    )


def four_factors():
    """Squared error with a decayed bias, every width another one."""
    return nct.deep_linear(widths=(2, 4, 3, 2), counts=(2, 2), loss="mse", weight_decay=(0.004,) * 4, bias=0.1)


SPHERES = ("sphere", "decay", "norm", "fixed")
"""What holds the classifier of features on spheres."""


def on_spheres(kind):
    """Three classes in the plane, of unequal counts but with the classifier on spheres, and more columns than the emulator's
    four threads; each loss twice."""
    held = {
        "sphere": {"weight_radius": 1.5, "loss": "cross_entropy"},
        "decay": {"weight_decay": 0.02, "loss": "mse"},
        "norm": {"weight_norm": 2.0, "loss": nct.losses.label_smoothing(0.1)},
        "fixed": {"weights": [[1.0, 0.2], [-0.5, 0.9], [-0.3, -1.1]], "loss": "mse"},
    }
    counts = (2, 2, 2) if kind == "sphere" else (2, 4, 1)
    return nct.problems.spherical_features(counts=counts, dim=2, temperature=0.5, **held[kind])


class Accelerator:
    """A device as JAX describes one."""

    platform, id, local_hardware_id = "gpu", 3, 0


def kernels_of(problem, order="forward"):
    shape = tables.kernel_shape(problem)
    assert shape is not None
    return emulated(shape, tables.constants(), tables.tables(), order)


def chunk_of(problem, seeds):
    family, contexts = as_family([problem])
    context = jnp.asarray(np.repeat(contexts, seeds, axis=0))
    return family, Chunk(jnp.arange(seeds), jnp.ones(seeds, bool), context, None)


def by_kernels(problem, seeds, *kernels, **options):
    """The records of seeds by these kernels, a part of the seeds by each."""
    family, chunk = chunk_of(problem, seeds)
    devices = (jax.devices("cpu")[0],) * len(kernels)
    return road._by_kernels(family, as_key(0), chunk, Options(**options).settings(), kernels, devices)


def assert_same(one, other):
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_array_equal(np.asarray(a), np.asarray(b))


def ends_as_by_the_engine(problem):
    """Eight seeds by kernels, with the flow and without it: each ensemble, once it has ended as the engine's."""
    for method in ("flow+polish", "polish"):
        found, same = (nct.solve(problem, 8, light=True, method=method, kernel=kernel) for kernel in ("emulate", "off"))
        np.testing.assert_array_equal(found.status, same.status)
        np.testing.assert_array_equal(found.handovers, same.handovers)
        np.testing.assert_allclose(found.value, same.value, rtol=1e-12)
        np.testing.assert_allclose(found.flow_time, same.flow_time, rtol=1e-6)
        np.testing.assert_allclose(found.peak_grad_norm, same.peak_grad_norm, rtol=1e-10)
        yield found
