"""What an import costs and gives: nothing heavy before it is used, every public name after."""

import ast
import importlib
import inspect
import pkgutil
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import nctheory as nct
from nctheory._moved import MOVED
from nctheory.cli import parser

HEAVY = ("jax", "jaxlib", "diffrax", "equinox", "optimistix", "scipy", "numpy", "matplotlib", "rich", "mpmath")
COMMANDS = list(next(a.choices for a in parser()._actions if a.dest == "command" and a.choices))  # pyright: ignore[reportArgumentType]
ROOMS = [one.name for one in pkgutil.iter_modules(nct.__path__) if one.ispkg and one.name != "cli"]
STUB = Path(nct.__path__[0]) / "__init__.pyi"


def fresh(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], ["list", "--help"], ["verify", "--help"], ["nonsense"]]
)
def test_help_imports_nothing_heavy(arguments):
    code = f"""
import sys
from nctheory.cli import main
try:
    main({arguments})
except SystemExit as ended:
    assert ended.code == {2 if arguments == ["nonsense"] else 0}
print("heavy:", [name for name in {HEAVY} if name in sys.modules])
"""
    assert fresh(code).splitlines()[-1] == "heavy: []"


def test_every_command_has_help_of_its_own():
    code = f"""
import sys
from nctheory.cli import main
for command in {COMMANDS}:
    try:
        main([command, "--help"])
    except SystemExit as ended:
        assert ended.code == 0
print("heavy:", [name for name in {HEAVY} if name in sys.modules])
"""
    shown = fresh(code)
    assert shown.splitlines()[-1] == "heavy: []"
    assert all(f"nctheory {command}" in shown for command in COMMANDS)


def test_importing_the_package_imports_no_jax_and_reaches_every_room():
    code = f"""
import sys, nctheory
assert "jax" not in sys.modules and "numpy" not in sys.modules
nctheory.report.write_report
for room in {ROOMS}:
    assert getattr(nctheory, room) is sys.modules["nctheory." + room], room
print(nctheory.__version__)
"""
    assert fresh(code).strip() == nct.__version__


@pytest.mark.slow
@pytest.mark.parametrize("room", ROOMS)
def test_every_room_can_be_imported_first(room):
    assert fresh(f"import nctheory.{room}; print('whole')") == "whole\n"


def test_every_public_name_is_there_and_none_hides_a_module():
    names = [name for name in nct.__all__ if not inspect.ismodule(getattr(nct, name))]
    assert 40 <= len(names) <= 64
    assert set(dir(nct)) == set(nct.__all__)
    modules = {one.name for one in pkgutil.iter_modules(nct.__path__)}
    for name in nct.__all__:
        assert inspect.ismodule(getattr(nct, name)) == (name in modules), name
    with pytest.raises(AttributeError):
        _ = nct.no_such_name  # pyright: ignore[reportAttributeAccessIssue]


def test_the_stub_says_what_the_rooms_export():
    for node in ast.parse(STUB.read_text()).body:
        if isinstance(node, ast.ImportFrom) and node.module:
            room = importlib.import_module(f"nctheory.{node.module}")
            for one in node.names:
                assert getattr(nct, one.name) is getattr(room, one.name)
                assert node.module == "_version" or one.name in room.__all__
                assert not one.name.startswith("_") or one.name == "__version__"


def test_names_that_have_moved_are_found_with_a_warning_and_are_no_names_any_more():
    assert not set(MOVED) & set(nct.__all__)
    for former, today in MOVED.items():
        room, _, name = today.rpartition(".")
        home = getattr(nct, room) if room else nct
        with pytest.warns(DeprecationWarning, match=rf"nctheory\.{former} is nctheory\.{today} now"):
            assert getattr(nct, former) is getattr(home, name)
        assert name in home.__all__, today


def test_one_theorem_is_found_without_the_others_and_the_order_of_all_stays():
    """The catalogue takes more than a second to import, which nobody should wait for who verifies one theorem."""
    code = """
import sys, nctheory
from nctheory.report import SeedProgress, render_verdict
theorem = nctheory.theorems.find_theorem("saxe-deep")
imported = [name for name in sys.modules if name.startswith("proofs_numeric.") and name.count(".") == 2]
print(theorem.id, len(imported), bool({"scipy.stats", "scipy.optimize"} & set(sys.modules)), *nctheory.catalogue())
"""
    found, number, heavy, *order = fresh(code).split()
    assert found == "saxe-deep"
    assert 0 < int(number) < 10
    assert heavy == "False"
    assert order == [name for name in nct.catalogue() if nct.catalogue()[name].file.count("proofs_numeric")]


def test_the_wheel_holds_every_package_and_the_theorem_files_within_its_own():
    root = STUB.parents[1]
    with (root / "pyproject.toml").open("rb") as file:
        listed = tomllib.load(file)["tool"]["setuptools"]["packages"]
    packages = [".".join(one.parent.relative_to(root).parts) for one in (root / "nctheory").rglob("__init__.py")]
    proofs = [".".join(one.parent.relative_to(root).parts) for one in (root / "proofs_numeric").rglob("__init__.py")]
    assert sorted(listed) == sorted([*packages, *(f"nctheory.{one}" for one in proofs)])


@pytest.mark.slow
def test_the_theorem_files_are_found_beside_an_installed_package(tmp_path):
    """As from a wheel: `proofs_numeric` lies within the package, and nothing else on the path holds one."""
    package = STUB.parent
    shutil.copytree(package, tmp_path / "nctheory", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(
        package.parent / "proofs_numeric",
        tmp_path / "nctheory" / "proofs_numeric",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    code = f"""
import sys
sys.path[:] = [{str(tmp_path)!r}, *(one for one in sys.path if one not in ("", {str(package.parent)!r}))]
import nctheory, proofs_numeric
print(proofs_numeric.__file__, len(nctheory.catalogue()), nctheory.catalogue()["saxe-deep"].file)
"""
    home, number, file = fresh(code).split()
    assert home == str(tmp_path / "nctheory" / "proofs_numeric" / "__init__.py")
    assert int(number) >= 50
    assert file.startswith(str(tmp_path))


def test_no_room_imports_a_private_module_of_another():
    package = Path(nct.__path__[0])
    for file in package.rglob("*.py"):
        room = file.relative_to(package).parts[0]
        for node in ast.walk(ast.parse(file.read_text())):
            for module in imported(node):
                parts = module.split(".")[1:]
                private = [i for i, part in enumerate(parts) if part.startswith("_") and part[:2] != "__" and i > 0]
                assert not private or parts[0] == room, f"{file}: {module}"


def imported(node):
    """Modules of the package that a node of a program imports."""
    if isinstance(node, ast.Import):
        return [one.name for one in node.names if one.name.startswith("nctheory.")]
    if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "nctheory":
        return [node.module, *(f"{node.module}.{one.name}" for one in node.names)]
    return []


def test_the_flow_is_a_room_and_the_gradient_flow_a_function():
    assert inspect.ismodule(nct.flow)
    assert nct.flow.gradient_flow is nct.gradient_flow
    assert nct.starts is nct.flow.starts
