"""The folder of a training that can be interrupted: one file a seed, which is believed only if it is of this very training."""

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from nctheory.engine import Scalar, write_atomically
from nctheory.networks._loop import Plan, State
from nctheory.networks._network import Network
from nctheory.networks._optimisers import Rule
from nctheory.problems import Params
from nctheory.sweeps import StoreError, fingerprint, pack_tile, program_digest, running_code, unpack_tile

SAVE_SECONDS = 20.0
"""The states of seeds in training are written at most this often; those that are finished at once (conventional)."""


def _fit(network: Any, params: Params) -> Scalar:
    return network.fit(params)


def identity_of(network: Network, plan: Plan, optimiser: str, scale: float) -> dict[str, Any]:
    """All that the training of a seed depends on: the network with its numbers and programs, the plan, and the code."""
    program = program_digest(network, {"fit": _fit})
    rule: Rule = plan.rule
    return {
        "network": fingerprint(network, program),
        "optimiser": optimiser,
        "schedule": rule.schedule,
        "decoupled": rule.decoupled,
        "rate": plan.rate,
        "steps": plan.steps,
        "batch": plan.batch,
        "key": [str(jax.random.key_impl(plan.key)), *np.asarray(jax.random.key_data(plan.key)).tolist()],
        "scale": float(scale),
        **running_code(),
    }


class TrainingFolder:
    """A folder with the states of seeds; several processes may train different seeds of one training in one folder.

    Raises StoreError, naming the file and what differs, for a folder that holds another training.
    """

    def __init__(self, folder: str | os.PathLike[str], identity: Mapping[str, Any]) -> None:
        self.folder = Path(folder)
        self.identity = dict(identity)
        self.damaged: list[str] = []
        """Files that could not be read: these seeds are trained again."""
        self._saved = time.monotonic()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"folder: cannot use {self.folder}: {error.strerror or error}") from error

    def load(self, state: State, seeds: np.ndarray) -> tuple[State, dict[int, dict[int, Params]]]:
        """The state with what the folder holds of the seeds, and the points that they passed, by seed and step."""
        leaves, structure = jax.tree.flatten(state)
        leaves, passed = [np.array(x) for x in leaves], {}
        for row, seed in enumerate(seeds.tolist()):
            held = self._read(self._file(seed), seed)
            if held is None:
                continue
            for i, leaf in enumerate(leaves):
                leaf[row] = held[f"state {i}"]
            passed[seed] = _passed(held, jax.tree.structure(state.point))
        return jax.tree.unflatten(structure, leaves), passed

    def save(self, state: State, seeds: np.ndarray, passed: Mapping[int, Mapping[int, Params]], done: bool) -> None:
        """Write the state of every seed, if the last time is long enough ago or they are `done`."""
        if not done and time.monotonic() - self._saved < SAVE_SECONDS:
            return
        for row, seed in enumerate(seeds.tolist()):
            arrays = {f"state {i}": np.asarray(leaf[row]) for i, leaf in enumerate(jax.tree.leaves(state))}
            for step, point in passed.get(seed, {}).items():
                arrays |= {f"passed {step} {i}": leaf for i, leaf in enumerate(jax.tree.leaves(point))}
            file = self._file(seed)
            try:
                write_atomically(file, pack_tile(arrays, {**self.identity, "seed": seed}))
            except OSError as error:
                raise StoreError(f"folder: cannot write {file}: {error.strerror or error}") from error
        self._saved = time.monotonic()

    def _file(self, seed: int) -> Path:
        return self.folder / f"seed-{seed:06d}.state"

    def _read(self, file: Path, seed: int) -> dict[str, np.ndarray] | None:
        """What a file holds; None where there is none or it is damaged."""
        if not file.is_file():
            return None
        try:
            arrays, identity = unpack_tile(file.read_bytes())
        except (OSError, ValueError) as error:
            self.damaged.append(f"{file.name}: {error}")
            return None
        wanted = {**self.identity, "seed": seed}
        for name in sorted({*wanted, *identity}):
            if wanted.get(name) != identity.get(name):
                raise StoreError(
                    f"folder: {file} holds another training: its {name} is {identity.get(name)!r}, not {wanted.get(name)!r}"
                )
        return arrays


def _passed(held: Mapping[str, np.ndarray], structure: Any) -> dict[int, Params]:
    """The points of the checkpoints in a file, by step."""
    found: dict[int, list[tuple[int, np.ndarray]]] = {}
    for name, array in held.items():
        kind, *numbers = name.split()
        if kind == "passed":
            found.setdefault(int(numbers[0]), []).append((int(numbers[1]), array))
    return {step: jax.tree.unflatten(structure, [leaf for _, leaf in sorted(parts, key=lambda p: p[0])])
            for step, parts in found.items()}  # fmt: skip
