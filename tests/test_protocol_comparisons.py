"""Comparisons of protocols: shares, bands, costs and verdicts by other means, controls, the command, the pictures."""

import json

import numpy as np
import pytest
from scipy.stats import beta, binom

import nctheory as nct
from nctheory.cli import main
from nctheory.protocols import (
    NONE,
    Annealing,
    ProtocolComparison,
    ProtocolMap,
    Reference,
    Restarts,
    chain_at,
    holm,
    protocol_instance,
    protocol_map,
)
from nctheory.protocols._compare import checkpoints_of
from nctheory.protocols._result import p_more, share_band
from tests.double_wells import LOWEST, RIVALS, BoundedWell, DoubleWell, Flip, Still, depth

CERTIFIED = Reference(0.5, 0.5, "certified", 0.0, 9, None)


def made(found, names=("restarts_1", "restarts_2", "first", "second"), restarts=2, reference=CERTIFIED):
    """A comparison with these seeds at the minimum: protocols x checkpoints x seeds."""
    found = np.asarray(found)
    value = np.where(found, 0.5, 0.7)
    at = np.array([10, 100])[-found.shape[1] :]
    spent = np.broadcast_to(at, found.shape[:2])
    return ProtocolComparison(
        protocols=names, restarts=restarts, gradients=at, found=found, value=value, converged=np.ones(found.shape, bool),
        answered=value + 0.1, spent=spent, polish=np.full(found.shape[:2], 50.0), reference=reference, scale=1.0, key=0,
    )  # fmt: skip


def counts(*numbers, seeds=40):
    """Of each protocol so many seeds at the minimum at the last checkpoint, none before; the first ones."""
    return np.array([[np.zeros(seeds, bool), np.arange(seeds) < number] for number in numbers])


def test_shares_costs_and_bands():
    told = made(counts(10, 20, 40, 0))
    np.testing.assert_allclose(told.share, [[0, 0.25], [0, 0.5], [0, 1], [0, 0]])
    assert told.expected_cost[:, 1].tolist() == [600.0, 300.0, 150.0, np.inf]
    # From a share of 99 % on one run is enough; at a half 6.64 runs.
    assert told.time_to_solution[2, 1] == pytest.approx(150.0)
    assert told.time_to_solution[1, 1] == pytest.approx(150.0 * np.log(0.01) / np.log(0.5))
    assert np.isinf(told.time_to_solution[3, 1])
    for found, seeds in ((0, 40), (10, 40), (40, 40), (3, 7)):
        # Clopper and Pearson's interval by quantiles of the beta law.
        low = beta.ppf(0.025, found, seeds - found + 1) if found else 0.0
        high = beta.ppf(0.975, found + 1, seeds - found) if found < seeds else 1.0
        assert share_band(found, seeds) == pytest.approx((low, high), abs=1e-10)
    np.testing.assert_allclose(told.band[0, 1], share_band(10, 40))


def test_p_values_and_their_correction(rng):
    one, other = rng.random(30) < 0.7, rng.random(30) < 0.4
    gained, lost = np.sum(one & ~other), np.sum(other & ~one)
    assert p_more(one, other) == pytest.approx(binom.sf(gained - 1, gained + lost, 0.5))
    assert p_more(one, one) == 1.0
    given = np.array([0.04, 0.001, 0.03, 0.2])
    ordered = {0.001: 0.004, 0.03: 0.09, 0.04: 0.09, 0.2: 0.2}
    np.testing.assert_allclose(holm(given), [ordered[one] for one in given])
    assert holm([0.9, 0.8]).tolist() == [1.0, 1.0]


def test_better_is_better_than_every_restart_and_worse_is_worse_than_some():
    told = made(counts(5, 20, 38, 6))
    assert [one.outcome for one in told.verdicts] == ["better than restarts", "worse than restarts"]
    assert told.winner == "first"
    # Eighteen seeds more than the better of the restarts, none less; four tests in all.
    assert told.verdicts[0].p_better == pytest.approx(4 * 0.5**18)
    # Fourteen less than the better of two restarts: twice the p-value, and three tests are left.
    assert told.verdicts[1].p_worse == pytest.approx(3 * 2 * 0.5**14)
    assert made(counts(5, 36, 38, 37)).winner == NONE  # better than one length of restarts alone
    assert made(counts(5, 36, 6, 7)).winner == "restarts"
    assert made(counts(5, 36, 6, 36)).winner == NONE
    assert made(counts(5, 36), names=("restarts_1", "restarts_2")).winner == NONE
    # With four tests a difference of six seeds has p = 1/64, and tells nothing apart; alone it would.
    near = made(counts(20, 20, 26, 20))
    assert near.verdicts[0].outcome == "not told apart"
    assert made(counts(20, 20, 26), names=("a", "b", "c")).verdicts[0].outcome == "better than restarts"


