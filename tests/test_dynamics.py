"""Theorems about paths: all hold, every wrong version is refuted, and what cannot be told supports nothing."""

import dataclasses
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import jsonschema
import numpy as np
import pytest

import nctheory as nct
from nctheory.report import dynamics_json
from nctheory.theorems import Run, Trajectories, Verdict, VerifyOptions
from nctheory.theorems._judge import control_result

SCHEMA = json.loads((Path(nct.__file__).parent / "report" / "verdict.schema.json").read_text())
PATHS = (
    "arora-trajectory",
    "attention-consensus",
    "braun-riccati",
    "grok-linear",
    "han-central-path",
    "ji-ce-gf",
    "local-linear-rate",
    "min-zhu-vidal",
    "min-zhu-vidal-limit",
    "mixon-mse-gf",
    "ntk-collapse",
    "saxe-2layer",
    "saxe-deep",
    "sk-spherical-aging",
    "wang-layerwise",
    "yaras-parsimony",
)


KINDS = {"trajectory": nct.Trajectory, "order": nct.Order, "limit": nct.Limit}


def evidence(claim, observed, error, times=(1.0,), scales=()):
    """Made-up observations of a claim, of paths that are all sound."""
    seeds, observed = len(observed), np.asarray(observed, float)
    problem = nct.unconstrained_features(counts=(1, 1), dim=2, loss="mse", weight_decay=(0.1, 0.1))
    return Trajectories(
        problem=problem, spec=nct.theorems.TrajectorySpec(tuple(map(float, times)), initial_scales=tuple(map(float, scales))),
        seeds=np.arange(seeds), status=np.zeros(seeds, np.int8), sound=np.ones(seeds, bool), observed={claim: observed},
        errors={claim: np.asarray(error, float)}, terms={}, starts=None, values=np.zeros(seeds), drift=0.0, dissipation=0.0,
    )  # fmt: skip


def checked(kind, observed, error, predicted, times=(1.0,), scales=(), **more):
    """A claim of a kind held against made-up numbers."""
    claim = KINDS[kind]("it", "it", lambda p, x, s: x, lambda m: m, **more)
    return claim.check(evidence(claim, observed, error, times, scales), np.asarray(predicted, float))


def test_every_theorem_about_paths_is_in_this_list():
    assert {name for name, one in nct.catalogue().items() if one.method.name == "integrate"} == set(PATHS)


@pytest.mark.slow
@pytest.mark.parametrize("identifier", ["braun-riccati", "mixon-mse-gf", "ji-ce-gf", "yaras-parsimony"])
def test_theorems_about_paths_hold_and_every_wrong_version_is_refuted(identifier):
    """One of each kind, and a descent; the README's first command takes them all."""
    verdict = nct.verify(identifier, seeds=4, quick=True)
    assert verdict.outcome == "holds", verdict.reasons
    assert all(control.refuted for control in verdict.controls)
    assert len(verdict.controls) >= 3
    assert verdict.resolution < 0.1
    note = verdict.integrator_note
    assert note is not None
    assert note.removeprefix("paths: ") in " ".join(nct.report.verdict_text(verdict).split())
    if "of gradient descent" not in note:
        assert max(row.dissipation for row in verdict.instances) <= 1e-7
    jsonschema.validate(json.loads(verdict.to_json()), SCHEMA)
    assert Verdict.from_dict(json.loads(verdict.to_json())).integrator_note == note


@pytest.mark.slow
@pytest.mark.parametrize("identifier", ["saxe-2layer", "braun-riccati"])
def test_curves_deviate_from_the_closed_forms_by_less_than_1e_8(identifier, tmp_path):
    found = nct.dynamics(identifier, seeds=8)
    assert found.outcome == "holds"
    assert all(curve.deviation < 1e-8 for curve in found.curves)
    for suffix in ("png", "svg"):
        first, second = (nct.plot(found, tmp_path / f"{name}.{suffix}") for name in ("one", "two"))
        assert first.read_bytes() == second.read_bytes()
    data = json.loads(dynamics_json(found))
    assert data["outcome"] == "holds"
    assert len(data["curves"][0]["observed"][1]) == len(data["times"])


@pytest.mark.slow
def test_a_wrong_theorem_about_paths_is_refuted_with_a_command_that_reproduces_it():
    theorem = nct.theorems.find_theorem("saxe-2layer")
    wrong = dataclasses.replace(theorem, predict=theorem.controls[1].predict)
    verdict = nct.verify(wrong, seeds=2, instance=0)
    assert verdict.outcome == "refuted"
    assert verdict.worst is not None
    assert "--instance 0 --seed" in verdict.worst.command


