"""Reports of files that anybody may have written: nothing of them is markup, a command or a reason to show nothing."""

import base64
import copy
import hashlib
import json
import re
from html.parser import HTMLParser

import jax
import numpy as np
import pytest

import nctheory as nct
from nctheory.report import census_json, phase_json, write_report
from nctheory.report._latex import bibliography, harmless
from nctheory.report._mathml import ATTRIBUTES, ELEMENTS, formula_mathml, mathml
from nctheory.theorems import find_theorem

MARK = "zzqx"
"""Stands in what is injected, so that it is found again."""
PAGE = frozenset({
    "html", "head", "meta", "title", "style", "body", "h1", "h2", "h3", "p", "a", "b", "div", "table", "thead", "tbody",
    "tr", "th", "td", "details", "summary", "code", "ul", "li", "span", "figure", "figcaption", "img", "dl", "dt", "dd",
    "script", "br", "em", "strong", "small", "caption", "nav", "section", "footer", "header", "main", "pre", "sup", "sub",
    "i",
})  # fmt: skip


class Tags(HTMLParser):
    """Elements and attributes of a page."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))


def tags(text):
    parser = Tags()
    parser.feed(text)
    return parser.seen


def check_page(text):
    """One script, that of the policy; only elements that the template or MathML has; no handler, no link out of data."""
    found = tags(text)
    assert [tag for tag, _ in found].count("script") == 1
    (script,) = re.findall(r"<script>(.*?)</script>", text, flags=re.S)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    (policy,) = [a["content"] for tag, a in found if a.get("http-equiv") == "Content-Security-Policy"]
    assert f"script-src 'sha256-{digest}'" in str(policy)
    assert "default-src 'none'" in str(policy)
    for tag, attributes in found:
        assert tag in PAGE | ELEMENTS, tag
        assert not any(name.startswith("on") for name in attributes), (tag, attributes)
        assert not any("javascript:" in str(value) for value in attributes.values()), (tag, attributes)
        if MARK in str(
            attributes
        ):  # where data may stand: ids, classes, links within the page, what is told at a place
            assert not re.search(r"https?://|<", str(attributes.get("href", "")))


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A verdict, a diagram and a census as JSON."""
    verdict = nct.verify("ufm-mse-nobias", seeds=4, instance=0)
    found = nct.phase_diagram("mse-collapse", grid=2, rows=2, seeds=2)
    problem = find_theorem("ufm-mse-landscape").instances(jax.random.key(0))[0].problem
    return {
        "verdict.json": json.loads(verdict.to_json()),
        "phase.json": json.loads(phase_json(found)),
        "census.json": json.loads(census_json(nct.census(problem, 24), title="ufm-mse-landscape")),
    }


def written(folder, files):
    folder.mkdir(exist_ok=True)
    for name, data in files.items():
        (folder / name).write_text(data if isinstance(data, str) else json.dumps(data))
    report = write_report(folder)
    return report, (folder / "report.html").read_text()


HOSTILE = [
    rf"$\text{{<script>{MARK}</script>}}$",
    rf"$\href{{javascript:{MARK}}}{{x}}$",
    rf"<img src=x onerror={MARK}>",
    rf"$a<b \text{{<img src=x onerror={MARK}>}}$",
    rf"$\class{{{MARK}}}{{x}}\style{{color:red}}{{x}}$",
    rf"&lt;script&gt;{MARK}",
    rf"$\text{{&lt;script&gt;{MARK}&lt;/script&gt;}}$",
    rf'"><svg onload={MARK}>',
    "$a_b_c$",
    r"$\frac{$",
    r"$\begin{matrix}$",
    "$" + "{" * 3000 + "$",
    "$x^" + "{a^" * 300 + "$",
]


@pytest.mark.slow
@pytest.mark.parametrize("text", HOSTILE)
def test_a_statement_is_never_markup_of_the_page(text, files, tmp_path):
    verdict = copy.deepcopy(files["verdict.json"])
    verdict |= {"statement": text, "title": text, "reasons": [text], "hypotheses": [text]}
    verdict["claims"][0] |= {"statement": text, "name": "a claim"}
    report, page = written(tmp_path / "r", {"verdict.json": verdict})
    check_page(page)
    assert report.left_out == ()
    assert "<script>" + MARK not in page
    assert f"onerror={MARK}>" not in re.sub(r"&\w+;", "", page.replace("&lt;img", "")) or "&lt;img" in page


@pytest.mark.parametrize("text", HOSTILE)
def test_mathml_holds_nothing_else(text):
    for tag, attributes in tags(str(mathml(text))):
        assert tag in ELEMENTS
        assert set(attributes) <= ATTRIBUTES | {"xmlns"}


