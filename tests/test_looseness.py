"""Maps of the looseness of few-shot bounds: truth by other ways, boundaries in closed form, false bounds, bad input."""

import json
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import betaincinv

import nctheory as nct
from nctheory.cli import main
from nctheory.generalisation import _round_classes as round_classes
from proofs_numeric.generalisation.gaussian_shots import gaussian_moments as of_two
from proofs_numeric.generalisation.gaussian_shots import shots_of

G = nct.generalisation


def band(wrong, trials, level=1e-9):
    """Clopper and Pearson's interval."""
    return betaincinv(wrong, trials - wrong + 1, level), betaincinv(wrong + 1, trials - wrong, 1 - level)


@pytest.fixture(scope="module")
def found():
    return G.looseness_map((9, 40), (1, 7, None), (2, 4), (0.15, 0.6), trials=2048)


def test_moments_are_those_of_the_theorem_and_of_a_large_sample():
    told = G.gaussian_moments(1.7, 6, 0.8, classes=2)
    with jax.enable_x64(True):
        for one, other in zip(told, of_two(shots_of(6, 3, 2, 1.7, 0.8)), strict=True):
            np.testing.assert_allclose(one, np.asarray(other), rtol=1e-12, atol=1e-12)
    many = G.gaussian_moments(1.7, 6, 0.8, classes=4)
    rng = np.random.default_rng(0)
    samples = (many.means[:, None, :] + 0.8 * rng.normal(size=(4, 40_000, 6))).reshape(-1, 6)
    seen = G.population_moments(samples, np.repeat(np.arange(4), 40_000))
    for name in ("distances", "variances", "along", "fourth", "products"):
        np.testing.assert_allclose(getattr(many, name), getattr(seen, name), rtol=0.04, atol=0.04, err_msg=name)


def test_the_sampler_agrees_with_integrals():
    # Of two classes the error is an integral; with very many shots it is that of known means, whatever the classes.
    trials = 40_000
    for noise, dim, shots, classes, exact in (
        (0.6, 9, 2, 2, G.exact_few_shot_error(1.0, 9, 2, 0.6)),
        (0.5, 1, 3, 2, G.exact_few_shot_error(1.0, 1, 3, 0.5)),
        (0.4, 3, 10**9, 4, G.exact_nearest_mean_error(1.0, 0.4, 4)),
        (0.4, 30, 10**9, 7, G.exact_nearest_mean_error(1.0, 0.4, 7)),
    ):
        low, high = band(round_classes._wrong_trials(noise, dim, shots, classes, trials, 1), trials)
        assert low < exact < high


def test_errors_of_more_classes_agree_with_trials_that_draw_everything():
    low, high = round_classes.error_interval(0.5, 12, 3, 4, 16_384, 0)
    trial = shots_of(12, 3, 4, 2.0)
    with jax.enable_x64(True):
        keys = jax.random.split(jax.random.key(5), 16_384)
        wrong = jnp.sum(jax.jit(jax.vmap(trial.trial))(keys)[:, 1])
    other = band(int(wrong), 16_384)
    assert max(low, other[0]) < min(high, other[1])
    assert high - low < 0.05
    # Without trials, and far in the tail, it lies between the pair's error and the union bound.
    pair = G.exact_few_shot_error(1.0, 12, 3, 0.05)
    assert round_classes.error_interval(0.05, 12, 3, 4, 16_384, 0) == (pair, 3 * pair)


def test_looseness_is_bound_over_error(found):
    error = G.exact_few_shot_error(1.0, 40, 7, 0.6)
    told = G.few_shot_bound(G.gaussian_moments(1.0, 40, 0.6), 7, error=error)
    np.testing.assert_allclose(found.looseness[0, 1, 1, 0, 1], told.looseness, rtol=1e-10)
    assert bool(told.vacuous) == bool(found.vacuous[0, 1, 1, 0, 1])
    assert (found.error[..., 0] <= found.error[..., 1]).all()
    assert not found.violated.any()
    assert (found.sharpest == 1).all()
    assert (found.looseness[..., 0] >= 1.0 - 1e-9).all()
    assert (found.looseness[..., 0] <= found.looseness[..., 1]).all()


def test_boundaries_are_the_closed_ones(found):
    """V/(V + 1) = c where V = v_1 v_2 p + v_1 + v_2 = c/(1 - c), a quadratic equation in s^2."""
    for (i, p), (j, m), (k, number) in [
        (a, b, c) for a in enumerate((9, 40)) for b in enumerate((1, 7)) for c in enumerate((2, 4))
    ]:
        for b, share, level in ((0, 1.0, "vacuous_from"), (0, 1.0, "one_from"), (1, 0.5, "vacuous_from")):
            union = (1.0 - 1.0 / number if level == "vacuous_from" else 1.0) / (share * (number - 1))
            told = getattr(found, level)[b, i, j, k]
            if union >= 1.0:
                assert told == math.inf
                continue
            v, w = 2.0 / m, 4.0 + 2.0 / m
            needed = union / (1.0 - union)
            square = (-(v + w) + math.sqrt((v + w) ** 2 + 4.0 * v * w * p * needed)) / (2.0 * v * w * p)
            assert told == pytest.approx(math.sqrt(square), rel=1e-12)
    for k, number in enumerate((2, 4)):
        assert found.vacuous_from[0, :, 2, k] == pytest.approx(0.5 / math.sqrt(number - 1), rel=1e-12)
        assert found.vacuous_from[2, :, 2, k] == pytest.approx(0.5 / math.sqrt(number), rel=1e-12)
    # The bound in V, whose terms are written out again: at its boundary it is 1/2 for two classes.
    s, p, m = found.vacuous_from[2, 1, 1, 0], 40.0, 7.0
    v, kurtosis = 2.0 * p * s**2, 2.0 * p * (p + 2.0) * s**4
    rest = math.sqrt(4 / m * (v**2 + v / 4)) + math.sqrt(v / m) + math.sqrt((kurtosis + 2 * (m - 1) * v**2) / m**3)
    assert 4.0 * s**2 + rest**2 == pytest.approx(0.5, rel=1e-12)


