"""Features on spheres by the kernels, run by the emulator, against the engine, automatic derivatives and a closed form."""

import sys
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import nctheory as nct
from nctheory.flow import Options, as_key
from nctheory.flow import _kernel_road as road
from nctheory.flow import _kernel_tables as tables
from nctheory.flow._program import begun, flat_objective
from nctheory.flow._stages import Stage
from nctheory.kernels import KERNELS, Arrays, KernelUnavailable, Numbers, Shape, plan_of, source
from nctheory.kernels import _emulated as emulator
from nctheory.kernels import _gpu as gpu
from nctheory.problems import as_family, ravel, size, unravel
from tests.emulated_cupy import stand_in
from tests.kernel_problems import (
    SPHERES,
    Accelerator,
    assert_same,
    by_kernels,
    chunk_of,
    ends_as_by_the_engine,
    kernels_of,
    needs_compiler,
    on_spheres,
)

PROBE = """
extern "C" __global__ void probe_seeds(ARGUMENTS) {
  SHARED(s);
  Seed r = seed_of(index, points, anchors, reals, counts);
  const Member m = member_of(r, members);
  Vector y, v, gradient, image;
  Linearised l;
  read(y, r.point);
  read(v, r.anchor);
  r.value = block_sum(evaluate_apart(y, gradient, m, s), s);
  linearise(y, l, m, s);
  publish_direction(v, s);
  curvature_of(y, l, v, image, m, s);
  if (polish) {
    scaled(image, 0.0, y);
    add_penalty(y, l, v, 1.0, image, s);
  }
  put_back(r);
  write(gradient, r.point);
  write(image, r.anchor);
}
"""
"""Value and gradient at a point, and the product of a direction with the Hessian or, where `polish` is set, the penalty."""
BODIES = "{BODY(polish_seeds), BODY(flow_seeds), BODY(stiff_seeds), BODY(newton_seeds)}"


def probed(problem, points, directions, change=("", "")):
    """What the kernels' functions make of points and directions: values, gradients, both products; of a changed source."""
    shape = tables.kernel_shape(problem)
    assert shape is not None
    plan = kernels_of(problem).plan
    text = source(shape, plan, tables.constants(), tables.tables(), ())
    text += "".join(map(emulator.text_of, ("bent.cuh", "hessian.cuh"))) + PROBE
    assert change[0] in text
    launcher = emulator.text_of("emulated.cc")
    assert BODIES in launcher
    launcher = launcher.replace(BODIES, "{BODY(probe_seeds)}")
    library = emulator._compiled(text.replace(*change), launcher)
    kernels = emulator._Emulated(library, plan)
    rows, _ = tables.members(*as_family([problem]))
    found = []
    for penalty in (False, True):
        reals, counts = np.zeros((len(points), 9)), np.zeros((len(points), 4), int)
        arrays = kernels.put(Arrays(points, directions, reals, counts, rows, tables.directions(size(problem))))
        kernels.launch(KERNELS[0], np.arange(len(points)), arrays, Numbers(1.0, 1, flow=True, polish=penalty))
        found.append((arrays.reals[:, tables.REALS.index("value")], arrays.points, arrays.anchors))
    return *found[0], found[1][2]


@cache
def engine_of(kind):
    """The same of a kind, as a function of points and directions, by the problem's own functions; derivatives are JAX's."""
    problem = on_spheres(kind)
    objective = flat_objective(problem)

    def one(y, v):
        (value, gradient), (_, product) = jax.jvp(objective, (y,), (v,))
        penalty = problem.gauge_penalty(unravel(problem, y), unravel(problem, v))
        return value, gradient, product, ravel(penalty)

    compiled = jax.jit(jax.vmap(one))

    def found(points, directions):
        with jax.enable_x64(True):
            return [np.asarray(x) for x in compiled(jnp.asarray(points), jnp.asarray(directions))]

    return found


def apart(kind, change=("", "")):
    """How far value, gradient, product and penalty are apart at random points, relative to their sizes."""
    problem = on_spheres(kind)
    points, directions = np.random.default_rng(3).normal(size=(2, 4, size(problem)))
    found, same = probed(problem, points, directions, change), engine_of(kind)(points, directions)
    return [float(np.max(np.abs(a - b)) / np.max(np.abs(b))) for a, b in zip(found, same, strict=True)]


@needs_compiler
@pytest.mark.slow
@pytest.mark.parametrize("kind", SPHERES)
def test_value_gradient_and_products_are_the_engines(kind):
    """At random points, where lengths are not 1, along random directions, which are not across them."""
    assert max(apart(kind)) <= 1e-13


FAULTS = {
    "lower(h, scale, m, gradient.h[c])": 1,
    "s.product[i] - s.part[g] * s.own[i]": 1,
    " - tilt * scale * (g - normal * v) - normal * moved - turn * v": 2,
    "s.tilt[i / GROUP] * w[i]": 3,
}
"""Terms without which something is wrong: the gradient's projection by columns and by rows, the second derivative of the
division, the penalty of a row's length; and the first thing that is wrong."""


@needs_compiler
@pytest.mark.slow
@pytest.mark.parametrize("term", FAULTS)
def test_a_source_without_one_of_its_terms_shows(term):
    left = {"s.product[i] - s.part[g] * s.own[i]": "s.product[i]", "s.tilt[i / GROUP] * w[i]": "0.0"}.get(term, "")
    found = apart("sphere", (term, left))
    assert max(found[: FAULTS[term]]) <= 1e-13
    assert found[FAULTS[term]] >= 1e-3


