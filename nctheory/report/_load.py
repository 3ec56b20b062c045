"""What a folder of results holds: verdicts, phase diagrams, censuses, paths, codes, networks."""

import json
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import jsonschema
from jsonschema.exceptions import best_match

from nctheory.engine import shown
from nctheory.report._census import SCHEMA_VERSION as CENSUS_VERSION
from nctheory.report._dynamics import SCHEMA_VERSION as DYNAMICS_VERSION
from nctheory.report._network_files import NetworkFile, network_schemas, read_network_file
from nctheory.report._phase import SCHEMA_VERSION as PHASE_VERSION
from nctheory.report._turning import SCHEMA_VERSION as CODE_VERSION
from nctheory.theorems import VERDICT_VERSION, Verdict


@shown()
class Results(NamedTuple):
    """The results of a folder, in the order of its file names."""

    verdicts: tuple[Verdict, ...]
    phases: tuple[dict[str, Any], ...]
    """Phase diagrams, as `phase_data` gives them."""
    censuses: tuple[dict[str, Any], ...]
    """Censuses, as `census_data` gives them."""
    dynamics: tuple[dict[str, Any], ...]
    """Paths, as `dynamics_data` gives them."""
    left_out: tuple[str, ...]
    """Files that look like results and could not be read, each with the reason."""
    codes: tuple[dict[str, Any], ...] = ()
    """Codes on circles and spheres, as `code_data` gives them."""
    networks: tuple[NetworkFile, ...] = ()
    """What `train`, `transfer`, `observe` and `measure` wrote."""


def load_results(folder: str | Path) -> Results:
    """Read every result below a folder: what `verify`, `phase`, `dynamics`, `census`, `train`, … wrote as JSON.

    Of two verdicts of one theorem the one of more seeds counts, but an engine error before any other; and so it does of two
    results of one observation at one key. Raises ValueError where there is no such folder, or nothing in it.
    """
    root = Path(folder)
    if not root.is_dir():
        raise ValueError(f"folder: expected a folder of results, got {folder}")
    verdicts: dict[str, Verdict] = {}
    phases, censuses, paths, codes, left_out = [], [], [], [], []
    networks: list[NetworkFile] = []
    for file in sorted(root.rglob("*.json")):
        try:
            found = json.loads(file.read_text(encoding="utf-8"))
            for one in found if isinstance(found, list) else [found]:
                if not isinstance(one, dict):
                    continue  # not one of ours
                if str(one.get("schema")).rpartition(" ")[0] in network_schemas():
                    networks.append(read_network_file(one, file.parent.relative_to(root).as_posix()))
                elif "schema_version" not in one:
                    continue
                elif "theorem" in one:
                    check_verdict(one)
                    verdict = Verdict.from_dict(one)
                    known = verdicts.get(verdict.theorem)
                    if known is None or _weight(known) < _weight(verdict):
                        verdicts[verdict.theorem] = verdict
                elif "diagram" in one:
                    phases.append(_of_version(one, PHASE_VERSION))
                elif "dynamics" in one:
                    paths.append(_of_version(one, DYNAMICS_VERSION))
                elif "codes" in one:
                    codes.append(_of_version(one, CODE_VERSION))
                elif "census" in one or "critical" in one:
                    censuses.append(_of_version(one, CENSUS_VERSION))
        except (OSError, ValueError, TypeError, RecursionError) as error:
            left_out.append(f"{file.relative_to(root)}: {str(error)[:300]}")
    if not (verdicts or phases or censuses or paths or codes or networks):
        why = f" ({'; '.join(left_out)})" if left_out else ""
        raise ValueError(
            f"folder: {folder} holds no results of nctheory verify, phase, dynamics, census, train, transfer, observe "
            f"or measure (made with --out, or --json){why}"
        )
    ordered = tuple(verdicts[name] for name in sorted(verdicts))
    kept = _largest(networks)
    return Results(ordered, tuple(phases), tuple(censuses), tuple(paths), tuple(left_out), tuple(codes), kept)


def _largest(networks: list[NetworkFile]) -> tuple[NetworkFile, ...]:
    """All files, in their order, but of each observation and key only that of the most seeds."""
    best: dict[Any, NetworkFile] = {}
    for i, one in enumerate(networks):
        name: Any = (one.data["observation"], one.data["key"]) if one.kind == "observation" else i
        known = best.get(name)
        if known is None or known.data["seeds"] < one.data["seeds"]:
            best[name] = one
    return tuple(best.values())


def check_verdict(data: dict[str, Any]) -> None:
    """Hold a verdict against the schema that is shipped; ValueError says where it differs."""
    if data.get("schema_version") != VERDICT_VERSION:
        raise ValueError(
            f"schema_version: expected {VERDICT_VERSION}, got {data.get('schema_version')!r}; verify it anew"
        )
    worst = best_match(_validator().iter_errors(data))
    if worst is not None:
        raise ValueError(f"{'.'.join(map(str, worst.absolute_path)) or 'verdict'}: {worst.message[:200]}")


@cache
def _validator() -> Any:
    schema = json.loads((Path(__file__).parent / "verdict.schema.json").read_text(encoding="utf-8"))
    return jsonschema.Draft202012Validator(schema)


def _weight(verdict: Verdict) -> tuple[bool, int]:
    """What decides between two verdicts of one theorem."""
    return verdict.outcome == "engine error", verdict.seeds_run


def _of_version(data: dict[str, Any], version: int) -> dict[str, Any]:
    if data["schema_version"] != version:
        raise ValueError(f"schema_version: expected {version}, got {data['schema_version']!r}; compute it anew")
    return data
