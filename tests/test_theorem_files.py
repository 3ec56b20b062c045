"""What a theorem file says is read from its docstring, and a docstring that says it wrongly is refused with its place."""

import ast
import dataclasses
import doctest
import importlib
import sys
from pathlib import Path

import jax
import pytest

import nctheory as nct
from nctheory.theorems._docstring import REQUIRED
from tests.helpers import unchecked_types

FILE = Path(__file__).parents[1] / "proofs_numeric" / "template.py"
DOCSTRING = ast.get_docstring(ast.parse(FILE.read_text()), clean=False) or ""


def template():
    """The module, imported within a test: to import it registers its theorem, which is none of the catalogue's."""
    return importlib.import_module("proofs_numeric.template")


def theorem(docstring, **change):
    made = template().THEOREM
    parts = {"id": "mine", "sources": (), "claims": made.claims, "controls": made.controls, "predict": made.predict}
    parts |= {"instances": made.instances, "hypotheses": (made.hypotheses[0].test,), "docstring": docstring}
    return nct.Theorem(**{**parts, **change})


def test_title_statement_hypotheses_and_notation_come_from_the_docstring():
    made = theorem(DOCSTRING)
    assert made.title == "Ridge regression"
    assert made.statement.startswith(r"For $\lambda>0$ the minimiser")
    assert [one.text for one in made.hypotheses] == ["lambda > 0"]
    assert made.notation.startswith("lambda here is the textbook's")
    assert made.description is not None
    assert made.description.number == "Hoerl and Kennard 1970, number unchecked"
    assert made.draw(jax.random.key(0))
    renamed = dataclasses.replace(made, id="other", title="Other")
    assert (renamed.title, renamed.statement, renamed.description) == ("Other", made.statement, made.description)


@pytest.mark.parametrize("name", REQUIRED)
def test_a_docstring_that_lacks_a_section_names_it_and_the_file(name):
    for wrong in (DOCSTRING.replace(f"\n{name}", f"\n{name}s", 1), emptied(name)):
        with pytest.raises(ValueError, match=rf"^docstring: theorem 'mine' in .*template\.py: .*'{name}s?'"):
            theorem(wrong)


def emptied(name):
    """The docstring with nothing below the heading of one section."""
    lines, inside, kept = DOCSTRING.splitlines(), False, []
    for line in lines:
        if line and not line.startswith(" "):
            inside = line.startswith(name)
        if not (inside and line.startswith(" ")):
            kept.append(line)
    return "\n".join(kept)


def test_a_docstring_in_another_order_or_without_words_is_refused():
    head, problem, rest = DOCSTRING.partition("Problem:")
    first, theorem_heading, last = rest.partition("Theorem (")
    body, hypotheses, end = last.partition("Hypotheses:")
    with pytest.raises(ValueError, match="expected the sections in the order Problem, Theorem"):
        theorem(head + theorem_heading + body + problem + first + hypotheses + end)
    with pytest.raises(ValueError, match="expected some sentences between the title and the sections"):
        theorem(DOCSTRING.splitlines()[0] + "\n\n" + problem + rest)
    for none in ("", "  \n"):
        with pytest.raises(ValueError, match="expected a description of the theorem, got none"):
            theorem(none)


def test_predicates_and_the_docstring_must_agree():
    test = template().THEOREM.hypotheses[0].test
    with pytest.raises(ValueError, match="lists 1, expected as many predicates, got 2"):
        theorem(DOCSTRING, hypotheses=(test, test))
    with pytest.raises(ValueError, match="the docstring says 'lambda > 0', the predicate 'lambda is large'"):
        theorem(DOCSTRING, hypotheses=(nct.Hypothesis("lambda is large", test),))
    with (
        unchecked_types(),
        pytest.raises(ValueError, match="expected a predicate of an instance for 'lambda > 0', got 'x'"),
    ):
        theorem(DOCSTRING, hypotheses=("x",))
    with pytest.raises(ValueError, match=r"title: .*expected none beside a docstring, got 'Another'"):
        theorem(DOCSTRING, title="Another")
    with pytest.raises(ValueError, match="section 'Hypotheses': expected lines that begin with a hyphen"):
        theorem(DOCSTRING.replace("    - lambda > 0", "    lambda > 0"))


def test_the_example_of_the_template_runs_as_a_user_would_run_it():
    with jax.enable_x64(False), jax.numpy_dtype_promotion("standard"):
        found = doctest.testmod(template())
    assert (found.failed, found.attempted) == (0, 3)


def test_every_theorem_of_the_catalogue_is_described_by_the_docstring_of_its_file():
    for identifier, one in nct.catalogue().items():
        assert one.description is not None, identifier
        files = [module for name, module in sys.modules.items() if name.startswith("proofs_numeric.")]
        (home,) = [module for module in files if getattr(module, "THEOREM", None) is one]
        assert (home.__doc__ or "").startswith(f"{one.title}.\n"), identifier


@pytest.mark.slow
def test_a_law_of_starts_is_a_field_and_keeps_the_problem(rng):
    plain = nct.deep_linear(widths=(3, 3, 3), counts=(1, 1, 1), loss="mse", weight_decay=(0.1,) * 3)
    balanced = nct.problems.balanced_chain(plain)
    assert type(balanced) is type(plain)
    assert isinstance(balanced.starts, nct.problems.BalancedStarts)
    point = nct.starts(balanced, 2)
    one = jax.tree.map(lambda x: x[0], point)
    assert float(balanced.objective(one)) == float(plain.objective(one))
    assert nct.global_minimum(balanced).value == nct.global_minimum(plain).value
    again = nct.starts(balanced.with_starts(None), 2)
    jax.tree.map(lambda x, y: None if (x == y).all() else pytest.fail("other starts"), again, nct.starts(plain, 2))
    other = nct.starts(plain, 2)
    assert not any((x == y).all() for x, y in zip(jax.tree.leaves(point), jax.tree.leaves(other), strict=True))
