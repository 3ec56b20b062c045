"""Programs as JAX has traced them, kept on the disk: a process that needs one again does not trace it anew.

Tracing and lowering a solve takes a second of Python, which is most of a first result when the compiled program comes from
JAX's own cache. What is kept is the exported program (StableHLO, some 50 kB of a solve), from which JAX compiles as ever: its
own cache holds what comes of that. A process that traces a program calls the exported form too, so that all processes run the
same one. Whoever changes the package in a running process (a patched function, another constant) must keep nothing: no key
tells what was changed.
"""

import contextlib
import hashlib
import os
import pickle
import re
import shutil
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jax
from jax import export

from nctheory.engine._code import code_digest, code_stands, library_versions
from nctheory.engine._concrete import is_traced, within_trace
from nctheory.engine._files import write_atomically
from nctheory.engine._identity import PACKAGES, NoIdentity, identity

FORMAT = 2
"""Counts what changes the files' form."""
KEPT_VERSIONS = 3
"""The versions of the code whose programs stay on the disk (conventional): those used last."""
LOOK_AGAIN = 1.0
"""Seconds between two looks at whether the code's files stand as they were read (conventional)."""
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
VARIABLES = ("EQX_",)
"""How variables of the environment begin that libraries read while they trace."""
AS_EVER: Literal[b"traced as ever"] = b"traced as ever"
"""The content of a file whose program is traced in every process."""

_FOLDER: Path | None = None
_looked = 0.0
_STATES: list[Callable[[], Any]] = []
_own = 0


class Kept(NamedTuple):
    """An exported program, and the structure of its results."""

    program: export.Exported
    tree: Any


def keep_traced_programs(folder: Path | None) -> None:
    """Keep traced programs under `folder`, of this version of the code; None keeps and reads none, as is the default.

    The digests of the code are taken here, so that a process calls it before it imports what it computes with.
    """
    global _FOLDER, _looked
    _FOLDER = None
    if folder is None:
        return
    try:
        for package in PACKAGES:
            code_digest(package)
        here = folder / hashlib.sha256(f"{FORMAT} {code_digest()} {library_versions()}".encode()).hexdigest()[:16]
        here.mkdir(parents=True, exist_ok=True)
        here.touch()
        versions = [one for one in folder.iterdir() if re.fullmatch("[0-9a-f]{16}", one.name) and one != here]
        for old in sorted(versions, key=lambda one: one.stat().st_mtime)[: -(KEPT_VERSIONS - 1)]:
            shutil.rmtree(old, ignore_errors=True)
    except OSError:
        return
    _FOLDER, _looked = here, time.monotonic()


def depends_on(state: Callable[[], Any]) -> None:
    """Say what functions look up while they are traced and nobody gives them, such as a public table of functions by name."""
    _STATES.append(state)


def read_own_state() -> None:
    """Say, within a function that is being traced, that it reads what belongs to this process alone.

    Neither its program is kept nor any that this process traces later: JAX may make a part of one from a trace of before.
    Where nothing is being traced it says nothing: what is found there comes into a program as an argument, which has its key.
    """
    global _own
    if within_trace():
        _own += 1