@needs_compiler
@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sphere", "decay"])
def test_seeds_on_spheres_end_as_by_the_engine(kind):
    problem = on_spheres(kind)
    for found in ends_as_by_the_engine(problem):
        assert found.converged.all()
    if kind == "sphere":
        # Yaras et al. 2022: a simplex of classifiers with the features on it, K = 3 and tau = rho omega / T = 3.
        assert found.value.min() == pytest.approx(np.log1p(2.0 * np.exp(-3.0 * 1.5)), rel=1e-12)


@needs_compiler
@pytest.mark.slow
@pytest.mark.parametrize("kind", SPHERES)
def test_threads_on_spheres_may_take_turns_in_any_order(kind, monkeypatch):
    problem = on_spheres(kind)
    kernels, shape = kernels_of(problem), tables.kernel_shape(problem)
    assert shape is not None
    assert shape.numbers == size(problem)
    assert kernels.shared_bytes == kernels.plan.shared_bytes(shape)
    first = by_kernels(problem, 4, kernels)
    # They end at critical points of the engine's objective, where its value is theirs.
    np.testing.assert_array_equal(first.stage, Stage.CONVERGED)
    value, gradient, *_ = engine_of(kind)(first.point, first.point)
    np.testing.assert_allclose(first.value, value, rtol=1e-12)
    assert np.linalg.norm(gradient, axis=1).max() <= 1e-10
    for order in emulator.ORDERS[1:]:
        assert_same(by_kernels(problem, 4, kernels_of(problem, order)), first)
    if kind == "norm":
        # One warp a block: other barriers, and sums over the whole classifier in another order.
        monkeypatch.setattr(emulator, "WARP", emulator.THREADS)
        ends = [by_kernels(problem, 4, kernels_of(problem, order)) for order in emulator.ORDERS[:2]]
        assert_same(*ends)
        np.testing.assert_array_equal(ends[0].stage, Stage.CONVERGED)
        np.testing.assert_allclose(ends[0].value, first.value, rtol=1e-12)


def test_members_on_spheres_have_their_own_lengths():
    one, other = (
        nct.problems.spherical_features(counts=(1, 2), dim=2, loss="mse", radius=radius, weight_decay=decay)
        for radius, decay in ((2.0, 0.1), (3.0, 0.4))
    )
    family, contexts = as_family([one, other])
    rows, place = tables.members(family, contexts[[1, 0]])
    shape = tables.kernel_shape(one)
    assert shape is not None
    assert shape == Shape(2, 2, 3, cross_entropy=False, bias=False, spheres="decay")
    assert rows.shape == (2, shape.member_numbers)
    third = [1 / 3] * 3
    np.testing.assert_array_equal(rows[place][0], [1, 0, 0, 0, 1, 1, *third, 0, 0, 0, 0.4, 0, 0, 3.0, 0.4])
    np.testing.assert_array_equal(rows[place][1][-5:], [0.1, 0, 0, 2.0, 0.1])
    # Lengths of the classifier are no decay; and a given classifier is the last that a member has.
    np.testing.assert_allclose(tables.members(*as_family([on_spheres("sphere")]))[0][0, -5:], [0, 0, 0, 2.0, 1.5])
    given = on_spheres("fixed")
    assert given.given is not None
    last = tables.members(*as_family([given]))[0][0, -6:]
    np.testing.assert_array_equal(last, np.ravel(np.asarray(given.given)))


def test_what_has_no_kernel_or_does_not_fit_goes_by_xla(monkeypatch):
    class Mine(nct.problems.SphericalFeatures):
        """A problem of someone's own."""

    problem = on_spheres("decay")
    mine = Mine(**{name: getattr(problem, name) for name in problem.__dataclass_fields__})
    focal = nct.problems.spherical_features(counts=(1, 1), dim=2, loss=nct.losses.focal(1.0), weight_decay=0.1)
    assert [tables.kernel_shape(one) for one in (mine, focal)] == [None, None]
    shapes = [Shape(10, 64, 100, True, False, spheres=kind) for kind in ("", "fixed", "decay", "norm", "sphere")]
    needed = [plan_of(shape, 2**18).shared_bytes(shape) for shape in shapes]
    assert needed == sorted(needed)
    with pytest.raises(KernelUnavailable, match=r"K = 10, d = 64 takes .* bytes of shared memory"):
        plan_of(shapes[-1], needed[0] // 4)
    monkeypatch.setitem(sys.modules, "cupy", stand_in(None, None, MaxSharedMemoryPerBlockOptin=100))
    gpu._loaded.cache_clear()
    family, chunk = chunk_of(problem, 2)
    settings = Options(method="polish").settings()
    by_xla = begun(family, as_key(0), chunk.seeds, chunk.context, settings)
    monkeypatch.setattr(road, "solve_chunk", lambda *_, **__: by_xla)
    with pytest.warns(RuntimeWarning, match="kernel: the road of XLA is taken, for .* and the device has 100"):
        assert road.solve_by_road(family, as_key(0), chunk, settings, (Accelerator(),), light=True) is by_xla
    assert jnp.all(by_xla.stage == Stage.POLISH)
