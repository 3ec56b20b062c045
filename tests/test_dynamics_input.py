"""Theorems about paths: wrong input by name, and the command that draws their curves."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

import nctheory as nct
from nctheory.cli import main
from nctheory.report import animate_features, load_results, write_report


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nct.theorems.TrajectorySpec((1.0, 1.0)), "times: expected numbers that increase"),
        (lambda: nct.theorems.TrajectorySpec((0.5, 1.0), rate=0.1), "times: of a descent expected whole numbers"),
        (
            lambda: nct.theorems.TrajectorySpec((1.0,), initial_scales=(0.1, 0.2, 0.3, 0.4)),
            "initial_scales: expected at least four multiples",
        ),
        (lambda: nct.dynamics("ufm-ce-balanced"), "theorem: 'ufm-ce-balanced' is not about paths"),
        (lambda: nct.dynamics("saxe-2layer", instance=99), "instance: expected 0 to 11 for saxe-2layer, got 99"),
        (lambda: animate_features("x.png"), "path: expected a file name that ends in .gif"),
    ],
)
def test_wrong_input_about_paths_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_theorem_mixes_no_claims_about_paths_with_others():
    theorem = nct.theorems.find_theorem("saxe-2layer")
    other = nct.theorems.find_theorem("ufm-mse-nobias")
    with pytest.raises(ValueError, match="method: Integrate of theorem 'saxe-2layer' with a claim about points"):
        dataclasses.replace(theorem, claims=(*theorem.claims, other.claims[1]))
    with pytest.raises(ValueError, match="method: Solve of theorem 'ufm-mse-nobias' with a claim about paths"):
        dataclasses.replace(other, claims=(*other.claims, theorem.claims[0]))
    bare = dataclasses.replace(
        theorem, instances=lambda key: [dataclasses.replace(theorem.instances(key)[0], trajectory=None)]
    )
    with pytest.raises(ValueError, match="trajectory: an instance of a theorem about paths"):
        nct.verify(bare, seeds=1, instance=0)


@pytest.mark.slow
def test_the_command_draws_curves_and_the_report_shows_them(tmp_path, capsys):
    assert main(["dynamics"]) == 0
    assert "braun-riccati" in capsys.readouterr().out
    assert main(["dynamics", "mixon-mse-gf", "--seeds", "4", "--out", str(tmp_path / "mixon")]) == 0
    assert "4 of 4 paths followed and sound; paths: conserved quantities drift by" in capsys.readouterr().out
    assert {one.name for one in (tmp_path / "mixon").iterdir()} == {
        f"dynamics.{x}" for x in ("json", "png", "svg", "pdf")
    }
    assert main(["dynamics", "nothing"]) == 2
    assert main(["dynamics", "ufm-ce-balanced"]) == 2
    assert "is not about paths" in capsys.readouterr().err
    assert len(load_results(tmp_path).dynamics) == 1
    page = write_report(tmp_path).files[0].read_text()
    assert "mixon-mse-gf" in page
    assert "Bands hold 90 % of the seeds" in page


@pytest.mark.slow
def test_features_move_to_the_simplex_in_an_animation(tmp_path):
    from PIL import Image

    file = animate_features(tmp_path / "features.gif", frames=5)
    with Image.open(file) as image:
        assert getattr(image, "n_frames", 1) == 5
    assert [one.name for one in tmp_path.iterdir()] == ["features.gif"]


@pytest.mark.slow
def test_controls_of_conserved_quantities_know_unequal_decays():
    """N10: the balance is conserved neither under unequal decays nor by finite steps."""
    unequal = nct.deep_linear(widths=(3, 3, 3), counts=(2, 1, 1), loss="mse", weight_decay=(0.3, 0.1, 0.2))
    starts = nct.starts(unequal, seeds=2)

    def balance(problem, params):
        low, up = params.weights
        return up.T @ up - low @ low.T

    moved = nct.gradient_flow(unequal, starts, [1e-9, 3.0], observe=balance).values
    assert np.all(np.linalg.norm(moved[:, 1] - moved[:, 0], axis=(1, 2)) > 1e-2)
    equal = nct.deep_linear(widths=(3, 3, 3), counts=(2, 1, 1), loss="mse", weight_decay=(0.0,) * 3)
    stepped = nct.gradient_descent(equal, starts, [0, 30], 0.2, observe=balance).values
    assert np.all(np.linalg.norm(stepped[:, 1] - stepped[:, 0], axis=(1, 2)) > 1e-3)
    assert jnp.isnan(nct.gradient_flow(unequal, starts, [1.0], observe=balance).drift).all()
