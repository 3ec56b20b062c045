"""Steps of the optimisers against plain loops, checkpoints, interrupted trainings, and the polish."""

from typing import Any

import jax
import numpy as np
import optax
import pytest

import nctheory as nct
from nctheory import networks

MIXTURE = networks.gaussian_mixture(counts=(6, 6, 6), dim=4, spread=0.2, test=5, key=2)


def small(**change: Any):
    return networks.network_on(MIXTURE, (6, 5), **{"weight_decay": 0.02, **change})


def test_adam_with_a_decay_beside_the_gradient_is_that_of_a_plain_loop():
    """x <- x - r (m/(sqrt(v) + 1e-8) + decay x), moments corrected for their start, with the gradient of the fit alone."""
    network, steps, rate = small(bias=True), 25, 0.03
    found = networks.train(network, [4], steps=steps, rate=rate, schedule="cosine", decoupled=True)
    point = jax.tree.map(lambda x: np.asarray(x[0]), nct.starts(network, [4]))
    first = second = jax.tree.map(np.zeros_like, point)
    for i in range(steps):
        now = rate * 0.5 * (1 - np.cos(np.pi * (steps - i) / steps))
        slope = jax.tree.map(np.asarray, jax.grad(network.fit)(point))
        first = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, first, slope)
        second = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g**2, second, slope)
        at = i + 1
        point = jax.tree.map(
            lambda x, m, v, at=at, r=now: (
                x - r * (m / (1 - 0.9**at) / (np.sqrt(v / (1 - 0.999**at)) + 1e-8) + 0.02 * x)
            ),
            point, first, second,
        )  # fmt: skip
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x[0], y, rtol=1e-8, atol=1e-11), found.params, point)


def test_muon_moves_matrices_by_orthogonal_steps():
    """The first step of Muon, at rate one, has singular values of about one; biases move by Adam in Nesterov's form."""
    network = small(bias=True, weight_decay=0.0)
    found = networks.train(network, [0], steps=1, optimiser="muon", rate=1.0, schedule="constant")
    begun = nct.starts(network, [0])
    moved = jax.tree.map(lambda x, y: np.asarray(x[0] - y[0]), found.params, begun)
    for step in moved.weights:
        singular = np.linalg.svd(step, compute_uv=False)
        rank = int(np.sum(singular > 1e-9))
        scale = np.sqrt(max(1.0, step.shape[0] / step.shape[1]))
        assert rank >= 2
        assert np.all((singular[:rank] / scale > 0.6) & (singular[:rank] / scale < 1.3)), singular
    # m = 0.1 g, and the step is 0.9 m/(1 - 0.9^2) + 0.1 g/(1 - 0.9) over |g|.
    np.testing.assert_allclose(np.abs(moved.biases[-1]), 1.0 + 0.09 / 0.19, rtol=1e-4)


def test_minibatches_are_drawn_by_the_seed_and_the_step_alone():
    network = small()
    several = networks.train(network, [1, 3], steps=30, batch=5, optimiser="sgd")
    alone = networks.train(network, [3], steps=30, batch=5, optimiser="sgd")
    np.testing.assert_array_equal(several.params.weights[0][1], alone.params.weights[0][0])
    other = networks.train(network, [3], key=1, steps=30, batch=5, optimiser="sgd")
    assert not np.allclose(other.params.weights[0], alone.params.weights[0])
    point = jax.tree.map(lambda x: np.asarray(x[0]), nct.starts(network, [3]))
    first = networks.train(network, [3], steps=1, batch=5, optimiser="sgd", rate=0.1, schedule="constant")
    drawn = network.minibatch(jax.random.fold_in(jax.random.fold_in(jax.random.key(0), 3), 0), 5)
    slope = drawn.value_and_grad(point)[1]
    jax.tree.map(lambda x, y, g: np.testing.assert_allclose(x[0], y - 0.1 * g, rtol=1e-12), first.params, point, slope)


def test_checkpoints_are_the_points_that_training_passes():
    """The ends of shorter trainings at a constant rate are the checkpoints of a longer one, to the bit."""
    network = small()
    told = []
    whole = networks.train(
        network, [0, 7], steps=40, schedule="constant", checkpoints=(0, 13, 40), progress=told.append
    )
    short = networks.train(network, [0, 7], steps=13, schedule="constant")
    jax.tree.map(np.testing.assert_array_equal, whole.at(13).params, short.params)
    jax.tree.map(np.testing.assert_array_equal, whole.at(40).params, whole.params)
    jax.tree.map(
        np.testing.assert_array_equal, whole.at(0).params, jax.tree.map(np.asarray, nct.starts(network, [0, 7]))
    )
    assert whole.at(13).value.tolist() == short.value.tolist()
    assert told[-1].steps == 40
    assert told[-1].seen.value.tolist() == whole.value.tolist()
    features = networks.layer_metrics(whole)
    np.testing.assert_allclose(told[-1].seen.nc1, features.nc1[:, -1], rtol=1e-8)
    with pytest.raises(ValueError, match=r"step: expected a checkpoint of the training \(0, 13, 40\), got 14"):
        whole.at(14)