def from_disk(function: Callable[..., Any], changed: Callable[..., Any]) -> Callable[..., Any]:
    """`changed`, which is made of `function` alone, as a part of a program that is being traced: as an exported program.

    It is for the outermost function of a program, within `jax.jit`. A function is traced as ever where no folder is given,
    where the one device is not a CPU, or not the only one, where an argument has no `identity` (a user's own loss), where it
    reads the process's own state, and where JAX can export no program of it (one that calls back into Python).
    """

    def kept(*args: Any, **kwargs: Any) -> Any:
        leaves, structure = jax.tree.flatten((args, kwargs))
        places = [i for i, leaf in enumerate(leaves) if is_traced(leaf)]
        folder = _folder_that_stands()
        if folder is None or not places or not _one_processor():
            return changed(*args, **kwargs)
        try:
            file = folder / f"{function.__name__}-{_key(function, leaves, structure)}"
        except Exception:  # no identity, or an object that will not be looked at
            return changed(*args, **kwargs)
        traced = [leaves[i] for i in places]
        shapes = [jax.ShapeDtypeStruct(x.shape, x.dtype, weak_type=jax.typeof(x).weak_type) for x in traced]
        found = _read(file, shapes)
        if found == AS_EVER or (found is None and _own):
            return changed(*args, **kwargs)
        if found is None:

            def of_traced(*given: Any) -> tuple[Any, ...]:
                every = list(leaves)
                for i, x in zip(places, given, strict=True):
                    every[i] = x
                args, kwargs = jax.tree.unflatten(structure, every)
                flat, tree = jax.tree.flatten(changed(*args, **kwargs))
                trees.append(tree)
                return tuple(flat)

            trees: list[Any] = []
            try:
                program = export.export(jax.jit(of_traced))(*shapes)
            except (ValueError, NotImplementedError, AssertionError, TypeError):
                program = None
            if program is None or _own or any(aval.weak_type for aval in program.out_avals):
                result = changed(*args, **kwargs)  # raises what is wrong with it, if that was the reason
                _write(file, AS_EVER)
                return result
            found = Kept(program, trees[-1])
            _write(file, _packed(found))
        return jax.tree.unflatten(found.tree, found.program.call(*traced))

    return kept


def _folder_that_stands() -> Path | None:
    """The folder, until a file of the code has changed: modules that are imported from then on are of other code."""
    global _FOLDER, _looked
    if _FOLDER is not None and time.monotonic() - _looked > LOOK_AGAIN:
        _looked = time.monotonic()
        if not code_stands():
            _FOLDER = None
    return _FOLDER


def _one_processor() -> bool:
    """Whether there is one device, a CPU: an exported program is for one platform, and all its arguments are there."""
    return jax.default_backend() == "cpu" and jax.device_count() == 1


def _key(function: Callable[..., Any], leaves: list[Any], structure: Any) -> str:
    """What a program depends on: its function, types and shapes or static arguments, what is looked up, JAX's settings."""
    parts = [identity(function), identity(structure), jax.local_devices()[0].device_kind]
    for leaf in leaves:
        parts.append(f"{jax.typeof(leaf)} {jax.typeof(leaf).weak_type}" if is_traced(leaf) else identity(leaf))
    parts += [identity(state()) for state in _STATES]
    settings = getattr(jax.config, "values", None)
    if settings is None:  # of another version of JAX
        raise NoIdentity("JAX does not name its settings")
    for name in sorted(settings):
        if not any(word in name for word in NO_PROGRAM):
            parts.append(f"{name}={getattr(jax.config, name, None)}")
    parts += [f"{name}={value}" for name, value in sorted(os.environ.items()) if name.startswith(VARIABLES)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]


def _packed(kept: Kept) -> bytes | None:
    """The content of a file; None where another process could not make what the results are made of."""
    try:
        content = pickle.dumps(
            (bytes(kept.program.serialize()), jax.tree.unflatten(kept.tree, [0] * kept.tree.num_leaves))
        )
        same = jax.tree.structure(pickle.loads(content)[1]) == kept.tree
    except Exception:  # classes refuse in ways of their own
        return None
    return zlib.compress(content, 1) if same else None


def _read(file: Path, shapes: list[jax.ShapeDtypeStruct]) -> Kept | Literal[b"traced as ever"] | None:
    """What a file keeps for arguments of these shapes; None where there is none, or one of anything else."""
    try:
        content = file.read_bytes()
        if content == AS_EVER:
            return AS_EVER
        program, example = pickle.loads(zlib.decompress(content))
        found = Kept(export.deserialize(bytearray(program)), jax.tree.structure(example))
    except Exception:  # it is written anew
        return None
    fits = [(x.shape, x.dtype) for x in found.program.in_avals] == [(x.shape, x.dtype) for x in shapes]
    return found if fits and len(found.program.out_avals) == found.tree.num_leaves else None


def _write(file: Path, content: bytes | None) -> None:
    """Keep what stands in a file, if it is by the code that the folder is for."""
    if content is not None and code_stands():
        with contextlib.suppress(OSError):
            write_atomically(file, content, durable=False)