def test_a_curve_off_by_more_than_its_error_is_refuted_at_that_time():
    times = np.linspace(0.1, 1.0, 5)
    curve = np.sin(times)[None, :, None]
    error = np.full((1, 5), 1e-6)
    assert not checked("trajectory", curve, error, curve, times=times).violated.any()
    off = curve.copy()
    off[0, 3] += 1e-5
    found = checked("trajectory", off, error, curve, times=times)
    assert found.violated.all()
    assert abs(found.residual[0] - 1e-5) < 1e-9
    off[0, 3] = np.nan
    unknown = checked("trajectory", off, error, curve, times=times)
    assert unknown.seeds.size == 0
    assert unknown.unknown.tolist() == [0]


def test_a_curve_that_is_not_known_to_a_tenth_supports_nothing_unless_it_is_farther_off():
    times = np.linspace(0.1, 1.0, 5)
    curves = np.stack([np.sin(times)] * 3)[..., None]
    error = np.stack([np.full(5, 1e-6), np.full(5, 0.3), np.full(5, 0.3)])
    predicted = curves.copy()
    predicted[1] += 0.5  # within its tolerance of 0.6, which is of no use
    predicted[2] += 5.0
    found = checked("trajectory", curves, error, predicted, times=times)
    assert found.seeds.tolist() == [0, 2]
    assert found.violated.tolist() == [False, True]


def test_a_seed_whose_comparison_was_lost_is_left_out():
    times = np.linspace(0.1, 1.0, 5)
    curves = np.stack([np.sin(times)] * 2)[..., None]
    error = np.stack([np.full(5, 1e-6), np.full(5, np.nan)])
    assert checked("trajectory", curves, error, curves + 1.0, times=times).seeds.tolist() == [0]


def test_a_control_that_predicts_no_number_is_not_refuted_by_that():
    theorem = nct.theorems.find_theorem("saxe-2layer")
    empty = nct.Control(
        "empty", "nothing", lambda p, x, t: jax.tree.map(lambda y: jnp.nan * y, theorem.predict(p, x, t))
    )
    instance = theorem.instances(jax.random.key(0))[0]
    run = Run(jax.random.key(1), np.arange(2), VerifyOptions(light=True), scale=0.05)
    found = nct.Integrate().gather(theorem.claims, instance, run)
    assert not control_result(empty, theorem, [(instance, found)]).refuted
    assert control_result(theorem.controls[1], theorem, [(instance, found)]).refuted


@pytest.mark.slow
@pytest.mark.parametrize("number", [8, 9])
def test_the_error_of_interpolation_refutes_no_true_theorem(number):
    """Values between the steps were off by more than the tolerance allowed, on seeds of this key."""
    verdict = nct.verify("arora-trajectory", seeds=32, key=2, instance=number)
    assert verdict.outcome == "holds", verdict.reasons
    assert verdict.worst is not None
    assert verdict.worst.tolerance_ratio < 0.1


def test_curves_of_which_nothing_is_known_do_not_hold():
    found = nct.dynamics("saxe-2layer", seeds=2)
    assert found.outcome == "holds"
    unknown = found._replace(curves=(found.curves[0]._replace(known=0), *found.curves[1:]))
    assert unknown.outcome == "inconclusive"


def test_an_order_is_regressed_and_a_noisy_one_supports_nothing():
    scales = np.array([0.1, 0.05, 0.02, 0.01, 0.005])
    sizes = 3.0 * scales[None, :] ** 2 * (1 + 0.5 * scales[None, :])
    tiny = np.zeros((1, 5))
    good = checked("order", sizes, tiny, [2.0], scales=scales)
    assert good.seeds.size == 1
    assert not good.violated.any()
    assert good.tolerance[0] < 0.1
    assert checked("order", sizes, tiny, [1.0], scales=scales).violated.all()
    assert checked("order", sizes, tiny, [2.2], scales=scales).violated.all()
    noisy = checked("order", sizes, 0.3 * sizes, [2.0], scales=scales)
    assert noisy.seeds.size == 0
    assert not noisy.decided


