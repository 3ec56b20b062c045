"""The tour: one theorem of each chapter."""

import sys

import nctheory as nct
from nctheory.cli import _verify_command, main, parser
from nctheory.cli._verify_command import announce
from nctheory.engine import import_proofs
from proofs_numeric import TOUR


def chapters():
    """The folder in which each theorem stands."""
    import_proofs()
    files = {name: module for name, module in sys.modules.items() if name.startswith("proofs_numeric.")}
    return {
        one.id: name.split(".")[1]
        for name, module in files.items()
        for one in vars(module).values()
        if isinstance(one, nct.Theorem) and not name.endswith(".template")
    }


def test_each_chapter_has_one_representative():
    known = chapters()
    assert set(known) == set(nct.catalogue())
    assert sorted(known[identifier] for identifier in TOUR) == sorted(set(known.values()))


def test_the_tour_is_a_quick_verification_of_them(monkeypatch, capsys):
    seen = []
    monkeypatch.setattr(_verify_command, "verify_command", lambda args: seen.append(args) or 3)
    assert main(["tour", "--key", "7", "--out", "x"]) == 3
    (args,) = seen
    quick = parser().parse_args(["verify", "--quick", "--key", "7", "--out", "x", *TOUR])
    told = {**vars(args), "theorems": list(args.theorems)}
    assert told.pop("line") == "nctheory tour --key 7 --out x"
    assert told == {**vars(quick), "command": "tour"}
    assert f"each of the {len(TOUR)} chapters" in capsys.readouterr().out


def test_many_theorems_say_beforehand_how_long_they_take(monkeypatch, capsys):
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    announce(5, quick=True)
    assert capsys.readouterr().err == ""
    announce(42, quick=True)
    quick = capsys.readouterr().err
    assert quick.startswith("42 theorems, 2 at a time: some ")
    announce(42, quick=False)
    minutes = [int(text.split("some ")[1].split()[0]) for text in (quick, capsys.readouterr().err)]
    assert 0 < minutes[0] < minutes[1]
