"""The kernels' source, run by the emulator on a CPU, against the engine: seed for seed, stage for stage, status for status."""

import dataclasses
import shutil
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import nctheory as nct
from nctheory.flow import Options, Status, as_key
from nctheory.flow import _kernel_road as road
from nctheory.flow import _kernel_tables as tables
from nctheory.flow import _program as program
from nctheory.flow._ode import STABILISED
from nctheory.flow._program import Chunk, solve_chunk
from nctheory.flow._stages import Stage
from nctheory.kernels import Arrays, KernelUnavailable, Numbers, Shape, emulated, plan_of, source
from nctheory.kernels._emulated import ORDERS
from nctheory.problems import as_family, moment_form, size

needs_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="the emulator compiles the kernels with g++")


def entropy(bias=0.0, decay=(0.01, 0.02)):
    """Nine columns, so that some of the emulator's eight threads have two."""
    return nct.unconstrained_features(
        counts=(2, 3, 4), dim=4, loss=nct.losses.label_smoothing(0.1), weight_decay=decay, bias=bias
    )


def squares():
    """Soft targets, one column a class, unequal weights, no bias, fewer dimensions than classes."""
    chain = nct.problems.class_mean_chain(
        sizes=(1.5, 1.0, 0.5), widths=(2, 3), loss="mse", weight_decay=(0.03, 0.02), bias=None
    )
    return dataclasses.replace(chain, targets=np.array([[0.8, 0.1, 0.0], [0.2, 0.7, 0.3], [0.0, 0.2, 0.7]]))


PROBLEMS = {"entropy": entropy, "squares": squares}
each_problem = pytest.mark.parametrize("name", PROBLEMS)


def kernels_of(problem, order="forward"):
    return emulated(tables.kernel_shape(problem), tables.constants(), tables.tables(), order)


def begun(problem, seeds, **options):
    family, contexts = as_family([problem])
    contexts = np.repeat(contexts, seeds, axis=0)
    settings = Options(**options).settings()
    return family, settings, program.begun(family, as_key(0), jnp.arange(seeds), jnp.asarray(contexts), settings)


def arrays_of(family, records):
    rows, member = tables.members(family, np.asarray(records.context))
    table = tables.packed(records, jnp.asarray(member))
    return Arrays(*table, rows, tables.directions(size(family.template)))


def numbers_of(settings):
    return Numbers(float(settings.rtol), int(settings.budget), bool(settings.flow), bool(settings.polish))


def by_kernel(family, settings, records, *names, order="forward"):
    """The records after these kernels, one after the other, of all seeds in their stages."""
    kernels = kernels_of(family.template, order)
    arrays = kernels.put(arrays_of(family, records))
    for name in names:
        served = dict(road.STAGES)[name]
        numbers = numbers_of(settings)
        if name == "stiff":
            numbers = numbers._replace(rtol=float(STABILISED.tolerance(settings.rtol)))
        index = np.flatnonzero(np.isin(kernels.stages(arrays), served))
        kernels.launch(name, index, arrays, numbers)
    return tables.unpacked(records, kernels.take(arrays))


def assert_same(found, same, tight=1e-12):
    """Two ensembles of the same seeds: the same statuses and hand-overs, and the same ends to rounding along the way."""
    np.testing.assert_array_equal(found.status, same.status)
    np.testing.assert_array_equal(found.handovers, same.handovers)
    np.testing.assert_allclose(found.value, same.value, rtol=tight)
    np.testing.assert_allclose(found.flow_time, same.flow_time, rtol=1e-8)
    np.testing.assert_allclose(found.peak_grad_norm, same.peak_grad_norm, rtol=1e-8)
    for one, other in zip(jax.tree.leaves(found.params), jax.tree.leaves(same.params), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-7)


@needs_compiler
@pytest.mark.slow
@each_problem
@pytest.mark.parametrize("method", ["flow+polish", "polish", "flow"])
def test_seeds_end_as_by_the_engine(name, method):
    problem = PROBLEMS[name]()
    found, same = (nct.solve(problem, 12, method=method, kernel=kernel) for kernel in ("emulate", "off"))
    assert_same(found, same)
    assert found.converged.all()
