"""Nearest-mean bounds of trained networks and in the theorems on them: held by populations, broken by training sets."""

import dataclasses
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import nctheory as nct
from nctheory import generalisation as gen
from nctheory import networks
from nctheory.networks import nearest_mean_bounds
from nctheory.report import _nearest_mean
from nctheory.report._style import house_style
from proofs_numeric.generalisation import directional_cdnv, nearest_mean_cantelli, task_orthogonality
from proofs_numeric.generalisation.populations import labels_of
from tests.helpers import unchecked_types


@pytest.fixture(scope="module")
def overfit():
    """Four samples a class in thirty dimensions: the network fits them, and their features collapse."""
    data = nct.networks.gaussian_mixture(counts=(4,) * 3, dim=30, spread=0.35, test=60)
    network = nct.networks.network_on(data, (12, 12), loss="mse", weight_decay=1e-3, linear=2)
    return nct.networks.train(network, seeds=3, steps=500), data


@pytest.mark.slow
def test_moments_of_the_population_bound_its_errors_and_those_of_the_training_set_do_not(overfit):
    trained, data = overfit
    found = nearest_mean_bounds(trained, data, shots=(1, 20), draws=300)
    assert found.layers == ("inputs", "layer 1", "layer 2")
    assert found.violations == 0
    assert np.all(found.error <= found.bound)
    # The trap: in the last layer the training set promises next to nothing, and the error is a tenth or more.
    assert np.all(trained.error == 0)
    assert np.all(found.plug_in[:, -1] < 0.01)
    assert np.all(found.error[:, -1] > 0.1)
    assert np.all(found.low[:, -1] > found.few_shot_plug_in[:, -1])
    assert found.plug_in_violations >= 3 * 3
    # Bounds of one shot say nothing here, and are marked.
    assert found.few_shot_vacuous[..., 0].all()
    assert found.guessing == pytest.approx(2 / 3)
    # The error of the population means by a library.
    from sklearn.neighbors import NearestCentroid

    point = jax.tree.map(lambda leaf: leaf[1], trained.params)
    with jax.enable_x64(True):
        last = np.asarray(trained.network.layers_of(point, data.test_inputs.T)[2]).T
    classifier = NearestCentroid().fit(last, data.test_labels)
    assert found.error[1, 2] == pytest.approx(np.mean(classifier.predict(last) != data.test_labels), abs=1e-12)
    assert found.bound[1, 2] == pytest.approx(gen.cantelli_bound(gen.population_moments(last, data.test_labels)).total)


@pytest.mark.slow
def test_a_diverged_seed_is_left_out_and_counts_nowhere(overfit):
    trained, data = overfit
    value = trained.value.copy()
    value[0] = np.nan
    found = nearest_mean_bounds(trained._replace(value=value), data, shots=(5,), draws=20)
    assert np.isnan(found.error[0]).all()
    assert np.isnan(found.few_shot[0]).all()
    assert np.isfinite(found.error[1:]).all()
    whole = nearest_mean_bounds(trained, data, shots=(5,), draws=20)
    np.testing.assert_array_equal(found.low[1:], whole.low[1:])
    assert found.plug_in_violations < whole.plug_in_violations
    with pytest.raises(ValueError, match="trained: expected a seed whose training stayed finite"):
        nearest_mean_bounds(trained._replace(value=value * np.nan), data)
    bare = dataclasses.replace(data, test_inputs=data.test_inputs[:60], test_labels=data.test_labels[:60])
    for wrong, message in (
        ({"data": bare}, "data: expected test samples of all 3 classes, got none of class 1"),
        ({"data": data.only(0, 1)}, "data: expected one label a sample of 3 classes, got 2"),
        ({"shots": (0,)}, r"shots\[0\]: expected a whole number"),
        ({"draws": 1}, "draws: expected a whole number of at least 2"),
    ):
        with unchecked_types(), pytest.raises(ValueError, match=message):
            nearest_mean_bounds(trained, **{"data": data, **wrong})