def test_a_limit_is_extrapolated_and_one_that_is_far_off_supports_nothing():
    times = 2.0 ** np.arange(12)
    curve = (0.7 - 1.0 / times + 3.0 / times**2)[None, :]
    tiny = np.zeros((1, 12))
    slow = {"vanishing": lambda t: 1.0 / t}
    good = checked("limit", curve, tiny, [0.7], times=times, **slow)
    assert not good.violated.any()
    assert good.tolerance[0] < 1e-6
    assert abs(curve[0, -1] - 0.7) > 100 * good.tolerance[0]  # far nearer than the last point
    assert checked("limit", curve, tiny, [0.701], times=times, **slow).violated.all()
    early = (0.7 + 5.0 * np.sin(3 * times) / times**0.2)[None, :]
    assert checked("limit", early, tiny, [0.7], times=times, **slow).seeds.size == 0
    even = np.arange(1.0, 13.0)
    falling = (0.3 + np.exp(-even) + 0.2 * np.exp(-2.5 * even))[None, :]
    known = checked("limit", falling, tiny, [0.3], times=even, vanishing="geometric")
    assert not known.violated.any()
    assert known.tolerance[0] < 3e-5
    assert checked("limit", falling, tiny, [0.31], times=even, vanishing="geometric").violated.all()
    # Two exponentials of opposite sign cross the limit somewhere; where they do, one end says too little.
    crossing = 0.3 + np.exp(-even)[None, :] - np.linspace(0.0, 9.0, 400)[:, None] * np.exp(-1.2 * even)[None, :]
    judged = checked("limit", crossing, np.zeros(crossing.shape), [0.3], times=even, vanishing="geometric")
    assert judged.seeds.size > 300
    assert not judged.violated.any()
    # A path that has arrived: the ratio of two changes that are noise says nothing, and may be near 1.
    noise = np.full((300, 12), 1e-9)
    shaken = np.random.default_rng(0).uniform(-1e-9, 1e-9, size=(300, 12))
    arrived = checked("limit", 0.3 + np.exp(-4 * even) + shaken, noise, [0.3], times=even, vanishing="geometric")
    assert arrived.seeds.size == 300
    assert not arrived.violated.any()
    assert np.max(arrived.tolerance) < 2e-8
    # Ones whose changes fall below the noise while ten times as much is left.
    slowly = 0.3 + np.geomspace(1e-9, 1e-5, 300)[:, None] * 0.9 ** (even - 12.0)[None, :] + shaken
    judged = checked("limit", slowly, noise, [0.3], times=even, vanishing="geometric")
    assert judged.seeds.size == 300
    assert not judged.violated.any()
    with pytest.raises(ValueError, match="times: claim 'it' wants to see where 16 times"):
        checked("limit", curve[:, -2:], tiny[:, -2:], [0.7], times=times[-2:], **slow)


def test_a_path_that_lingers_next_to_a_saddle_refutes_nothing():
    # The margin along a flow with five classes of two samples in four dimensions, at times a factor of root 2 apart: on a
    # plateau at 0.144, which it leaves for the limit 0.1768 after longer than it was followed; and on the way there.
    plateau = [0.1317, 0.13607496, 0.13841771, 0.13980793, 0.14069924, 0.14131071]
    plateau += [0.14175951, 0.14212547, 0.14246168, 0.14280966, 0.1432094, 0.14370458, 0.14434685]
    coming = [0.13946064, 0.14337165, 0.14635777, 0.14915084, 0.15206472, 0.15519626]
    coming += [0.1584841, 0.1617633, 0.16506939, 0.16844533, 0.1718317, 0.17518034, 0.17676239]
    times = 6400.0 * 2.0 ** np.arange(-6.0, 0.5, 0.5)
    limit = 1 / (4 * 2**0.5)
    for curve in (plateau, coming, np.geomspace(0.1, 0.11, 13)):
        curve = np.array([curve])
        asked = checked("limit", curve, 0 * curve, [limit], times=times, vanishing=lambda t: 1.0 / t)
        assert asked.seeds.size == 0
    even = np.arange(1.0, 13.0)
    for rate in (0.0, 0.01, 0.5):
        leaving = 0.2 + 1e-4 * (even if rate == 0 else np.exp(rate * even))[None, :]
        assert checked("limit", leaving, 0 * leaving, [0.3], times=even, vanishing="geometric").seeds.size == 0
    approaching = 0.3 - 0.1 * np.exp(-0.4 * even)[None, :]
    known = checked("limit", approaching, 0 * approaching, [0.3], times=even, vanishing="geometric")
    assert known.seeds.size == 1
    assert not known.violated.any()
