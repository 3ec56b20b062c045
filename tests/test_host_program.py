"""What a host program meets that has set nothing: 32-bit defaults, folders that are missing, laws of starts of its own."""

import dataclasses
import functools
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import nctheory as nct
from nctheory.engine import in_float64, map_in_blocks
from nctheory.theorems._narrow import narrow_arrays
from tests import picture_samples


@pytest.mark.parametrize("name", ["hong-ling-ce", "ufm-mse-bias-imbalanced", "mlab-pal", "ufm-ce-balanced"])
def test_instances_and_predictions_are_float64_in_a_program_of_32_bits(name):
    theorem = nct.theorems.find_theorem(name)
    wide = theorem.instances(jax.random.key(0))[0]
    at_hand = theorem.predict(wide.problem)
    with jax.enable_x64(False), jax.numpy_dtype_promotion("standard"):
        problem = theorem.instances(jax.random.key(0))[0].problem
        found = theorem.predict(problem)
        wrong = theorem.controls[0].predict
        if wrong is not None:
            assert all(np.asarray(x).dtype != np.float32 for x in jax.tree.leaves(wrong(problem)))
    jax.tree.map(np.testing.assert_array_equal, problem, wide.problem)
    jax.tree.map(np.testing.assert_array_equal, found, at_hand)


def test_nothing_is_kept_in_32_bits_by_what_a_program_imports(tmp_path):
    """A constant that a file computes where it is imported has the precision that the program has then."""
    looks = """
    import importlib, pkgutil
    import jax, nctheory, proofs_numeric
    kept = {}
    for package in (nctheory, proofs_numeric):
        for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
            if module.name.endswith((".template", "__main__")):
                continue
            importlib.import_module(module.name)
            for array in jax.live_arrays():
                if array.dtype.itemsize < 8 and array.dtype.kind in "fiuc":
                    kept.setdefault(str(array.dtype), module.name)
    assert not jax.config.jax_enable_x64
    print(kept)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(looks)], capture_output=True, text=True, check=True, cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(nct.__file__).parents[1])},
    )  # fmt: skip
    assert done.stdout.strip() == "{}"


def test_a_theorem_file_is_imported_in_float64(tmp_path):
    """Its constants, and those of the catalogue's files that are imported before it."""
    file = tmp_path / "third.py"
    text = (Path(nct.__file__).parents[1] / "proofs_numeric" / "template.py").read_text()
    file.write_text(text.replace('"ridge-regression"', '"ridge-third"') + "\nTHIRD = jnp.asarray(1.0) / 3.0\n")
    with jax.enable_x64(False), jax.numpy_dtype_promotion("standard"):
        (theorem,) = nct.theorems.load_theorem_file(file)
    assert theorem.id == "ridge-third"
    assert sys.modules["_theorem_file_third"].THIRD.dtype == np.float64


@pytest.mark.slow
def test_a_failure_by_a_constant_of_single_precision_is_told_to_be_one():
    """A formula that holds 0.1 to seven digits fails, and the verdict names the constant; nothing is said of what holds."""
    right = nct.catalogue()["ufm-mse-nobias"]
    first = right.claims[0]
    assert isinstance(first, nct.GlobalValue)
    with jax.enable_x64(False):
        tenth = jnp.asarray(0.1)

    def predicted(minimum):
        return first.predicted(minimum) * (10.0 * jnp.asarray(tenth, float))

    def theorem(predicted):
        changed = dataclasses.replace(first, predicted=predicted)
        return dataclasses.replace(right, claims=(changed, *right.claims[1:]))

    told = [
        [
            reason
            for reason in nct.verify(theorem(one), quick=True, seeds=4, instance=0).reasons
            if "precision" in reason
        ]
        for one in (predicted, lambda minimum: first.predicted(minimum) * 1.1)
    ]
    assert [len(reasons) for reasons in told] == [1, 0]
    assert told[0][0].startswith("'tenth': a JAX array of single precision is used by what fails")
    found = nct.falsify(theorem(predicted), seconds=60, trials=1, key=0)
    assert found.outcome == "refuted"
    assert found.reason == told[0][0]


