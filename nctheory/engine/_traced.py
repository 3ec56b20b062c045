"""Programs as JAX has traced them, kept on the disk: a process that needs one again does not trace it anew.

Tracing and lowering a solve takes a second of Python, which is most of a first result when the compiled program comes from
JAX's own cache. What is kept is the exported program (StableHLO, some 50 kB of a solve), from which JAX compiles as ever: its
own cache holds what comes of that. A process that traces a program calls the exported form too, so that all processes run the
same one.
"""

import hashlib
import pickle
import shutil
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
from jax import export

from nctheory.engine._code import code_digest, code_stands, library_versions
from nctheory.engine._concrete import is_traced
from nctheory.engine._files import write_atomically
from nctheory.engine._identity import NoIdentity, identity

FORMAT = 1
"""Counts what changes the files' form."""
KEPT_VERSIONS = 3
"""The versions of the code whose programs stay on the disk (conventional): those used last."""
NO_PROGRAM = (
    "cache",
    "log",
    "traceback",
    "source_url",
    "pprint",
    "explain",
    "share_binary",
    "profile",
    "pgle",
    "platforms",
)
"""Words in the names of JAX's settings that change no program, but where it is kept and what is said of it."""

_FOLDER: Path | None = None


def keep_traced_programs(folder: Path | None) -> None:
    """Keep traced programs under `folder`, of this version of the code; None keeps and reads none, as is the default."""
    global _FOLDER
    _FOLDER = None
    if folder is None:
        return
    here = folder / hashlib.sha256(f"{FORMAT} {code_digest()} {library_versions()}".encode()).hexdigest()[:16]
    try:
        here.mkdir(parents=True, exist_ok=True)
        here.touch()
        others = sorted((one for one in folder.iterdir() if one != here), key=lambda one: one.stat().st_mtime)
    except OSError:
        return
    for old in others[: -(KEPT_VERSIONS - 1)]:
        shutil.rmtree(old, ignore_errors=True)
    _FOLDER = here


def from_disk(function: Callable[..., Any], changed: Callable[..., Any]) -> Callable[..., Any]:
    """`changed`, which is made of `function` alone, as a part of a program that is being traced: as an exported program.

    It is for the outermost function of a program, within `jax.jit`. A function is traced as ever where no folder is given,
    where the one device is not a CPU, or not the only one, where an argument has no `identity` (a user's own loss), and where
    JAX can export no program of it (one that calls back into Python).
    """

    def kept(*args: Any, **kwargs: Any) -> Any:
        leaves, structure = jax.tree.flatten((args, kwargs))
        places = [i for i, leaf in enumerate(leaves) if is_traced(leaf)]
        if _FOLDER is None or not places or not _one_processor():
            return changed(*args, **kwargs)
        try:
            file = _FOLDER / f"{function.__name__}-{_key(function, leaves, structure)}"
        except NoIdentity:
            return changed(*args, **kwargs)
        traced = [leaves[i] for i in places]
        found = _read(file)
        if found is None:
            results: list[Any] = []

            def of_traced(*given: Any) -> list[Any]:
                every = list(leaves)
                for i, x in zip(places, given, strict=True):
                    every[i] = x
                args, kwargs = jax.tree.unflatten(structure, every)
                flat, tree = jax.tree.flatten(changed(*args, **kwargs))
                results.append(tree)
                return flat

            try:
                program = export.export(jax.jit(of_traced))(*map(_shape, traced))
                found = program, results[-1]
            except (ValueError, NotImplementedError):  # what cannot be exported; what is wrong with it is said below
                return changed(*args, **kwargs)
            _write(file, *found)
        program, tree = found
        return jax.tree.unflatten(tree, program.call(*traced))

    return kept


def _one_processor() -> bool:
    """Whether there is one device, a CPU: an exported program is for one platform, and all its arguments are there."""
    return jax.default_backend() == "cpu" and jax.device_count() == 1


def _shape(value: Any) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(value.shape, value.dtype, weak_type=jax.typeof(value).weak_type)


def _key(function: Callable[..., Any], leaves: list[Any], structure: Any) -> str:
    """What a program depends on: its function, types and shapes or static arguments, JAX's settings, the device."""
    parts = [identity(function), identity(structure), f"{jax.local_devices()[0].device_kind}"]
    for leaf in leaves:
        parts.append(f"{jax.typeof(leaf)} {jax.typeof(leaf).weak_type}" if is_traced(leaf) else identity(leaf))
    settings = getattr(jax.config, "values", None)
    if settings is None:  # of another version of JAX
        raise NoIdentity("JAX does not name its settings")
    for name in sorted(settings):
        if not any(word in name for word in NO_PROGRAM):
            parts.append(f"{name}={getattr(jax.config, name, None)}")
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]


def _read(file: Path) -> tuple[Any, Any] | None:
    """An exported program and the structure of its results; None where there is none that can be read."""
    try:
        program, tree = pickle.loads(zlib.decompress(file.read_bytes()))
        return export.deserialize(bytearray(program)), jax.tree.structure(tree)
    except OSError:
        return None
    except Exception:  # a file of anything else, which is written anew
        return None


def _write(file: Path, program: Any, tree: Any) -> None:
    """Keep a program, where its results are made of what another process can make too, by the code that the folder is for."""
    if not code_stands():
        return
    try:
        example = jax.tree.unflatten(tree, [0] * tree.num_leaves)
        content = pickle.dumps((bytes(program.serialize()), example))
        if jax.tree.structure(pickle.loads(content)[1]) != tree:
            return
        write_atomically(file, zlib.compress(content, 1), durable=False)
    except (OSError, pickle.PicklingError, AttributeError, TypeError, ValueError):
        return
