"""The kernels' source with a thread of the operating system for every thread of a block, under one of g++'s sanitizers."""

import os
import subprocess
from functools import cache
from pathlib import Path

import numpy as np

from nctheory.kernels import KERNELS, Arrays
from nctheory.kernels import _emulated as emulator

HERE = Path(__file__).parent
FLAGS = {
    "thread": ("-fsanitize=thread",),
    "address": ("-fsanitize=address,undefined", "-fno-sanitize-recover=all"),
}
ENVIRONMENT = os.environ | {"TSAN_OPTIONS": "halt_on_error=1"}
"""After the first fault nothing is to be waited for: a thread that has seen too little may run for ever."""


@cache
def sanitized(text, sanitizer, folder):
    """The program of a source, in a folder."""
    program = folder / f"kernels-{sanitizer}-{len(list(folder.iterdir()))}"
    parts = [emulator.text_of("cpu.h"), text, emulator.text_of("emulated.cc")]
    whole = "\n".join([(HERE / "threaded_emulator.h").read_text(), *parts])
    whole += (HERE / "threaded_emulator.cc").read_text()
    command = [
        "g++",
        "-std=c++17",
        "-O1",
        "-g",
        "-w",
        "-pthread",
        *FLAGS[sanitizer],
        "-x",
        "c++",
        "-",
        "-o",
        str(program),
    ]
    subprocess.run(command, input=whole, capture_output=True, text=True, check=True)
    return program


class Threaded(emulator._Emulated):
    """Kernels whose every launch is a process; `found` is what the sanitizer said."""

    def __init__(self, text, sanitizer, folder):
        self.text, self.sanitizer, self.folder, self.found, self.launched = text, sanitizer, folder, [], []

    def launch(self, name, index, arrays, numbers):
        """Do one stage; AssertionError with the sanitizer's report where it has one."""
        told = np.array([KERNELS.index(name), numbers.budget, numbers.flow, numbers.polish], np.int64)
        sent = (told, np.array([numbers.rtol]), np.ascontiguousarray(index, np.int32), *arrays)
        come, gone = self.folder / "come", self.folder / "gone"
        come.write_bytes(b"".join(np.int64(x.size).tobytes() + np.ascontiguousarray(x).tobytes() for x in sent))
        command = [sanitized(self.text, self.sanitizer, self.folder), come, gone]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, env=ENVIRONMENT)
        assert (done.returncode, done.stderr) == (0, ""), done.stderr[:4000]
        self.launched.append(name)
        ended = gone.read_bytes()
        for array in Arrays(*arrays)[:4]:
            size = array.nbytes
            array[...] = np.frombuffer(ended[:size], array.dtype).reshape(array.shape)
            ended = ended[size:]
        assert not ended


@cache
def works(sanitizer, folder):
    """Whether this machine compiles and runs programs under the sanitizer."""
    program = folder / sanitizer
    command = ["g++", *FLAGS[sanitizer], "-x", "c++", "-", "-o", str(program)]
    made = subprocess.run(command, input="int main() {}", capture_output=True, text=True, check=False)
    return made.returncode == 0 and subprocess.run([program], capture_output=True, check=False).returncode == 0
