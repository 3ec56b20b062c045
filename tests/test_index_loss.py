"""Index against loss: exact layers of spin glasses by other ways, chains against their lists, the command and bad input."""

import json
import math

import numpy as np
import pytest
from scipy.integrate import quad

import nctheory as nct
from nctheory.cli import main
from nctheory.landscape import _index_loss

C, L = nct.closed_form, nct.landscape


def test_layers_are_those_of_the_literature():
    """Auffinger, Ben Arous and Cerny's numbers."""
    for k, told in enumerate((1.656998, 1.652873, 1.650253, 1.648399, 1.646999, 1.645893)):
        assert C.spin_glass_layer(3, k) == pytest.approx(told, abs=6e-7)
    for degree, told in ((4, 1.794085), (5, 1.887989), (10, 2.135364)):
        assert C.spin_glass_layer(degree) == pytest.approx(told, abs=6e-7)
    assert C.spin_glass_layer(3, 5000) == pytest.approx(C.spin_glass_edge(3), abs=3e-4)


@pytest.mark.parametrize("degree", [3, 4, 10])
def test_the_complexity_is_a_large_deviation_of_eigenvalues(degree):
    """Of (k+1) eigenvalues beyond the edge -2 at x = 2u/E_inf each costs half the integral of sqrt(t^2 - 4) from 2 to -x."""
    edge = C.spin_glass_edge(degree)
    for index, energy in ((0, -1.2 * edge), (2, -1.05 * edge)):
        rate = 0.5 * quad(lambda t: math.sqrt(max(t**2 - 4.0, 0.0)), 2.0, -2.0 * energy / edge)[0]
        told = 0.5 * math.log(degree - 1) - (degree - 2) / (4 * (degree - 1)) * energy**2 - (index + 1) * rate
        assert C.spin_glass_complexity(energy, degree, index) == pytest.approx(told, abs=1e-9)
    # It has no jump at the edge, as the printed constant would make.
    below, above = (C.spin_glass_complexity(-edge * (1 + x), degree) for x in (1e-9, -1e-9))
    assert below == pytest.approx(above, abs=1e-7)


def test_the_share_of_the_index_is_a_part_of_a_semicircle():
    for degree, energy in ((3, -1.2), (4, 0.3), (6, -0.9)):
        radius = 2.0 * math.sqrt(degree * (degree - 1.0))
        below = degree * energy / radius
        share = quad(lambda x: 2.0 / math.pi * math.sqrt(1.0 - x**2), -1.0, below)[0]
        assert C.spin_glass_index_share(energy, degree) == pytest.approx(share, abs=1e-9)
    assert C.spin_glass_index_share(2.0, 3) == 1.0


def told(**change):
    """A landscape of four points."""
    height, share = np.array([0.0, 0.4, 0.7, 1.0]), np.array([0.0, 0.1, 0.0, 0.3])
    index = np.array([0, 1, 0, 3])
    whole = {"share": share, "height": height, "index": index, "value": height, "count": np.ones(4, int)}
    return L.IndexLoss("a", **(whole | change), starts=4)


def test_order_and_the_highest_minimum():
    found = told()
    # Five pairs differ in both, of which (0.4, 0.7) falls.
    assert found.order == pytest.approx((4 - 1) / 5)
    assert found.highest_minimum == 0.7
    assert math.isnan(told(share=np.zeros(4)).order)
    assert math.isnan(told(index=np.ones(4, int)).highest_minimum)