def test_chance_alone_is_called_better_in_at_most_a_twentieth_of_comparisons(rng):
    """Restarts and protocols with one share: false verdicts, of either kind, in any of four protocols."""
    wrong = 0
    for _ in range(200):
        found = rng.random((6, 1, 32)) < 0.5
        told = made(found, names=("a", "b", "c", "d", "e", "f"))
        wrong += any(one.outcome != "not told apart" for one in told.verdicts)
    assert wrong <= binom.ppf(0.999, 200, 0.05)


def test_what_counts_as_the_minimum():
    values = np.array([0.5, 0.5 + 1e-12, 0.5 + 1e-6, 0.4, np.inf, np.nan])
    assert CERTIFIED.reached(values, 1e-15).tolist() == [True, True, False, False, False, False]
    bounded = Reference(0.5, 0.3, "best known", 0.0, 9, "no certificate")
    assert bounded.reached(values, 0.0).tolist() == [True, True, False, False, False, False]
    assert bounded.reached(np.array([0.5 + 1e-7]), 2e-7).tolist() == [True]  # what rounding leaves open counts


@pytest.mark.slow
def test_a_protocol_that_leaves_the_well_is_better_and_one_that_never_moves_is_not():
    """The controls: descents from starts in the higher well never reach the lower one."""
    told = nct.compare_protocols(BoundedWell(), [*RIVALS, Flip(), Still()], 60, 32, 1, checkpoints=2, search=4)
    assert told.reference.evidence == "certified"
    assert told.reference.value == pytest.approx(depth(LOWEST), abs=1e-14)
    assert told.protocols == ("restarts_1", "restarts_2", "flip", "still")
    assert told.found.sum(axis=2).tolist() == [[0, 0], [0, 0], [32, 32], [0, 0]]
    flip, still = told.verdicts
    assert (flip.outcome, still.outcome, told.winner) == ("better than restarts", "not told apart", "flip")
    assert flip.p_better == pytest.approx(4 * 0.5**32)
    # From the lower well on it is the other way about, by the same programs.
    other = nct.compare_protocols(
        BoundedWell(side=-1.0), [*RIVALS, Flip(), Still()], 60, 32, 1, checkpoints=2, search=4
    )
    assert [one.outcome for one in other.verdicts] == ["worse than restarts", "not told apart"]
    assert other.winner == NONE
    # Without a bound the lowest end is the best known one; here it is Flip that knows it.
    known = nct.compare_protocols(DoubleWell(), [*RIVALS, Flip()], 60, 8, 1, checkpoints=1, search=4)
    assert (known.reference.evidence, known.reference.value) == ("best known", pytest.approx(depth(LOWEST), abs=1e-14))
    assert "defines no lower_bound" in str(known.reference.reason)
    assert known.share[:, 0].tolist() == [0.0, 0.0, 1.0]


@pytest.mark.slow
def test_a_deep_chain_is_certified_and_said_in_all_forms(tmp_path):
    told = nct.compare_protocols(
        chain_at(3, 0.9), [Restarts(1), Restarts(4), Annealing()], 300, 16, scale=1.5, checkpoints=2
    )
    assert told.reference.evidence == "certified"
    assert told.reference.value == pytest.approx(float(nct.global_minimum(chain_at(3, 0.9)).value), rel=1e-12)
    # What is not at the minimum ends higher, where the other metastable points are, and converged all the same.
    assert told.converged.all()
    assert 0.2 < told.share[0, -1] < 1.0
    assert told.value[~told.found].min() > told.reference.value + 1e-3
    assert told.share[1, -1] >= told.share[0, -1]
    data = told.dataset()
    assert data.sizes == {"protocol": 3, "gradients": 2, "seed": 16}
    assert data.attrs["evidence"] == "certified"
    parsed = json.loads(told.to_json())
    assert parsed["minimum"]["evidence"] == "certified"
    assert len(parsed["rows"]) == 6
    assert told.to_csv().splitlines()[0].startswith("protocol,gradients,spent,found,seeds,share,low,high")


def test_pictures_and_tables(tmp_path, capsys):
    told = made(counts(5, 20, 38, 6))
    first = nct.plot(told, tmp_path / "one.svg", title="a <chain> $x").read_bytes()
    assert first == nct.plot(told, tmp_path / "two.svg", title="a <chain> $x").read_bytes()
    cells = ((told, made(counts(5, 36, 6, 7))), (made(counts(5, 36, 38, 37)), told))
    over = ProtocolMap(
        "linear", np.array([2, 3]), np.array([0.5, 0.9]), np.array([[one.winner for one in row] for row in cells]),
        np.array([[one.share[:, -1] for one in row] for row in cells]), cells,
    )  # fmt: skip
    assert nct.plot(over, tmp_path / "map.png").stat().st_size > 5000
    assert len(over.rows()) == over.to_csv().count("\n") - 1 == 16
    assert json.loads(over.to_json())["kind"] == "linear"
    nct.show(told)
    nct.show(over)
    said = capsys.readouterr().out
    assert "the certified minimum is 0.5" in said
    assert "38/40" in said
    assert "none told apart" in said
    assert repr(told).startswith("ProtocolComparison(")


