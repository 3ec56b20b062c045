"""Where the suite's time goes: `pytest -p benchmarks.suite_profile [FILE …]` prints it after the tests.

For every test file, over all its tests and in seconds of a worker: the tests' own time, what of it JAX spent on tracing,
lowering and compiling (or fetching from the cache on disk), and the rest, which is running, starting processes and
waiting; how many programs were compiled; and how many distinct solve programs the suite asks for, of how many
families of problems. Processes that tests start count as the rest.

With `--slow-list FILE` it also writes the test functions of which one test took more than `SLOW` seconds of processor
time, its processes and all fixtures that it shares with others included: `tests/slow_tests.txt`, which
`pytest -m "not slow"` leaves out.
"""

import collections
import resource
import threading
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import jax
import pytest

KINDS = {
    "/jax/core/compile/jaxpr_trace_duration": "trace",
    "/jax/core/compile/jaxpr_to_mlir_module_duration": "lower",
    "/jax/core/compile/backend_compile_duration": "compile",
}
"""Events of JAX by what they are called here."""
SLOW = 0.5
"""Seconds of a slow test, where all tests run."""
SLOW_ALONE = 3.0
"""Seconds of a slow test among those that are left: it compiles by itself what a slower one has compiled otherwise (measured:
with 33 functions more in the list what is left took 3 min 57 s in place of 5 min 39 s)."""
Row = dict[str, float]
COLUMNS = ("tests", "seconds", *KINDS.values(), "rest", "compiled")


def covered(spans: Iterable[tuple[float, float]]) -> float:
    """Length of a union of intervals: what is traced within another trace counts once.

    >>> covered([(0, 1), (0.5, 2), (3, 4)])
    3.0
    """
    total, last = 0.0, float("-inf")
    for begin, end in sorted(spans):
        total += max(0.0, end - max(begin, last))
        last = max(last, end)
    return total


