"""Observations: the rule that decides them, controls that block, networks whose outcome is known, `show`."""

import dataclasses
import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import scipy.stats

import nctheory as nct
from nctheory import networks
from nctheory.networks import Tally, share_interval, straight_line
from nctheory.networks._decision import can_decide, decide, median_interval
from nctheory.report import _observed
from nctheory.report._style import house_style
from tests.helpers import unchecked_types

DOCSTRING = """A title.

Some sentences.

Claim (nobody):
    Something.
Statistic:
    A number.
Counts for it:
    More.
Counts against it:
    Less.
Settings:
    Tiny.
Controls:
    - one
"""


def tail(n, k, p):
    """P(Bin(n, p) >= k), with exact fractions."""
    p = Fraction(p)
    return sum(math.comb(n, i) * p**i * (1 - p) ** (n - i) for i in range(k, n + 1))


@pytest.mark.parametrize(("k", "n"), [(0, 3), (1, 1), (2, 2), (5, 8), (12, 16), (13, 16), (16, 16)])
def test_the_interval_is_what_enumerating_the_binomial_gives(k, n):
    """The ends are the shares at which so many, or more extreme, have a probability of 2.5 %."""
    low, high = share_interval(k, n - k, n)
    assert low == 0 if k == 0 else float(tail(n, k, low)) == pytest.approx(0.025, abs=1e-9)
    assert high == 1 if k == n else float(1 - tail(n, k + 1, high)) == pytest.approx(0.025, abs=1e-9)


def test_of_sixteen_seeds_thirteen_are_needed_at_one_half():
    """By hand: P(Bin(16, 1/2) >= 13) = 697/65536 is below 2.5 %, and P(Bin(16, 1/2) >= 12) = 2517/65536 is not."""
    assert tail(16, 13, Fraction(1, 2)) == Fraction(697, 65536)
    assert tail(16, 12, Fraction(1, 2)) == Fraction(2517, 65536)
    outcomes = [decide(Tally(k, 16 - k, 16), 0.5, {})[0] for k in range(17)]
    assert outcomes == ["not observed"] * 4 + ["undecided"] * 9 + ["observed"] * 4


def test_seeds_that_tell_nothing_count_for_neither_side():
    """The interval holds those of both extremes, and so many silent seeds decide nothing that all others would decide."""
    for k, c in ((13, 0), (0, 12), (6, 6), (0, 0)):
        low, high = share_interval(k, c, 16)
        for told in range(16 - k - c + 1):
            inside = share_interval(k + told, 16 - k - told, 16)
            assert low <= inside[0]
            assert inside[1] <= high
    assert decide(Tally(13, 0, 16), 0.5, {})[0] == "observed"
    assert decide(Tally(12, 0, 16), 0.5, {}) == ("undecided", "12 of 16 seeds decide nothing at 50 %; 4 tell nothing")
    assert decide(Tally(0, 12, 16), 0.5, {})[0] == "undecided"
    assert decide(Tally(0, 0, 16), 0.5, {})[0] == "undecided"


def test_controls_block_what_they_show_too_and_what_is_not_told_apart_from_them():
    whole = Tally(16, 0, 16)
    assert decide(whole, 0.5, {"raw": Tally(0, 16, 16), "random": Tally(2, 14, 16)})[0] == "observed"
    shown = decide(whole, 0.5, {"raw": Tally(0, 16, 16), "random": Tally(14, 2, 16)})
    assert shown == ("undecided", "the control shows it too: random")
    for close in (Tally(9, 7, 16), Tally(0, 0, 16)):  # intervals that overlap; a control that tells nothing
        assert decide(whole, 0.5, {"raw": close}) == ("undecided", "not told apart from the control: raw")
    # No control makes an observation of what the networks do not show.
    assert decide(Tally(0, 16, 16), 0.5, {"raw": whole})[0] == "not observed"