def test_formulas_of_the_catalogue_are_converted():
    for theorem in nct.catalogue().values():
        for part in re.findall(r"\$([^$]+)\$", theorem.statement):
            assert formula_mathml(part) is not None, (theorem.id, part)


DAMAGED = {
    "a phase without anything": {"schema_version": 3, "diagram": "x"},
    "a phase of the wrong kind": {"schema_version": 3, "diagram": ["x"], "boundaries": 3},
    "a census without anything": {"schema_version": 2, "census": "x"},
    "a verdict without anything": {"schema_version": 4, "theorem": "x"},
    "deep": '{"a":' * 50_000 + "1" + "}" * 50_000,
    "not a number": '{"schema_version": NaN, "theorem": "x"}',
    "a long number": '{"schema_version": 4, "theorem": ' + "9" * 6000 + "}",
    "no text": "\x00\x01",
}


@pytest.mark.slow
@pytest.mark.parametrize("value", [None, -1, [], {}, ["x"]])
def test_a_boundary_whose_words_are_no_text_is_left_out_of_the_tables_too(value, files, tmp_path):
    for field in ("name", "outcome"):
        phase = copy.deepcopy(files["phase.json"])
        phase["boundaries"][0][field] = value
        report, page = written(tmp_path / "r", {"verdict.json": files["verdict.json"], "phase.json": phase})
        check_page(page)
        assert len(report.left_out) <= 1
        assert (tmp_path / "r" / "report.tex").is_file()


@pytest.mark.slow
@pytest.mark.parametrize("what", DAMAGED)
def test_one_bad_file_is_named_and_the_rest_is_shown(what, files, tmp_path):
    report, page = written(tmp_path / "r", {**files, "bad.json": DAMAGED[what]})
    check_page(page)
    assert len(report.left_out) == 1
    assert "ufm-mse-nobias" in page
    assert "mse-collapse" in page
    assert "Left out" in page


@pytest.mark.slow
def test_a_verdict_is_held_against_the_schema(files, tmp_path):
    for change, message in (
        ({"outcome": "surely"}, "outcome: 'surely' is not one of"),
        ({"seeds_run": "many"}, "seeds_run: 'many' is not of type"),
        ({"extra": 1}, "'extra' was unexpected"),
    ):
        report, _ = written(tmp_path / "r", {**files, "bad.json": files["verdict.json"] | {"theorem": "b"} | change})
        assert message in report.left_out[0]


def test_a_bibliography_runs_no_command(files, tmp_path):
    assert not harmless(r"@article{a, note={\write18{rm}}}")
    assert not harmless(r"@article{a, note={^^5cinput{x}}}")
    for theorem in nct.catalogue().values():
        assert all(harmless(source.bibtex) for source in theorem.sources), theorem.id
    verdict = copy.deepcopy(files["verdict.json"])
    verdict["sources"][0]["bibtex"] = r"@article{a, title={\input{/etc/passwd}}}"
    report, _ = written(tmp_path / "r", {"verdict.json": verdict})
    assert "a BibTeX entry with commands of TeX" in report.left_out[0]
    assert "input" not in (tmp_path / "r" / "report.bib").read_text()
    assert bibliography([]) == "\n"


def mutated(data, rng):
    """A copy with one value, somewhere, of another kind, or gone, or hostile."""
    data = copy.deepcopy(data)
    places = []

    def walk(one):
        for key in list(one) if isinstance(one, dict) else range(len(one)) if isinstance(one, list) else ():
            places.append((one, key))
            walk(one[key])

    walk(data)
    holder, key = places[rng.integers(len(places))]
    choice = rng.integers(9)
    if choice == 0:
        del holder[key]
    else:
        holder[key] = [None, -1, 1e308, "", [], {}, HOSTILE[rng.integers(len(HOSTILE))], "\x1b[2J" + MARK][choice - 1]
    return data


def fuzzed(files, tmp_path, rng, number):
    for i in range(number):
        name, beside = (list(files)[rng.integers(len(files))] for _ in range(2))
        folder = tmp_path / str(i)
        report, page = written(folder, {beside: files[beside], "x.json": mutated(files[name], rng)})
        check_page(page)
        assert "Traceback" not in page
        assert all(len(line) < 1000 for line in report.left_out)


@pytest.mark.slow
def test_mutated_files_end_without_a_traceback(files, tmp_path, rng):
    fuzzed(files, tmp_path, rng, 10)


@pytest.mark.exhaustive
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("part", range(4))
def test_a_thousand_mutated_files_end_without_a_traceback(part, files, tmp_path):
    fuzzed(files, tmp_path, np.random.default_rng([1, part]), 250)
