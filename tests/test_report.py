"""The report of a folder: what it holds, what it leaves out, and how a browser shows it."""

import base64
import dataclasses
import hashlib
import html
import json
import re
import shutil
import subprocess

import jax
import numpy as np
import pytest

import nctheory as nct
from nctheory.cli import main
from nctheory.report import census_json, load_results, phase_data, phase_json, to_unicode, write_report
from nctheory.report._latex import escape
from nctheory.report._mathml import mathml
from nctheory.theorems import ControlResult, Verdict, find_theorem

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """A folder with two verdicts, a phase diagram and a census."""
    folder = tmp_path_factory.mktemp("results")
    verdict = nct.verify("ufm-mse-nobias", seeds=4, instance=0)
    verdict.to_json(folder / "ufm-mse-nobias.json")
    control = ControlResult("c", "wrong", (), "not run", 0, 0, 0.0)
    weaker = dataclasses.replace(verdict.claims[0], recheck="as the page must show", evidence="sampled", why="others")
    claims = (weaker, *verdict.claims[1:])
    false = dataclasses.replace(
        verdict, theorem="mine", title="<b>bold</b>", outcome="refuted", reasons=("claim <x> & more",), sources=(),
        controls=(control,), claims=claims,
    )  # fmt: skip
    false.to_json(folder / "mine.json")
    found = nct.phase_diagram("mse-collapse", grid=3, rows=2, seeds=2)
    (folder / "phase").mkdir()
    (folder / "phase" / "phase.json").write_text(phase_json(found))
    problem = find_theorem("ufm-mse-landscape").instances(jax.random.key(0))[0].problem
    (folder / "census").mkdir()
    (folder / "census" / "census.json").write_text(census_json(nct.census(problem, 24), title="ufm-mse-landscape"))
    return folder


@pytest.fixture
def folder(results, tmp_path):
    return shutil.copytree(results, tmp_path / "results")


@pytest.mark.slow
def test_the_json_of_a_verdict_says_its_version_and_its_fields(results):
    text = (results / "ufm-mse-nobias.json").read_text()
    verdict = Verdict.from_dict(json.loads(text))
    assert verdict.to_json() == text
    assert verdict.worst is not None
    assert verdict.sources == find_theorem("ufm-mse-nobias").sources
    with pytest.raises(ValueError, match="schema_version: expected 4, got 1"):
        Verdict.from_dict({**json.loads(text), "schema_version": 1})
    with pytest.raises(ValueError, match="fields"):
        Verdict.from_dict({**json.loads(text), "claims": [{"name": "value"}]})


@pytest.mark.slow
def test_everything_in_the_folder_is_on_the_page_and_nothing_is_taken_for_markup(folder):
    written = write_report(folder, title="<i>my</i> report")
    assert [file.name for file in written.files] == ["report.html", "report.tex", "report.bib"]
    assert written.left_out == ()
    page = (folder / "report.html").read_text()
    for raw in ("<i>my</i>", "<b>bold</b>", "claim <x>"):
        assert raw not in page
        assert html.escape(raw) in page
    verdict = Verdict.from_dict(json.loads((folder / "ufm-mse-nobias.json").read_text()))
    assert verdict.worst is not None
    assert verdict.worst.command in page
    assert all(word in page for word in ("mse-collapse", "onset of collapse", "strict saddle", "jax 0.", "<math"))
    assert "1 holds" in page
    assert "1 refuted" in page
    for told in ("most 95 % of instances", "onset in [", "NOT RUN", "as the page must show", "sampled only"):
        assert told in page
    assert not re.findall(r"""(?:src|href)=["'](?!data:|#)""", page)  # nothing is fetched
    before = {file.name: file.read_bytes() for file in written.files}
    write_report(folder, title="<i>my</i> report")
    assert before == {file.name: file.read_bytes() for file in written.files}