def test_an_eighth_of_the_seeds_is_too_few_for_any_outcome():
    """P(Bin(2, 1/2) = 2) is 25 %; six seeds are the first that could decide at one half."""
    assert not can_decide(2, 0.5)
    assert [can_decide(n, 0.5) for n in (5, 6)] == [False, True]
    assert {decide(Tally(k, 2 - k, 2), 0.5, {})[0] for k in range(3)} == {"undecided"}
    for identifier, one in networks.observations().items():
        assert not can_decide(max(1, one.seeds // 8), one.share), identifier


def test_the_median_has_an_interval_of_its_own_values():
    values = np.array([3.0, 1.0, 2.0, np.nan, 5.0, 4.0])
    middle, low, high = median_interval(values)
    assert middle == 3.0
    assert 1.0 <= low < 3.0 < high <= 5.0
    assert np.isnan(median_interval(values * np.nan)).all()


def test_the_line_is_that_of_other_least_squares_and_its_test_the_ratio_of_likelihoods(rng):
    x, y = np.arange(8), -0.7 * np.arange(8) + 0.3 * rng.normal(size=8)
    found = straight_line(y)
    line, parabola = (np.polynomial.Polynomial.fit(x, y, degree) for degree in (1, 2))
    left, rest = (np.sum((y - fit(x)) ** 2) for fit in (line, parabola))
    assert found.slope == pytest.approx(line.convert().coef[1], rel=1e-10)
    assert found.curvature == pytest.approx(parabola.convert().coef[2], rel=1e-10)
    assert found.r_squared == pytest.approx(np.corrcoef(x, y)[0, 1] ** 2, rel=1e-10)
    # F(1, 5) is the square of a t with 5 degrees of freedom.
    assert found.p_value == pytest.approx(2 * scipy.stats.t.sf(np.sqrt(5 * (left - rest) / rest), 5), rel=1e-9)


def test_a_true_line_is_rejected_as_often_as_the_level_says(rng):
    draws = np.array([straight_line(-np.arange(8) + rng.normal(size=8)).p_value for _ in range(2000)])
    assert abs(np.mean(draws < 0.05) - 0.05) < 4 * math.sqrt(0.05 * 0.95 / 2000)
    assert straight_line(3.0 - 2.0 * np.arange(6)).p_value == 1.0
    assert straight_line(np.arange(6) ** 2.0).p_value == 0.0
    assert np.isnan(straight_line([1.0, np.nan, 2.0, 3.0])).all()
    with pytest.raises(ValueError, match="values: expected at least four numbers"):
        straight_line([1.0, 2.0, 3.0])


def data(drawn):
    return networks.gaussian_mixture(counts=(5, 5), dim=3, spread=0.05, key=drawn, test=2, means=np.eye(2, 3))


def tiny(data):
    return {"network": networks.network_on(data, (4,), weight_decay=0.01, activation="tanh")}


def observation(measure, **change: Any) -> networks.Observation:
    """Six seeds of two-layer networks that take 200 steps."""
    parts: dict[str, Any] = {"id": "mine", "docstring": DOCSTRING, "sources": (), "data": data, "networks": tiny}
    parts |= {"measure": measure, "training": {"steps": 200}, "seeds": 6}
    parts["statistics"] = (networks.Statistic("fit", "the fit is small", "below", 0.1),)
    parts["controls"] = (networks.ControlGroup("random features", "none", untrained=True),)
    return networks.Observation(**{**parts, **change})


def fit(trial):
    """Training makes the mean loss of separate classes small; starts of this size leave it large."""
    return {"fit": trial.trained["network"].fit[0], "by layer": [1.0, trial.trained["network"].fit[0]]}


def test_what_training_does_is_observed_and_what_it_cannot_do_is_not():
    found = networks.observe(observation(fit))
    assert found.outcome == "observed", found.statistics[0].reason
    assert found.statistics[0].tally == Tally(6, 0, 6)
    assert found.statistics[0].controls["random features"].supporting == 0
    assert found.groups[0].numbers["by layer"].shape == (6, 2)
    assert found.groups[1].unrest.min() > 1.0  # nothing is at rest at a random start
    below = (networks.Statistic("fit", "the fit is negative", "below", 0.0),)
    assert networks.observe(observation(fit, statistics=below)).outcome == "not observed"


def test_a_control_that_shows_it_too_and_networks_that_are_not_terminal_leave_it_undecided():
    always = observation(lambda trial: {"fit": 0.0})
    found = networks.observe(always)
    assert (found.outcome, found.statistics[0].tally.supporting) == ("undecided", 6)
    assert found.statistics[0].reason == "the control shows it too: random features"
    found = networks.observe(observation(fit, terminal=1e-12))
    assert found.outcome == "undecided"
    assert found.statistics[0].tally == Tally(0, 0, 6)
    assert not found.terminal_seeds.any()
    # A control that is named by no statistic stands beside for comparison alone.
    beside = networks.ControlGroup("permuted labels", "memory", permuted=True)
    compared = dataclasses.replace(always.statistics[0], threshold=0.1, against=("random features",))
    found = networks.observe(observation(fit, statistics=(compared,), controls=(*always.controls, beside)))
    assert set(found.statistics[0].controls) == {"random features", "permuted labels"}
    assert found.statistics[0].against == ("random features",)


def test_seeds_are_drawn_apart_and_come_back_the_same():
    one, two = (networks.observe(observation(fit), seeds=2, key=key) for key in (0, 1))
    again = networks.observe(observation(fit), seeds=3)
    np.testing.assert_array_equal(one.statistics[0].values, again.statistics[0].values[:2])
    assert len({*one.statistics[0].values, *two.statistics[0].values}) == 4
    assert one.fixed_seeds == 6
    drawn = [data(5).permuted_labels(key) for key in (0, 1)]
    assert drawn[0].counts == (5, 5)
    assert not np.array_equal(drawn[0].labels, drawn[1].labels)
    np.testing.assert_array_equal(drawn[0].inputs, data(5).inputs)


def test_one_bad_seed_costs_no_other_and_a_number_that_is_not_finite_tells_nothing():
    """The second seed's objective overflows, and the third has no finite statistic."""
    seen = []

    def some(trial):
        seen.append(trial.data)
        return {"fit": np.nan if len(seen) == 2 else 0.0}

    def lost(drawn):
        made = data(drawn)
        far = len(draws) == 1
        draws.append(drawn)
        return dataclasses.replace(made, inputs=made.inputs * 1e200) if far else made

    draws: list[int] = []

    def linear(data):
        return {"network": networks.network_on(data, (4,), weight_decay=0.01, activation="identity")}

    found = networks.observe(observation(some, data=lost, networks=linear), seeds=4)
    assert found.groups[0].finite.tolist() == [True, False, True, True]
    assert found.statistics[0].tally == Tally(2, 0, 4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"docstring": None}, "docstring: expected a description of observation 'mine'"),
        (
            {"docstring": DOCSTRING.replace("Settings:", "Setting:")},
            "docstring: expected the sections Claim, Statistic",
        ),
        ({"docstring": DOCSTRING.replace("Some sentences.", "")}, "docstring: expected some sentences"),
        ({"id": "no name"}, "id: expected up to 80 letters"),
        ({"statistics": ()}, "statistics: expected at least one"),
        ({"controls": ()}, "controls: expected at least one"),
        ({"seeds": 5}, "seeds: expected enough to decide at a share of 0.5, got 5"),
        ({"seeds": 16, "share": 0.8}, "seeds: expected enough to decide at a share of 0.8, got 16"),
        ({"share": 1.0}, "share: expected a number between 0 and 1"),
        ({"terminal": 0.0}, "terminal: expected a positive number or None"),
        (
            {"statistics": (networks.Statistic("fit", "small", "below", 0.2, against=("nobody",)),)},
            "against: expected names of controls in 'fit', got nobody",
        ),
    ],
)
def test_an_observation_that_fixes_too_little_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        observation(fit, **change)