@pytest.mark.slow
def test_chains_of_one_layer_rise_and_those_of_two_have_high_minima():
    one, two = (
        L.chain_index_loss(
            nct.deep_linear(widths=(2,) * (m + 1), counts=(2, 1), loss="mse", weight_decay=(0.05,) * (m + 1)), starts=80
        )
        for m in (1, 2)
    )
    # Exact: heights of the list, and indices of two factors, 2 r (d - r) over pairs of off and on directions, by hand.
    assert (one.listed, one.missing, one.extra, one.order) == (4, 0, 0, 1.0)
    assert one.height[[0, -1]].tolist() == pytest.approx([0.0, 1.0], abs=1e-9)
    assert (one.highest_minimum, one.index.tolist()) == (pytest.approx(0.0, abs=1e-9), [0, 1, 2, 4])
    assert (two.listed, two.extra) == (9, 0)
    assert two.highest_minimum == pytest.approx(1.0, abs=1e-9)
    assert two.order < 0.9


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: C.spin_glass_edge(2), "degree: expected a whole number of at least 3, got 2"),
        (lambda: C.spin_glass_layer(3, -1), "index: expected a whole number of at least 0"),
        (lambda: C.spin_glass_complexity(math.nan, 3), "energy: expected a finite number, got nan"),
        (lambda: C.spin_glass_index_share(math.inf, 3), "energy: expected a finite number, got inf"),
        (lambda: L.glass_index_loss(1, 3), "size: expected a whole number of at least 2"),
        (lambda: L.glass_index_loss(3, 2), "degree: expected a whole number of at least 3"),
        (lambda: L.glass_index_loss(3, 3, disorders=0), "disorders: expected a whole number of at least 1"),
        (
            lambda: L.chain_index_loss(
                nct.unconstrained_features(counts=(2, 1), dim=2, loss="mse", weight_decay=(9.0, 9.0))
            ),
            "problem: expected a chain whose global minimum is not zero",
        ),
        (
            lambda: L.chain_index_loss(
                nct.unconstrained_features(counts=(2, 1), dim=2, loss="cross_entropy", weight_decay=(0.1, 0.1))
            ),
            "squared error|mse",
        ),
    ],
)
def test_wrong_arguments(call, words):
    with pytest.raises(ValueError, match=words):
        call()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--glass", "8"], "--glass: expected N,P with N of at least 2 and P of at least 3, got '8'"),
        (["--glass", "8,2"], "--glass: expected N,P"),
        (["--counts", "4"], "--counts: expected samples of two classes or more"),
        (["--layers", "0"], "--layers: expected different whole numbers"),
        (["--layers", "x"], "--layers: expected whole numbers separated by commas, got 'x'"),
        (["--starts", "0"], "--starts: expected at least 1, got 0"),
        (["--decay", "-1"], "weight_decay"),
        (["--figure", "a.txt"], "--figure: expected a file name that ends in .png"),
    ],
)
def test_wrong_use_of_the_command(arguments, words, capsys):
    assert main(["index-loss", *arguments]) == 2
    assert words in capsys.readouterr().err


def test_the_command_prints_and_writes(tmp_path, capsys, monkeypatch):
    def of_chain(problem, starts, key, name):
        return told()._replace(name=name, listed=5, missing=0)

    monkeypatch.setattr(L, "chain_index_loss", of_chain)
    monkeypatch.setattr(L, "glass_index_loss", lambda *given, progress: told())
    files = [str(tmp_path / f"told.{name}") for name in ("json", "png")]
    assert main(["index-loss", "-q", "--json", files[0], "--figure", files[1]]) == 0
    said = capsys.readouterr().out
    assert "chain, 2 layers" in said
    assert "E_inf = 1.632993" in said
    data = json.loads((tmp_path / "told.json").read_text())
    assert [one["name"] for one in data["chains"]] == ["chain, 1 layer", "chain, 2 layers"]
    assert data["glass"]["order"] == pytest.approx(0.6)
    assert (tmp_path / "told.png").read_bytes().startswith(b"\x89PNG")
    monkeypatch.setattr(
        L, "chain_index_loss", lambda problem, starts, key, name: told()._replace(listed=5, missing=0, extra=1)
    )
    assert main(["index-loss", "-q"]) == 3
    assert "1 types are not on the complete list" in capsys.readouterr().out


def test_points_opposite_to_those_found_are_added_once():
    """Of odd degree: of three directions a minimum, its own maximum and a saddle were found; the other saddle is added."""
    value, index = np.array([-1.0, 1.0, -0.2]), np.array([0, 3, 1])
    found = told(value=value, index=index, share=index / 3, height=1.0 + value / 2.0, count=np.array([5, 1, 2]))
    whole = _index_loss._mirrored(found, 3, 2.0)
    assert whole.value.tolist() == [-1.0, 1.0, -0.2, 0.2]
    assert whole.index.tolist() == [0, 3, 1, 2]
    assert whole.count.tolist() == [5, 1, 2, 0]
    np.testing.assert_allclose(whole.height, 1.0 + whole.value / 2.0)
    np.testing.assert_allclose(whole.share, whole.index / 3)
    # A point whose opposite is of another index is not that opposite.
    assert len(_index_loss._mirrored(found._replace(index=np.array([0, 2, 1])), 3, 2.0).value) == 6