def test_checkpoints_rise_to_the_budget():
    assert checkpoints_of(6400, 10, 3).tolist() == [100, 800, 6400]
    assert checkpoints_of(64, 50, 3).tolist() == [50, 57, 64]
    assert checkpoints_of(8, 8, 5).tolist() == [8]


def test_chains_of_a_strength():
    for layers in (2, 3, 4):
        below, above = (float(nct.global_minimum(chain_at(layers, strength)).value) for strength in (0.99, 1.01))
        assert below < 0.5 - 1e-4
        assert above == 0.5
    relu = chain_at(3, 0.9, "relu")
    assert isinstance(relu, nct.problems.DeepNonlinear)
    assert relu.activations == ("identity", "relu", "relu")
    for layers, strength, kind, words in (
        (0, 0.9, "linear", "depth"),
        (3, 0.0, "linear", "strength"),
        (3, 0.9, "x", "kind"),
    ):
        with pytest.raises(ValueError, match=words):
            chain_at(layers, strength, kind)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"budget": 0}, "budget: expected a whole number of at least 1, got 0"),
        (
            {"budget": 3, "protocols": ["parallel_tempering"]},
            "budget: expected at least 8 gradients, one step of parallel",
        ),
        ({"protocols": ["anealing"]}, "protocols: expected some of"),
        ({"protocols": "annealing"}, "protocols: expected a list"),
        ({"protocols": ["annealing", Annealing(temperature=1.0)]}, "protocols: expected names that differ"),
        ({"seeds": 0}, "seeds"),
        ({"checkpoints": 0}, "checkpoints"),
        ({"scale": -1.0}, "scale: expected a positive number"),
        ({"search": 0}, "search"),
        ({"key": -1}, "key"),
    ],
)
def test_wrong_arguments_are_refused_before_anything_is_computed(options, words, monkeypatch):
    monkeypatch.setattr("nctheory.protocols._compare.searched", None)
    with pytest.raises(ValueError, match=words):
        nct.compare_protocols(DoubleWell(), **options)


def test_theorems_without_a_landscape_are_refused_by_name():
    with pytest.raises(
        ValueError, match=r"theorem: expected one about end states .* got 'saxe-deep', which is examined by"
    ):
        protocol_instance("saxe-deep")
    with pytest.raises(ValueError, match="no-such"):
        protocol_instance("no-such")
    with pytest.raises(ValueError, match="instance: expected 0 to"):
        protocol_instance("deep-mse-linear", 1000)
    number, instance = protocol_instance("deep-mse-linear", 3)
    assert number == 3
    assert instance.parameters["M"] == 1
    with pytest.raises(ValueError, match="depths, strengths"):
        protocol_map((), (0.5,))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "theorem: expected an identifier or a file, or --map"),
        (["deep-mse-linear", "--map", "linear"], "and not both"),
        (["saxe-deep"], "'saxe-deep', which is examined by"),
        (["deep-mse-linear", "--budget", "0"], "budget: expected a whole number"),
        (["deep-mse-linear", "--protocols", "a,b"], "protocols: expected some of"),
        (["deep-mse-linear", "--figure", "a.txt"], "--figure: expected a file name that ends in .png"),
        (["deep-mse-linear", "--csv", "/nowhere/a.csv"], "--csv: cannot write"),
        (["--map", "linear", "--depths", "2,x"], "--depths: expected numbers separated by commas"),
    ],
)
def test_wrong_use_of_the_command(arguments, words, capsys):
    assert main(["protocols", *arguments]) == 2
    assert words in capsys.readouterr().err


def test_the_command_lists_the_protocols(capsys):
    assert main(["protocols", "--list"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(nct.protocols.PROTOCOLS)


@pytest.mark.slow
def test_the_command_compares_and_writes(tmp_path, capsys):
    files = {name: str(tmp_path / f"told.{name}") for name in ("json", "csv", "png")}
    command = [
        "protocols",
        "deep-mse-linear",
        "--instance",
        "7",
        "--protocols",
        "annealing,restarts_2",
        "--budget",
        "40",
    ]
    command += ["--seeds", "4", "--checkpoints", "2", "-q", "--json", files["json"], "--csv", files["csv"]]
    assert main([*command, "--figure", files["png"]]) == 0
    said = capsys.readouterr().out
    assert "deep-mse-linear, instance 7: M=2" in said
    assert "certified minimum" in said
    assert [row["protocol"] for row in json.loads((tmp_path / "told.json").read_text())["rows"]][::2] == [
        "restarts_2",
        "annealing",
    ]
    assert (tmp_path / "told.png").read_bytes().startswith(b"\x89PNG")