def test_wrong_calls_are_named():
    for call, message in (
        (lambda: networks.Statistic("fit", "small", "at", 0.2), "supports: expected 'below' or 'above'"),  # pyright: ignore[reportArgumentType]
        (lambda: networks.Statistic("fit", "small", "below", np.nan), "threshold: expected a finite number"),
        (lambda: networks.ControlGroup("same", "none"), "control: expected permuted, untrained or other networks"),
        (lambda: networks.observe("no-such"), "observation: unknown identifier 'no-such'"),
        (lambda: networks.observe(observation(fit), seeds=0), "seeds: expected a whole number of at least 1"),
        (lambda: networks.observe(observation(fit), key=-1), "key: expected a whole number of at least 0"),
        (
            lambda: networks.observe(observation(lambda trial: {}), seeds=1),
            "measure: expected a number 'fit' from 'mine'",
        ),
        (lambda: share_interval(3, 2, 4), "supporting: expected at most 4"),
        (
            lambda: nct.report.observed_figure(networks.observe(observation(fit), seeds=1), "x.png", observation(fit)),
            "panels",
        ),
    ):
        with unchecked_types(), pytest.raises(ValueError, match=message):
            call()


def test_every_observation_says_in_words_what_its_fields_fix():
    """Thresholds, seeds, share and steps stand in the docstring of the file; and no theorem is one of them."""
    known = networks.observations()
    assert len(known) >= 7
    assert not set(known) & set(nct.catalogue())
    for identifier, one in known.items():
        decisive = one.sections["Counts for it"] + one.sections["Settings"]
        stated = {f"{part.threshold:g}" for part in one.statistics} | {f"{one.seeds} seeds", f"{100 * one.share:g} %"}
        stated |= {f"{one.training['steps']} full-batch steps"} | ({f"{one.terminal:g}"} if one.terminal else set())
        told = " ".join(decisive.split())
        assert not [text for text in stated if text not in told], identifier
        named = " ".join(one.sections["Controls"].split())
        assert all(control.name in named for control in one.controls), identifier
        assert one.sources, identifier
        assert one.panels, identifier


def test_show_and_plot_know_what_was_observed(capsys, tmp_path):
    joined, apart = (
        networks.Panel("by layer", "fit", ("a", "b"), ("by layer",), joined=which) for which in (True, False)
    )
    mine = networks.register_observation(observation(fit, panels=(joined, apart)))
    found = networks.observe(mine, seeds=2)
    nct.show(found)
    assert "A title: undecided" in capsys.readouterr().out
    assert nct.plot(found, tmp_path / "x.svg").read_bytes() == nct.plot(found, tmp_path / "y.svg").read_bytes()
    # Places without an order have marks beside each other, one for every group and prediction, and no line between them.
    with house_style():
        lines, marks = (panel.lines for panel in _observed.draw_observed(found, mine.panels).axes)
    assert any(line.get_linestyle() != "None" for line in lines)
    apart_at = [line.get_xdata()[0] for line in marks if line.get_marker() in ("D", "o")]
    assert len(apart_at) == len(set(apart_at)) == 1 + len(found.groups)
    assert all(line.get_linestyle() == "None" for line in marks if len(line.get_label()) > 1)
    np.testing.assert_array_equal(np.sort(marks[2].get_ydata()), np.sort(found.groups[0].numbers["by layer"].ravel()))
