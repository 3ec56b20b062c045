"""Every public name says what it is: in words, with the errors that it raises and an example that runs as a doctest."""

import inspect
import operator
import re

import pytest

import nctheory as nct
from nctheory._moved import MOVED

TOP = {name for name in nct.__all__ if not inspect.ismodule(getattr(nct, name))} - {"__version__"}
NAMES = sorted(TOP | set(MOVED.values()))


def of(name):
    return operator.attrgetter(name)(nct)


@pytest.mark.parametrize("name", NAMES)
def test_a_public_name_has_a_docstring_of_whole_sentences(name):
    said = inspect.getdoc(of(name)) or ""
    assert len(said) > 20, name
    assert re.search(r"[.:?)$|\]]\s*$", said.split("\n\n")[0]), name


@pytest.mark.parametrize("name", [name for name in NAMES if inspect.isfunction(of(name))])
def test_a_public_function_has_types_an_example_and_says_what_it_raises(name):
    function = inspect.unwrap(of(name))
    said, source = inspect.getdoc(function) or "", inspect.getsource(function)
    assert ">>> " in said, f"{name}: expected an example"
    hints = inspect.signature(function)
    assert hints.return_annotation is not inspect.Signature.empty, f"{name}: expected a type of what it returns"
    untyped = [one.name for one in hints.parameters.values() if one.annotation is inspect.Parameter.empty]
    assert not untyped, f"{name}: expected types of {untyped}"
    for error in set(re.findall(r"raise (\w+)\(", source)):
        assert error in said, f"{name}: expected a word on {error}"


@pytest.mark.parametrize("name", [name for name in NAMES if inspect.isclass(of(name))])
def test_the_fields_of_a_public_class_are_explained(name):
    """Those of a result: each has a text below it or is named in the docstring; so is each that a constructor takes."""
    kind = of(name)
    source = inspect.getsource(kind)
    said = inspect.getdoc(kind) or ""
    fields = re.findall(r'^    (\w+): [^\n]*\n(    r?""")?', source, re.MULTILINE)
    bare = [field for field, text in fields if not text and not re.search(rf"\b{field}\b", said)]
    assert set(bare) <= PLAIN, f"{name}: expected a word on {sorted(set(bare) - PLAIN)}"


PLAIN = {
    *("name", "id", "title", "kind", "sources", "claims", "controls", "hypotheses", "instances", "seeds", "value"),
    *("status", "grad_norm", "convex", "has_conjugate", "has_profile", "shift_invariant", "sign", "rounds", "observe"),
    *("few_seeds_are_light", "resolution", "because"),  # explained in the class that they are a part of
}
"""Fields whose names say what they are."""