class _Interrupted(Exception):
    pass


def test_a_training_that_is_interrupted_goes_on_where_it_was(tmp_path, monkeypatch):
    """Killed twice, and continued by another choice of seeds, every seed ends where the undisturbed training ends."""
    monkeypatch.setattr("nctheory.networks._folder.SAVE_SECONDS", 0.0)
    network, asked = small(), {"steps": 60, "checkpoints": (5, 33), "batch": 6}
    undisturbed = networks.train(network, [0, 1, 2], **asked)

    def stop_after(steps):
        def watch(now):
            if now.steps >= steps:
                raise _Interrupted

        return watch

    for steps in (12, 39):
        with pytest.raises(_Interrupted):
            networks.train(network, [1, 2], folder=tmp_path, progress=stop_after(steps), **asked)
    resumed = networks.train(network, [0, 1, 2], folder=tmp_path, **asked)
    jax.tree.map(np.testing.assert_array_equal, resumed.params, undisturbed.params)
    for step in (5, 33):
        jax.tree.map(np.testing.assert_array_equal, resumed.at(step).params, undisturbed.at(step).params)
    # Nothing is trained again.
    monkeypatch.setattr("nctheory.networks._loop._segment", None)
    told = []
    again = networks.train(network, [2, 0], folder=tmp_path, progress=told.append, **asked)
    np.testing.assert_array_equal(again.value, undisturbed.value[[2, 0]])
    assert [now.steps for now in told] == [60], "what was trained before is not looked at again"


def test_a_folder_is_believed_only_of_the_very_training(tmp_path):
    network = small()
    done = networks.train(network, [0], steps=6, folder=tmp_path)
    for change, name in (
        ({"steps": 7}, "steps"),
        ({"rate": 0.1}, "rate"),
        ({"key": 1}, "key"),
        ({"batch": 3}, "batch"),
    ):
        with pytest.raises(ValueError, match=f"holds another training: its {name} is"):
            networks.train(network, [0], folder=tmp_path, **{"steps": 6, **change})
    with pytest.raises(ValueError, match="holds another training: its network is"):
        networks.train(small(weight_decay=0.03), [0], steps=6, folder=tmp_path)
    # One damaged byte, and the seed is trained anew.
    file = tmp_path / "seed-000000.state"
    raw = bytearray(file.read_bytes())
    raw[len(raw) // 2] ^= 1
    file.write_bytes(bytes(raw))
    again = networks.train(network, [0], steps=6, folder=tmp_path)
    np.testing.assert_array_equal(again.value, done.value)
    with pytest.raises(ValueError, match="folder: expected a named optimiser"):
        networks.train(network, 1, steps=6, optimiser=optax.adam(0.1), folder=tmp_path / "other")
    (tmp_path / "occupied").write_text("a file")
    with pytest.raises(ValueError, match="folder: cannot use"):
        networks.train(network, 1, steps=6, folder=tmp_path / "occupied")


def test_polish_ends_at_stationary_points_of_smooth_networks():
    """It reaches the gradient norm that was asked for, never ends higher, and leaves what diverged as it was."""
    network = small(activation="tanh")
    trained = networks.train(network, 3, steps=40)
    ends = networks.polish(trained, grad_norm=1e-8)
    assert np.all(ends.grad_norm < 1e-8)
    assert np.all(ends.value < trained.value)
    cut = networks.polish(trained, evaluations=3)
    assert np.all(cut.value <= trained.value)
    assert np.all(cut.grad_norm > 1e-8)
    lost = trained._replace(
        params=jax.tree.map(lambda x: np.where(np.arange(3).reshape(-1, 1, 1) == 1, np.nan, x), trained.params),
        value=np.where(np.arange(3) == 1, np.nan, trained.value),
    )
    found = networks.polish(lost, grad_norm=1e-8)
    assert np.array_equal(np.isfinite(found.value), [True, False, True])
    np.testing.assert_array_equal(found.value[[0, 2]], ends.value[[0, 2]])
    with pytest.raises(ValueError, match="grad_norm: expected a positive number"):
        networks.polish(trained, grad_norm=0.0)
