"""The command that counts false alarms of statistical claims: what it runs, keeps and goes on from, and that it can say no."""

import dataclasses
import json

import pytest

import nctheory as nct
from benchmarks import false_alarms
from benchmarks.false_alarms import Alarm, bands, main, order, read, statistical_theorems, table

NAMES = ("index-energy", "grok-linear-limit")


def alarm(theorem, key, seconds=1.0, outcome="holds", quick=True):
    reasons = [] if outcome == "holds" else ["a reason"]
    return Alarm(theorem, key, quick, outcome, 0.4, seconds, reasons)


def test_first_keys_come_first_and_then_what_takes_least_time():
    assert list(order(["a", "b"], 2, [])) == [("a", 0), ("b", 0), ("a", 1), ("b", 1)]
    done = [alarm("a", 0, 9.0), alarm("b", 0, 2.0)]
    assert list(order(["a", "b"], 3, done)) == [("b", 1), ("b", 2), ("a", 1), ("a", 2)]
    assert list(order(["a", "b"], 1, done)) == []


def test_theorems_with_records_are_statistical_and_their_bands_are_counted():
    found = statistical_theorems(NAMES)
    assert set(found) == set(NAMES)
    # Both losses at three times and four sizes and one more number, of twelve instances with two records each.
    assert bands(found["grok-linear-limit"]) == 12 * 2 * (2 * 3 * 4 + 1)
    assert "600 |" in false_alarms.listed({"grok-linear-limit": found["grok-linear-limit"]})
    with pytest.raises(
        ValueError, match="theorems: expected ones with statistical claims, got ufm-mse-nobias, saxe-2layer"
    ):
        statistical_theorems(["ufm-mse-nobias", "saxe-2layer"])


def test_runs_are_kept_and_gone_on_from(tmp_path, monkeypatch, capsys):
    asked = []

    def run_one(theorem, key, quick):
        asked.append((theorem.id, key))
        return alarm(theorem.id, key, quick=quick)

    monkeypatch.setattr(false_alarms, "run_one", run_one)
    monkeypatch.setattr(false_alarms, "configure", lambda: None)
    arguments = [*NAMES, "--quick", "--out", str(tmp_path)]
    assert main([*arguments, "--keys", "1"]) == 0
    assert asked == [(name, 0) for name in NAMES]
    with (tmp_path / "false_alarms.jsonl").open("a") as file:
        file.write('{"theorem": "teacher-st')  # as a run that was killed leaves it
    assert len(read(tmp_path / "false_alarms.jsonl")) == 2
    assert main([*arguments, "--keys", "2"]) == 0
    assert asked[2:] == [(name, 1) for name in NAMES]
    assert main([*arguments, "--keys", "2", "--minutes", "1e-9"]) == 0
    assert "runs are left" not in capsys.readouterr().out.splitlines()[-1]
    assert main([*arguments, "--keys", "5", "--minutes", "1e-9"]) == 0
    assert "runs are left" in capsys.readouterr().out
    # Runs of another kind are others.
    assert main([NAMES[0], "--out", str(tmp_path), "--keys", "1"]) == 0
    assert asked[-1] == (NAMES[0], 0)


@pytest.mark.parametrize("outcome", ["refuted", "inconclusive", "engine error"])
def test_one_run_that_does_not_hold_is_told(outcome, monkeypatch, capsys):
    monkeypatch.setattr(
        false_alarms, "run_one", lambda t, key, q: alarm(t.id, key, outcome=outcome if key == 1 else "holds")
    )
    monkeypatch.setattr(false_alarms, "configure", lambda: None)
    assert main([NAMES[0], "--keys", "3"]) == 1
    told = capsys.readouterr()
    assert f"{NAMES[0]} at key 1: {outcome}" in told.err
    assert "  a reason" in told.err
    cells = [cell.strip() for cell in told.out.splitlines()[-1].split("|")]
    assert cells[1:3] == ["all", "3"]
    words = ["refuted", "inconclusive", "engine error"]
    assert cells[3:6] == ["1" if word == outcome else "0" for word in words]


def test_the_bound_on_the_rate_is_that_of_clopper_and_pearson():
    told = table([alarm("a", key) for key in range(20)])
    assert f"{100 * (1 - 0.05 ** (1 / 20)):.1f} %" in told


def test_wrong_use(capsys):
    assert main(["ufm-mse-nobias", "--list"]) == 2
    assert "theorems: expected ones with statistical claims, got ufm-mse-nobias" in capsys.readouterr().err
    for wrong in (["--keys", "0"], ["--minutes", "0"], ["--minutes", "nan"]):
        with pytest.raises(SystemExit) as left:
            main(wrong)
        assert left.value.code == 2
        assert wrong[0] in capsys.readouterr().err


@pytest.mark.slow
def test_a_run_of_a_wrong_law_is_an_alarm():
    theorem = nct.theorems.find_theorem("index-energy")
    wrong = dataclasses.replace(theorem, predict=theorem.controls[0].predict, controls=theorem.controls[1:])
    found = false_alarms.run_one(wrong, 3, True)
    assert found.outcome == "refuted"
    assert found.false
    assert found.ratio > 1
    assert found == Alarm(**json.loads(json.dumps(found._asdict())))