def test_a_false_bound_is_found_out_and_a_trivial_one_is_always_vacuous(capsys):
    def tenth(moments, shots):
        return 0.1 * G.few_shot_bound(moments, shots).total

    def trivial(moments, shots):
        return 1.0

    told = G.looseness_map((5,), (2,), (2, 3), (0.2, 1.0), bounds=[tenth, trivial, "one_sided"], trials=0)
    assert told.bounds == ("tenth", "trivial", "one_sided")
    assert told.violated[0, 0, 0].tolist() == [[False, True], [False, True]]
    assert not told.violated[1:].any()
    assert told.vacuous_from[1].ravel().tolist() == [0.0, 0.0]
    assert told.share_vacuous[1] == 1.0
    assert told.sharpest[0, 0].tolist() == [[0, 2], [0, 1]]  # of three classes the union bound exceeds 1 at noise 1
    nct.show(told)
    said = capsys.readouterr().out
    assert "tenth lies below the error in 2 cells" in said
    assert "always" in said
    assert repr(told).startswith("LoosenessMap(share_vacuous=")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"dims": ()}, "dims: expected a list of numbers"),
        ({"dims": (2,), "classes": (4,)}, "dims: expected a whole number of at least 3, got 2"),
        ({"dims": (5, 5)}, "dims: expected values that differ"),
        ({"shots": (0,)}, "shots: expected a whole number of at least 1, got 0"),
        ({"classes": (1,)}, "classes: expected a whole number of at least 2, got 1"),
        ({"noises": (0.0,)}, "noises: expected positive numbers, got 0.0"),
        ({"noises": (math.nan,)}, "noises: expected positive numbers, got nan"),
        ({"bounds": ["cantelli"]}, "bounds: expected some of one_sided, .* got 'cantelli'"),
        ({"bounds": "one_sided"}, "bounds: expected a list"),
        ({"bounds": ["one_sided"] * 2}, "bounds: expected names that differ"),
        ({"bounds": [lambda moments, shots: "x"]}, "bounds: expected a number from <lambda>, got 'x'"),
        ({"bounds": [lambda moments, shots: -1.0]}, "bounds: expected a number of at least 0"),
        ({"trials": -1}, "trials: expected a whole number of at least 0"),
        ({"key": -1}, "key: expected a whole number of at least 0"),
    ],
)
def test_wrong_arguments(options, words):
    with pytest.raises(ValueError, match=words):
        G.looseness_map(**({"dims": (5,), "shots": (2,), "classes": (2,), "noises": (0.5,)} | options))


def test_wrong_moments():
    for distance, dim, spread, classes, words in (
        (0.0, 3, 1.0, 2, "distance"),
        (1.0, 3, -1.0, 2, "spread"),
        (1.0, 2, 1.0, 4, "dim: .* least 3"),
    ):
        with pytest.raises(ValueError, match=words):
            G.gaussian_moments(distance, dim, spread, classes)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--dims", "10,x"], "--dims: expected whole numbers separated by commas, got '10,x'"),
        (["--shots", "1,all"], "--shots: expected whole numbers separated by commas, or 'known'"),
        (["--noises", "1:0.1:5"], "--noises: expected positive numbers separated by commas, or LOW:HIGH:NUMBER"),
        (["--noises", "0"], "noises: expected positive numbers"),
        (["--bounds", "chebyshev"], "bounds: expected some of one_sided"),
        (["--figure", "a.txt"], "--figure: expected a file name that ends in .png"),
        (["--trials", "-1"], "trials: expected a whole number"),
    ],
)
def test_wrong_use_of_the_command(arguments, words, capsys):
    assert main(["looseness", *arguments]) == 2
    assert words in capsys.readouterr().err


@pytest.mark.slow
def test_the_command_prints_and_writes(tmp_path, capsys):
    files = [str(tmp_path / f"told.{name}") for name in ("json", "png")]
    command = ["looseness", "--dims", "10", "--shots", "5,known", "--classes", "2", "--noises", "0.2:0.5:2"]
    assert main([*command, "--json", files[0], "--figure", files[1]]) == 0
    assert "13.6" in capsys.readouterr().out
    data = json.loads((tmp_path / "told.json").read_text())
    assert data["shots"] == [5.0, None]
    assert data["looseness"][0][0][0][0][0][0] == pytest.approx(13.6108, rel=1e-4)
    assert data["vacuous_from"][1][0][0] == [None]
    picture = (tmp_path / "told.png").read_bytes()
    assert picture.startswith(b"\x89PNG")
    nct.plot(G.looseness_map((10,), (5, None), (2,), np.geomspace(0.2, 0.5, 2).tolist()), tmp_path / "again.png")
    assert (tmp_path / "again.png").read_bytes() == picture
