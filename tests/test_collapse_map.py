"""The map of neural collapse behind ReLUs: its descent against the library's objective, its cells, its files."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import nctheory as nct
from proofs_numeric.nonlinear import collapse_map, map_cells
from proofs_numeric.nonlinear.arcs import arc, arc_cost, arc_network, head, head_cost
from proofs_numeric.nonlinear.low_rank import collapsed, objective
from proofs_numeric.nonlinear.map_picture import tables


def test_value_and_slope_are_those_of_the_model(rng):
    classes, depth, lam = 4, 3, 0.01
    factors = map_cells.random_start(classes, depth, rng)
    vector = np.concatenate([factor.ravel() for factor in factors])
    value, slope = map_cells.value_and_slope(vector, [factor.shape for factor in factors], lam)
    width = map_cells.width_of(classes)
    problem = nct.deep_nonlinear(
        widths=(width,) * depth + (classes,), counts=(1,) * classes, loss="mse", weight_decay=(lam,) * (depth + 1)
    )
    with jax.enable_x64(True):
        point = nct.problems.ChainParams(tuple(map(jnp.asarray, factors[1:])), jnp.asarray(factors[0]), None)
        told, gradient = problem.value_and_grad(point)
    assert abs(value - float(told)) < 1e-14
    assert abs(objective(factors, lam) - value) < 1e-14
    expected = np.concatenate([np.ravel(gradient.features), *(np.ravel(w) for w in gradient.weights)])
    assert np.allclose(slope, expected, atol=1e-13)


def test_what_neural_collapse_costs_and_where_it_stops():
    for classes, depth in ((2, 2), (3, 4), (6, 3)):
        onset = collapse_map.onset_decay(classes, depth)
        linear = nct.deep_linear(
            widths=(classes,) * (depth + 1),
            counts=(1,) * classes,
            loss="mse",
            weight_decay=(0.3 * onset,) * (depth + 1),
        )
        told = float(nct.global_minimum(linear).value)
        assert abs(collapse_map.collapse_value(classes, depth, 0.3 * onset) - told) < 1e-14
        assert collapse_map.collapse_value(classes, depth, 1.001 * onset) == 0.5
        assert collapse_map.collapse_value(classes, depth, 0.999 * onset) < 0.5


@pytest.mark.parametrize(("classes", "cost"), [(4, 10.07), (5, 20.32)])
def test_points_of_an_arc_are_told_apart(classes, cost):
    # No more than the cost that was found before by other means, for a network that puts out the identity.
    directions, outputs = head(classes)
    assert np.allclose(outputs @ np.maximum(directions @ arc(classes), 0.0), np.eye(classes), atol=1e-13)
    assert head_cost(classes) < cost
    network = arc_network(classes, 6)
    assert np.allclose(network.outputs(), np.eye(classes), atol=1e-13)
    assert abs(network.cost - arc_cost(classes, 6)) < 1e-12
    assert np.linalg.matrix_rank(np.maximum(network.weights[0] @ network.features, 0.0)) == 2


def test_from_five_layers_on_rank_two_lies_below_collapse():
    for classes in range(3, 13):
        shares = [arc_cost(classes, depth) / collapsed(classes, depth).cost for depth in range(5, 40)]
        assert shares[0] < 1
        assert np.all(np.diff(shares) < 0)
        assert abs(arc_cost(classes, 100_000) / collapsed(classes, 100_000).cost - 2 / classes) < 1e-3


def test_a_budget_of_nothing_is_refused(tmp_path, capsys):
    with pytest.raises(SystemExit) as refused:
        collapse_map.main(["--out", str(tmp_path), "--short", "0"])
    assert refused.value.code == 2
    assert "--long, --short and --passes: expected whole numbers of at least 1" in capsys.readouterr().err


@pytest.mark.slow
def test_a_small_map_is_written_checked_and_read(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(collapse_map, "DECAYS", (0.95, 0.01))
    monkeypatch.setattr(map_cells, "RANDOM_STARTS", 1)
    folder = tmp_path / "map"
    arguments = ["--out", str(folder), "--classes", "2", "3", "--layers", "4", "--picture", str(tmp_path / "map.png")]
    assert collapse_map.main(arguments) == 0
    assert "evaluated again: 0.0e+00" in capsys.readouterr().out
    classes, layers, ratio, zero = tables(folder)
    assert (classes, layers) == ([2, 3], [4])
    assert abs(ratio[0, 0] - 1.0) < 1e-6
    assert ratio[0, 1] < 0.9785
    assert abs(zero[0, 0] - 1.0) < 1e-3
    assert zero[0, 1] > 1.05
    assert (tmp_path / "map.png").stat().st_size > 10_000
    # The same command goes on from what is there: it has nothing left to do, and with one class more does that class alone.
    before = json.loads((folder / "map.json").read_text())
    assert collapse_map.main([*arguments, "--passes", "2"]) == 0
    assert json.loads((folder / "map.json").read_text()) == before
    capsys.readouterr()
    more = [argument for argument in arguments if argument != "2"]
    assert collapse_map.main([*more[:4], "4", *more[4:], "--short", "5", "--long", "5", "--passes", "1"]) == 0
    after = json.loads((folder / "map.json").read_text())
    assert [row for row in after["cells"] if row["classes"] < 4] == before["cells"]
    assert {row["classes"] for row in after["cells"]} == {2, 3, 4}
    assert capsys.readouterr().out.count("L = 4") == 1
    # A network that is not the one of the table is seen.
    saved = dict(np.load(folder / "networks.npz"))
    name = next(iter(saved))
    saved[name] = saved[name] * 1.1
    np.savez_compressed(folder / "networks.npz", **saved)
    assert collapse_map.check(folder) > 1e-6
    rows = json.loads((folder / "map.json").read_text())["cells"]
    assert {row["below"] for row in rows if row["classes"] == 2} == {False}
    assert {row["below"] for row in rows if row["classes"] == 3} == {True}
