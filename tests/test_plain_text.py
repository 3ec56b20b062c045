"""What a terminal and a figure show of names and formulas: no LaTeX, and no markup."""

import re

import pytest

import nctheory as nct
from nctheory.cli import main
from nctheory.report import show_erratum, show_theorem, to_unicode

NAME = "norm[/b] [red]$x^{"
FILE = """
import dataclasses, nctheory as nct

found = nct.theorems.find_theorem("ufm-mse-nobias")
claim = dataclasses.replace(found.claims[0], name={name!r})
others = [one for one in found.claims[1:] if one.kind == "global value"]
control = dataclasses.replace(found.controls[0], name={name!r}, claims=())
nct.register(dataclasses.replace(found, id="mine", title="a [bold] title", claims=(claim, *others), controls=(control,),
                                 instances=lambda key: found.instances(key)[:1], seeds=4))
"""


def spoken(theorem):
    """All that a theorem says in words and formulas."""
    yield from (theorem.title, theorem.statement, theorem.notation)
    yield from (text for claim in theorem.claims for text in (claim.name, claim.statement, claim.description))
    yield from (one.text for one in theorem.hypotheses)
    yield from (control.wrong for control in theorem.controls)


@pytest.mark.parametrize("identifier", nct.catalogue())
def test_plain_text_holds_no_latex(identifier):
    theorem = nct.catalogue()[identifier]
    for text in spoken(theorem):
        shown = to_unicode(text)
        assert not re.search(r"[\\$\ue000-\uf8ff]|_\{|\^\{", shown), shown
        assert "()" not in shown, shown  # a command whose arguments were not read
        commands = set(re.findall(r"\\([a-zA-Z]+)", text)) - {
            "min",
            "max",
            "sup",
            "log",
            "cos",
            "sin",
            "arcsin",
            "arccos",
            "cot",
            "det",
            "in",
            "sum",
            "to",
        }
        words = set(re.findall(r"[a-zA-Z]{3,}", re.sub(r"\\[a-zA-Z]+", " ", text)))
        assert not [name for name in commands - words if re.search(rf"(?<![a-zA-Z]){name}(?![a-zA-Z])", shown)], shown
    page = show_theorem(theorem)
    for source in theorem.sources:
        page = page.replace(source.bibtex, "")  # which is TeX
    assert not re.search(r"[\\$]", page), page
    assert theorem.statement in show_theorem(theorem, latex=True)


def test_errata_hold_no_latex():
    for erratum in nct.theorems.errata().values():
        assert not re.search(r"[\\$]|\\text", show_erratum(erratum))


@pytest.mark.parametrize(
    ("latex", "shown"),
    [
        (r"\bar z_{kl}=B_{gh}+\delta_g1[k=l]", "z̅_kl=B_gh+δ_g1[k=l]"),
        (r"\bar Z-\text{its group average}=0", "Z̅-its group average=0"),
        (r"$\frac1{2N}\sum_{c\ne y}e^{-m_{cy}}\iff\ell\in\{0,1\}$", "1/(2N)∑_(c ≠ y)e^(-m_cy) ⇔ ℓ ∈ {0,1}"),
        (r"$\frac{1-\lambda a}{\sqrt{n_k}}N$", "(1-λ a)/(√(n_k)) N"),
        (r"at most 5 % of $O(d)$, it's", "at most 5 % of O(d), it's"),
        (r"$\nosuchthing x$", "nosuchthing x"),
        (r"$\frac{$ and \ alone", "frac{ and alone"),
    ],
)
def test_formulas_become_lines(latex, shown):
    assert to_unicode(latex) == shown


def test_any_text_becomes_a_line(rng):
    commands = r"\frac \sqrt \bar \text \begin{x} \end \left \verb \lambda \( \] \input \\ \ "
    parts = [*commands.split(" "), *"{}[]$^_%&~#é1a", "$$", "\n", " "]
    for _ in range(3000):
        text = "".join(parts[i] for i in rng.integers(len(parts), size=rng.integers(1, 20)))
        shown = to_unicode(text)
        assert not re.search(r"[\\$\n\ue000-\uf8ff]", shown), (text, shown)
    assert to_unicode("$" + "{" * 3000 + "$")


@pytest.mark.slow
@pytest.mark.parametrize("name", [NAME])
def test_brackets_and_dollars_in_names_are_text_in_every_command(name, tmp_path, capsys):
    file = tmp_path / "mine.py"
    file.write_text(FILE.format(name=name))
    assert main(["show", str(file)]) == 0
    assert f"- {name} (" in capsys.readouterr().out
    folder = tmp_path / "results"
    status = main(["verify", str(file), "--out", str(folder), "--json", str(tmp_path / "v.json")])
    shown = capsys.readouterr().out
    assert status in (0, 3), shown
    assert shown.count(name) >= 2
    assert "a [bold] title" in shown
    assert (folder / "tolerances.png").is_file()
    assert main(["report", str(folder)]) == 0
    page = (folder / "report.html").read_text()
    assert name in page
    assert "a [bold] title" in page