@pytest.mark.slow
def test_cells_of_a_diagram_are_told_at_their_places(results):
    data = json.loads((results / "phase" / "phase.json").read_text())
    page_places = json.loads(
        html.unescape(re.findall(r'data-places="([^"]*)"', _page(results))[1])
    )  # after the figure of tolerances
    assert len(page_places) == 9
    x, y, text = page_places[0]
    assert 0 < x < 0.5 < y < 1  # the first cell is the lower left one
    height = data["pictures"][0]["cells"][0][0]
    assert text.endswith(f"height {height:.4g}")
    assert data == phase_data(nct.phase_diagram("mse-collapse", grid=3, rows=2, seeds=2))


def _page(results):
    copy = results.parent / "page"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(results, copy)
    write_report(copy)
    return (copy / "report.html").read_text()


def test_latex_cites_what_the_bibliography_holds(folder):
    write_report(folder)
    table, entries = (folder / "report.tex").read_text(), (folder / "report.bib").read_text()
    cited = {key for group in re.findall(r"\\cite\{([^}]*)\}", table) for key in group.split(",")}
    assert cited == set(re.findall(r"@\w+\{([^,]+),", entries)) == {"zhou2022optimization", "tirer2022extended"}
    assert table.count("{") == table.count("}")
    assert table.count(r"\begin{tabular}") == 2
    assert "2 theorems of the table jointly (Holm's correction)" in table
    assert escape(r"a\b") == r"a\textbackslash{}b"


def test_every_statement_of_the_catalogue_becomes_mathml():
    for theorem in nct.catalogue().values():
        text = mathml(theorem.statement)
        assert "\\" not in text, theorem.id
        assert "$" not in text, theorem.id
        assert text.count("<math") == theorem.statement.count("$") / 2
        for told in (theorem.title, theorem.statement, *(claim.statement for claim in theorem.claims)):
            assert not re.search(r"[\\$]", to_unicode(told)), told


@pytest.mark.slow
def test_damaged_and_foreign_files_are_left_out_and_said_to_be(folder, capsys):
    (folder / "cut.json").write_text((folder / "mine.json").read_text()[:500])
    old = json.loads((folder / "phase" / "phase.json").read_text()) | {"schema_version": 1}
    (folder / "old.json").write_text(json.dumps(old))
    (folder / "other.json").write_text('{"a": 1}')
    assert main(["report", str(folder)]) == 3
    told = capsys.readouterr()
    assert told.out.count("written: ") == 3
    assert "left out: cut.json: " in told.err
    assert "left out: old.json: schema_version: expected 3, got 1" in told.err
    assert "other.json" not in told.err
    assert "cut.json" in (folder / "report.html").read_text()
    assert len(load_results(folder).verdicts) == 2


@pytest.mark.slow
def test_an_engine_error_is_not_outweighed_by_an_older_verdict(folder):
    known = Verdict.from_dict(json.loads((folder / "mine.json").read_text()))
    for name in ("a.json", "z.json"):  # read before the other one, and after it
        failed = dataclasses.replace(known, outcome="engine error", seeds_run=0, claims=(), instances=(), worst=None)
        failed = dataclasses.replace(failed, instances_supporting=0, controls=())
        failed.to_json(folder / name)
        (mine,) = [one for one in load_results(folder).verdicts if one.theorem == "mine"]
        assert mine.outcome == "engine error"
        write_report(folder)
        assert "1 engine error" in (folder / "report.html").read_text()
        (folder / name).unlink()


def test_a_folder_without_results_is_wrong_use(tmp_path, capsys):
    assert main(["report", str(tmp_path / "none")]) == 2
    assert "expected a folder" in capsys.readouterr().err
    assert main(["report", str(tmp_path)]) == 2
    assert "holds no results" in capsys.readouterr().err
    (tmp_path / "x.json").write_text("{")
    assert main(["report", str(tmp_path)]) == 2
    assert "x.json" in capsys.readouterr().err
    assert not (tmp_path / "report.html").exists()