def points(theorem, number=2) -> Iterator[tuple[Any, Any]]:
    """Problems of a theorem with a few of their starts."""
    for instance in theorem.draw(jax.random.key(5)):
        for seed in range(number):
            yield instance.problem, instance.problem.init(jax.random.key(seed), jnp.asarray(1.0))


@pytest.mark.slow
def test_the_formulas_of_the_theorems_are_those_of_the_room():
    with jax.enable_x64(True):
        for problem, point in points(directional_cdnv.THEOREM):
            moments = gen.population_moments(point.features.T, labels_of(problem))
            for told, own in (
                (directional_cdnv.score_moments(problem, point)[1], gen.score_moments(moments, problem.shots)[1]),
                (directional_cdnv.pair_bounds(problem, point), gen.few_shot_bound(moments, problem.shots).pairs),
                (
                    directional_cdnv.chebyshev_bounds(problem, point),
                    gen.directional_cdnv_bound(moments, problem.shots).pairs,
                ),
            ):
                np.testing.assert_allclose(told, own, rtol=1e-9, atol=1e-13)
        for problem, point in points(nearest_mean_cantelli.THEOREM):
            moments = gen.population_moments(point.features.T, labels_of(problem))
            np.testing.assert_allclose(
                nearest_mean_cantelli.pair_bounds(problem, point),
                gen.cantelli_bound(moments).pairs,
                rtol=1e-12,
                atol=1e-15,
            )


def test_arranged_starts_attain_their_bounds_and_the_tasks_are_balanced():
    with jax.enable_x64(True):
        attained = {}
        for instance in directional_cdnv.THEOREM.draw(jax.random.key(1)):
            point = instance.problem.init(jax.random.key(0), jnp.asarray(1.0))
            bound = np.asarray(directional_cdnv.pair_bounds(instance.problem, point))
            ratio = np.asarray(directional_cdnv.pair_errors(instance.problem, point)) / np.where(bound > 0, bound, 1.0)
            attained[instance.parameters["starts"]] = ratio.max()
        assert attained["triangle"] == pytest.approx(1.0, abs=1e-6)
        assert attained["normal"] < 0.9
        assert all(map(task_orthogonality.balanced, task_orthogonality.THEOREM.draw(jax.random.key(1))))
        # A task that depends on the other outside: the hypothesis sees unequal numbers of pairs.
        (same,) = task_orthogonality.draw_dependent(jax.random.key(0))
        assert not task_orthogonality.balanced(same)


def test_the_picture_marks_each_bound_that_an_error_exceeds(tmp_path):
    """Two seeds and two layers by hand, one seed lost: a cross where the training set's bound is below the error."""
    lost, shape = np.nan, (2, 2, 1)
    error = np.array([[0.2, 0.3], [lost, lost]])
    plug_in = np.array([[0.4, 0.1], [lost, lost]])
    found = networks.NearestMeanBounds(
        ("inputs", "layer 1"), (1,), error, 2 * error, plug_in, error.reshape(shape), error.reshape(shape),
        error.reshape(shape), 2 * error.reshape(shape), 2 * error.reshape(shape), plug_in.reshape(shape), 2 / 3,
    )  # fmt: skip
    assert found.plug_in_violations == 2
    with house_style():
        figure = _nearest_mean.draw_nearest_mean(found)
    for panel, heading in zip(figure.axes, ("means of all samples", "means of 1 sample"), strict=True):
        (crosses,) = (line for line in panel.lines if line.get_label() == "exceeded by the error")
        np.testing.assert_array_equal(crosses.get_xydata(), [[1, 0.1]])
        assert heading in panel.get_legend().get_title().get_text()
    assert nct.plot(found, tmp_path / "bounds.png").stat().st_size > 1000
    with pytest.raises(ValueError, match="bounds: expected a seed whose training stayed finite"):
        nct.plot(found._replace(error=error * np.nan), tmp_path / "none.png")