def test_where_constants_of_single_precision_are_looked_for():
    with jax.enable_x64(False):
        narrow = jnp.arange(3.0)
    wide = jnp.arange(3.0)
    assert (narrow.dtype, wide.dtype) == (np.float32, np.float64)

    def closed(x):
        return x + narrow

    def defaulted(x, shift=narrow):
        return closed(x) + shift

    def unfinished(x):
        return x + later

    holders = (
        closed,
        defaulted,
        functools.partial(max, key=closed),
        {"shift": (narrow,)},
        [functools.partial(closed, narrow)],
    )
    for holder in holders:
        assert narrow_arrays(holder)
    assert narrow_arrays(closed, closed, {"shift": narrow}) == ("narrow", "shift")
    for holder in (unfinished, lambda x: x + wide, (1.0, "a", None), np.float32(1.0), nct.verify, max):
        assert narrow_arrays(holder) == ()
    later = narrow
    assert narrow_arrays(unfinished) == ("later",)


def test_a_theorem_changed_in_part_keeps_its_other_functions():
    """A prediction that `verify` has compiled is compiled once, whatever else of the theorem is replaced."""
    theorem = nct.theorems.find_theorem("ufm-ce-balanced")
    assert dataclasses.replace(theorem, seeds=3).predict is theorem.predict


class Doubled(nct.problems.Starts):
    def __call__(self, problem, key, scale):
        return problem.normal_start(key, 2.0 * scale)


@pytest.mark.parametrize("form", [nct.problems.reduce_to_class_means, nct.problems.moment_form])
def test_a_law_of_starts_is_not_dropped(form):
    problem = nct.unconstrained_features(counts=(40, 40), dim=3, loss="mse", weight_decay=(0.1, 0.1))
    with pytest.raises(ValueError, match=r"problem: .* law of starts Doubled draws.*with_starts\(None\)"):
        form(problem.with_starts(Doubled()))
    assert form(problem.with_starts(Doubled()).with_starts(None)).starts is None


def test_no_items_are_no_error():
    found = map_in_blocks(lambda x: (x**2, x[0]), jax.numpy.zeros((0, 3)))
    assert [part.shape for part in found] == [(0, 3), (0,)]


@pytest.mark.parametrize("total", [1.0, 3.0])
def test_a_recentred_dual_has_no_weighted_mean(total, rng):
    """Whatever the weights of the columns sum to."""
    loss = nct.problems.MeanSquaredError()
    weights = jax.numpy.asarray(rng.uniform(0.1, 1.0, 5))
    weights = total * weights / weights.sum()
    moved = loss.recentre(jax.numpy.asarray(rng.normal(size=(4, 5))), jax.numpy.zeros((4, 5)), weights)
    np.testing.assert_allclose(moved @ weights, 0.0, atol=1e-15)


def test_a_file_in_a_folder_that_is_missing_is_named_before_anything_is_computed(tmp_path):
    sweep, verdict = picture_samples.sweep({"decay": (0.1, 0.2)}), picture_samples.verdict()
    missing = tmp_path / "missing"
    for write, name in (
        (lambda path: nct.plot(sweep, path), "figure.pdf"),
        (sweep.to_netcdf, "data.nc"),
        (sweep.to_parquet, "data.parquet"),
        (verdict.to_json, "verdict.json"),
        (nct.report.animate_features, "features.gif"),
    ):
        with pytest.raises(ValueError, match=r"path: expected a file in a folder that exists, got '.*missing"):
            write(missing / name)
    assert not missing.exists()


def test_what_is_wrapped_around_a_function_in_float64_is_wrapped_too():
    """Wrappers copy the attributes of what they wrap, and must not be taken for it."""
    third = in_float64(lambda x: jax.numpy.asarray(x) / 3)
    with jax.enable_x64(False), jax.numpy_dtype_promotion("standard"):
        for wrapper in (jax.jit, jax.vmap, jax.value_and_grad):
            given = np.ones(2) if wrapper is jax.vmap else 1.0
            found = jax.tree.leaves(in_float64(wrapper(third))(given))
            assert [np.asarray(x).dtype for x in found] == [np.float64] * len(found)
    assert in_float64(third) is third