def processor_seconds() -> float:
    """Processor time of this process so far, with the processes that it has started and that have ended."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + ended.ru_utime + ended.ru_stime


def of_fixtures(shared: Mapping[tuple[str, str], float], function: str, used: Iterable[str]) -> float:
    """Seconds of the fixtures of a test function, from those of all by the place that they are defined for and by name.

    >>> shared = {("tests/test_a.py", "verdict"): 7.0, ("tests/test_b.py", "verdict"): 2.0, ("", "cluster"): 1.0}
    >>> of_fixtures(shared, "tests/test_a.py::test_it", ["verdict", "cluster"])
    8.0
    """
    names = set(used)
    return sum(seconds for (home, name), seconds in shared.items() if name in names and function.startswith(home))


def slow_functions(longest: Mapping[str, float], known: Iterable[str] = (), limit: float = SLOW) -> list[str]:
    """Test functions above the limit, from the processor time of the longest test of each, and those known before; sorted.

    >>> slow_functions({"tests/test_b.py::test_it": 9.0, "tests/test_a.py::test_it": 1.0, "tests/test_a.py::test_all": 0.1})
    ['tests/test_a.py::test_it', 'tests/test_b.py::test_it']
    """
    return sorted({*known, *(function for function, seconds in longest.items() if seconds > limit)})


class Profile:
    """What one process has seen; a plugin of pytest."""

    def __init__(self) -> None:
        from nctheory.engine import _programs  # once jaxtyping is told to check it

        self.spans: dict[tuple[str, int], list[tuple[float, float]]] = collections.defaultdict(list)
        self.table: dict[str, Row] = collections.defaultdict(lambda: collections.defaultdict(float))
        self.longest: dict[str, float] = collections.defaultdict(float)
        self.shared: dict[tuple[str, str], float] = {}
        self.made = 0.0
        self.solves: set[str] = set()
        jax.monitoring.register_event_duration_secs_listener(self.listen)
        _programs._PROGRAMS = _Watched(self.solves)

    def listen(self, event: str, duration_secs: float, **kwargs: Any) -> None:
        """Note an event, which has just ended."""
        if event in KINDS:
            now = time.perf_counter()
            self.spans[KINDS[event], threading.get_ident()].append((now - duration_secs, now))

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: pytest.FixtureDef[Any]):
        """What one test makes and others use is no time of the one that happens to come first."""
        before = processor_seconds()
        try:
            return (yield)
        finally:
            if fixturedef.scope != "function":
                seconds = processor_seconds() - before
                self.shared[fixturedef.baseid, fixturedef.argname] = seconds
                self.made += seconds

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item):
        """A test with its fixtures."""
        self.spans.clear()
        self.made = 0.0
        began, processor = time.perf_counter(), processor_seconds()
        try:
            return (yield)
        finally:
            function = item.nodeid.split("[")[0]
            alone = processor_seconds() - processor - self.made
            shared = of_fixtures(self.shared, function, getattr(item, "fixturenames", ()))
            self.longest[function] = max(self.longest[function], alone + shared)
            row = self.table[item.nodeid.split("::")[0]]
            spans = dict(self.spans)
            row["tests"] += 1
            row["seconds"] += time.perf_counter() - began
            for (kind, _), found in spans.items():
                row[kind] += covered(found)
                row["compiled"] += len(found) if kind == "compile" else 0

    def add(self, table: dict[str, Row], longest: dict[str, float], solves: Iterable[str]) -> None:
        """Take in what another process has seen."""
        for function, seconds in longest.items():
            self.longest[function] = max(self.longest[function], seconds)
        for file, row in table.items():
            _add(self.table[file], row)
        self.solves.update(solves)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """A worker of pytest-xdist hands over what it has."""
        output = getattr(session.config, "workeroutput", None)
        if output is not None:
            table = {file: dict(row) for file, row in self.table.items()}
            output["suite_profile"] = (table, dict(self.longest), sorted(self.solves))

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """The process that runs no tests takes it."""
        self.add(*getattr(node, "workeroutput", {}).get("suite_profile", ({}, {}, ())))

    def pytest_terminal_summary(self, terminalreporter: Any, config: pytest.Config) -> None:
        """The table, the files that take longest first; and the list of slow tests where it was asked for."""
        if file := config.getoption("--slow-list"):
            # Where the slow ones were left out, those that are slow alone join them.
            rest = config.getoption("markexpr") == "not slow"
            known = Path(file).read_text().split() if rest else ()
            found = slow_functions(self.longest, known, SLOW_ALONE if rest else SLOW)
            Path(file).write_text("".join(f"{function}\n" for function in found))
        whole: Row = collections.defaultdict(float)
        for row in self.table.values():
            _add(whole, row)
        rows = sorted(self.table.items(), key=lambda pair: -pair[1]["seconds"])
        terminalreporter.write_line("| file | " + " | ".join(COLUMNS) + " |\n|" + "---|" * (len(COLUMNS) + 1))
        for file, row in [*rows, ("all", whole)]:
            rest = row["seconds"] - sum(row[kind] for kind in KINDS.values())
            cells = [f"{rest if name == 'rest' else row[name]:.0f}" for name in COLUMNS]
            terminalreporter.write_line(f"| {file} | " + " | ".join(cells) + " |")
        families = {solve.split(" @ ")[0] for solve in self.solves}
        terminalreporter.write_line(f"{len(self.solves)} solve programs of {len(families)} families")


def _add(total: Row, row: Row) -> None:
    for name, number in row.items():
        total[name] += number


class _Watched(collections.OrderedDict[Any, Any]):
    """The book of programs, which notes those of solves: family, then width and whether it is compiled quickly."""

    def __init__(self, solves: set[str] | None = None) -> None:
        super().__init__()
        self._solves = set[str]() if solves is None else solves  # a test makes a book of its own

    def __setitem__(self, kind: Any, program: Any) -> None:
        super().__setitem__(kind, program)
        function, light, structure, *leaves = kind
        if function.__name__ == "solve_chunk":
            shapes = [str(leaf) for leaf in leaves]
            width = next((shape for shape in shapes if shape.startswith("ShapedArray(bool[")), "")[17:-2]
            of_the_problem = [shape for shape in shapes if f"[{width}]" not in shape and f"[{width}," not in shape]
            self._solves.add(f"{structure} {of_the_problem} @ {width} {light}")


def pytest_addoption(parser: pytest.Parser) -> None:
    """One option more."""
    parser.addoption(
        "--slow-list", metavar="FILE", help="write the slow test functions to FILE, or add to it with -m 'not slow'"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Enter the plugin's hooks."""
    config.pluginmanager.register(Profile(), "suite-profile-of-this-process")