PROBE = """<script>
addEventListener("load", () => {
  document.querySelectorAll("details").forEach((one) => { one.open = true; });
  const figure = document.querySelectorAll(".figure")[1], box = figure.getBoundingClientRect();
  const place = JSON.parse(figure.dataset.places)[4];
  const at = { clientX: box.left + place[0] * box.width + 3, clientY: box.top + place[1] * box.height - 2, bubbles: true };
  figure.dispatchEvent(new PointerEvent("pointermove", at));
  const math = [...document.querySelectorAll("math")].map((one) => one.getBoundingClientRect().width);
  const probe = {
    read: document.querySelectorAll(".read")[1].textContent, wanted: place[2],
    fetched: performance.getEntriesByType("resource").filter((one) => !one.name.startsWith("data:")).length,
    math: Math.min(...math), formulas: math.length,
    images: [...document.images].every((one) => one.complete && one.naturalWidth > 0),
    overflow: document.documentElement.scrollWidth - innerWidth,
    paper: getComputedStyle(document.body).backgroundColor };
  const out = document.createElement("pre");
  out.id = "probe";
  out.textContent = JSON.stringify(probe);
  document.body.append(out);
});
</script>"""


@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")
@pytest.mark.parametrize(("width", "dark"), [(1200, False), (520, True)])
def test_in_a_browser(folder, tmp_path, width, dark):
    write_report(folder)
    page = (folder / "report.html").read_text()
    file = tmp_path / "probed.html"
    code = PROBE.removeprefix("<script>").removesuffix("</script>")
    digest = base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()
    probed = page.replace("</body>", PROBE + "</body>")
    # The policy of the page stays in force: beside its own script only the probe may run, by its digest.
    file.write_text(probed.replace("script-src ", f"script-src 'sha256-{digest}' "))
    (tmp_path / "foreign.html").write_text(probed)
    command = [
        CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}",
        f"--window-size={width},1500", "--virtual-time-budget=5000", "--dump-dom",
    ]  # fmt: skip
    command += ["--blink-settings=preferredColorScheme=0"] if dark else ["--blink-settings=preferredColorScheme=1"]
    shown = subprocess.run([*command, f"file://{file}"], capture_output=True, text=True, timeout=120, check=True).stdout
    foreign = [*command, f"file://{tmp_path / 'foreign.html'}"]
    refused = subprocess.run(foreign, capture_output=True, text=True, timeout=120, check=True).stdout
    assert '<pre id="probe">' not in refused
    found = re.search(r'<pre id="probe">(.*?)</pre>', shown)
    assert found is not None
    probe = json.loads(html.unescape(found[1]))
    assert probe["read"] == probe["wanted"]
    assert probe["fetched"] == 0
    assert probe["images"]
    assert probe["formulas"] > 5
    assert probe["math"] > 0
    assert probe["overflow"] <= 0
    assert probe["paper"] == ("rgb(22, 24, 26)" if dark else "rgb(255, 255, 255)")


@pytest.mark.slow
def test_figures_are_the_same_bytes(results):
    first, second = _page(results), _page(results)
    assert first == second
    assert np.all([part in first for part in ("data:image/svg+xml;base64,", 'class="mark"')])


@pytest.mark.slow
def test_diagrams_of_which_nothing_is_predicted_are_on_the_page(folder):
    diagram = nct.phase.find_diagram("mse-collapse")
    free = dataclasses.replace(diagram.boundaries[0], predicted=None, within=1e-2)
    for name, boundaries in (("free", (free,)), ("bare", ())):
        found = nct.phase_diagram(dataclasses.replace(diagram, id=name, boundaries=boundaries), grid=2, rows=2, seeds=2)
        (folder / f"{name}.json").write_text(phase_json(found))
    assert write_report(folder).left_out == ()
    page = (folder / "report.html").read_text()
    for name in ("free", "bare"):
        assert f'{name}: {diagram.title} <span class="observed">observed</span>' in page
    assert r"free & onset of collapse & 0 & -- & -- & observed" in (folder / "report.tex").read_text()


def test_a_file_that_cannot_be_written_keeps_no_other(folder):
    (folder / "report.html").mkdir()
    (folder / "report.html" / "in the way").touch()
    with pytest.raises(OSError, match=r"report\.html"):
        write_report(folder)
    assert (folder / "report.tex").is_file()
    assert (folder / "report.bib").is_file()
