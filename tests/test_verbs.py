"""`show`, `plot` and `citation`: every kind of result has its text, its picture and its publications."""

import re
from pathlib import Path

import pytest

import nctheory as nct
from nctheory.report import render


@pytest.fixture(scope="module")
def verdict():
    return nct.verify("red-nuclear", seeds=2, quick=True)


@pytest.fixture(scope="module")
def census():
    chain = nct.deep_linear(widths=(2, 2, 2), counts=(1, 1), loss="mse", weight_decay=(0.1, 0.1, 0.1))
    return nct.census(chain, starts=40)


@pytest.fixture(scope="module")
def swept():
    def model(decay):
        return nct.unconstrained_features(counts=(2, 2), dim=2, loss="mse", weight_decay=(decay, decay))

    return nct.sweep(model, {"decay": [0.01, 0.1]}, seeds=2)


@pytest.fixture(scope="module")
def curves():
    return nct.dynamics("saxe-2layer", seeds=2)


def test_show_prints_the_card_of_what_has_an_identifier(capsys):
    for identifier, word in (
        ("ufm-ce-balanced", "Hypotheses:"),
        ("N19", "published:"),
        ("minority-collapse", "Boundaries:"),
    ):
        nct.show(identifier)
        shown = capsys.readouterr().out
        assert identifier in shown.splitlines()[0]
        assert word in shown
    with pytest.raises(ValueError, match="no-such-theorem"):
        nct.show("no-such-theorem")


@pytest.mark.slow
def test_show_prints_results(capsys, verdict, census, curves):
    nct.show(verdict)
    assert nct.report.verdict_text(verdict).rstrip() == capsys.readouterr().out.rstrip()
    nct.show([verdict, verdict])
    assert capsys.readouterr().out.count("red-nuclear") == 2
    nct.show(census, width=60)
    shown = capsys.readouterr().out
    assert "critical point" in shown
    assert max(map(len, shown.splitlines())) <= 60
    nct.show(curves)
    assert "paths followed and sound" in capsys.readouterr().out
    nct.show(nct.solve(nct.unconstrained_features(counts=(1, 1), dim=1, loss="mse", weight_decay=(0.1, 0.1)), seeds=2))
    assert capsys.readouterr().out.startswith("Ensemble(")


def test_a_verdict_as_text_names_outcome_and_evidence(verdict):
    lines = str(verdict).splitlines()
    assert lines[0] == f"red-nuclear  {verdict.title}: {verdict.outcome}"
    assert f"evidence: {verdict.headline}" in str(verdict)
    assert lines[-1] == f"  controls refuted: {len(verdict.controls)} of {len(verdict.controls)}"


@pytest.mark.slow
def test_plot_draws_every_kind_of_result_the_same_twice(tmp_path, verdict, census, swept, curves):
    options = {"sweep": {"measures": ("value",)}, "census": {"title": "a census"}}
    for name, result in {
        "verdict": verdict,
        "list": [verdict],
        "census": census,
        "sweep": swept,
        "curves": curves,
    }.items():
        files = [nct.plot(result, tmp_path / f"{name}{i}.svg", **options.get(name, {})) for i in range(2)]
        first, second = (file.read_bytes() for file in files)
        assert first == second
        assert b"<svg" in first


def test_plot_refuses_what_it_cannot_draw(tmp_path, verdict, swept):
    for wrong in (3.0, [], [verdict, 1], nct.Bound, nct.closed_form.simplex_etf(2)):
        with pytest.raises(ValueError, match=r"^result: "):
            nct.plot(wrong, tmp_path / "a.pdf")
    with pytest.raises(ValueError, match=r"^path: expected a file name that ends in \.pdf, \.png, \.svg, got .*a\.txt"):
        nct.plot(verdict, tmp_path / "a.txt")
    with pytest.raises(ValueError, match="nothing"):
        nct.plot(swept, tmp_path / "a.pdf", measures=("nothing",))
    assert not list(tmp_path.iterdir())


def test_citations_hold_what_was_run_and_nothing_else(verdict, swept, curves, census):
    tools = ("nctheory", "jax2018github")
    flow, paths = (
        ("kidger2021on", "tsitouras2011runge", "sommeijer1998rkc"),
        ("kidger2021on", "prince1981high", "kvaerno2004singly"),
    )
    problem = nct.unconstrained_features(counts=(1, 1), dim=1, loss="mse", weight_decay=(0.1, 0.1))
    begin = nct.starts(problem, 2)
    cases = {
        "verdict": (verdict, flow),
        "sweep": (swept, flow),
        "curves": (curves, paths),
        "flow": (nct.gradient_flow(problem, begin, [0.0, 0.1]), paths),
        "descent": (nct.gradient_descent(problem, begin, [0, 2], 0.1), ()),
        "identifier": ("saxe-2layer", paths),
    }
    for name, (result, methods) in cases.items():
        text = nct.citation(result)
        keys = [line.split("{")[1].rstrip(",") for line in text.splitlines() if line.startswith("@")]
        assert len(keys) == len(set(keys)), name
        assert {*tools, *methods} <= set(keys), name
        assert set(keys) & {*flow, *paths} == set(methods), name
        assert text.count("{") == text.count("}"), name
    assert all(source.bibtex.strip() in nct.citation(verdict) for source in verdict.sources)
    for wrong in (3.0, census, nct.Bound):
        with pytest.raises(ValueError, match=r"^result: "):
            nct.citation(wrong)


def test_every_theorem_erratum_and_diagram_can_be_shown_and_cited():
    for known in (nct.catalogue(), nct.theorems.errata(), nct.phase.diagrams()):
        for identifier, one in known.items():
            text = nct.citation(identifier)
            assert text.startswith("@software{nctheory,")
            assert all(source.bibtex.strip() in text for source in one.sources if source.bibtex)
            assert render(one) is not None


def test_the_version_cited_is_the_one_installed():
    assert f"version = {{{nct.__version__}}}" in nct.citation([])


def test_the_citation_file_has_the_version_and_the_title():
    file = (Path(__file__).parents[1] / "CITATION.cff").read_text()
    assert f"version: {nct.__version__}\n" in file
    (title,) = re.findall(r'^title: "(.*)"$', file, re.MULTILINE)
    assert title in nct.citation([])
    assert f"## {nct.__version__}" in (Path(__file__).parents[1] / "CHANGELOG.md").read_text()
