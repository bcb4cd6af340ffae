"""Files under stress: writers killed at any moment, and a great many hostile files. Not part of the normal suite.

    python tests/stress/files.py [--kills 1000] [--files 200000] [--seed 0]

Prints a line for each figure, and exits with 1 if a save was lost, a file passed for what it is not, another exception
than ValueError came, or a file cost more time or memory than its size explains.
"""

import argparse
import contextlib
import json
import os
import random
import signal
import sys
import tempfile
import time
import tracemalloc
from pathlib import Path

import numpy as np

from fastdl import _safetensors
from fastdl._files import _PREFIX


def version_of(path):
    """The version a whole file holds; a ValueError where it is mixed or damaged."""
    tensors, metadata = _safetensors.load(path)
    version = int(metadata["version"])
    if not (tensors["a"] == version).all():
        raise ValueError(f"version {version} holds another one's numbers")
    return version


def kill_writers(folder, kills, seed, size=20_000):
    """Kill processes that save again and again, at random moments. Returns (saves, lost).

    A save is lost where the file does not load, is older than the last save that returned, or newer than the next.
    """
    rng = random.Random(seed)
    path = Path(folder) / "model [1]*.safetensors"
    start = time.perf_counter()
    _safetensors.save(path, {"a": np.zeros(size, np.int64)}, {"version": "0"})
    span = max(0.01, 4 * (time.perf_counter() - start))  # seconds, so that a slow machine, too, gets to saving
    version = lost = 0
    for _ in range(kills):
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            with contextlib.suppress(BaseException):
                number = version
                while True:
                    number += 1
                    _safetensors.save(path, {"a": np.full(size, number, np.int64)}, {"version": str(number)})
                    os.write(writer, number.to_bytes(8, "little"))
            os._exit(1)
        os.close(writer)
        time.sleep(rng.uniform(0.0, span))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        finished = version
        while word := os.read(reader, 8):
            finished = int.from_bytes(word, "little")
        os.close(reader)
        try:
            found = version_of(path)
            lost += not finished <= found <= finished + 1
        except (ValueError, OSError) as error:
            print(f"lost: {error}")
            found, lost = finished, lost + 1
        version = found
    return version, lost


def leftovers(folder):
    return [name for name in os.listdir(folder) if name.startswith(_PREFIX)]


# ---- hostile files ----------------------------------------------------------------------------------
def entry(dtype="F32", shape=(2,), offsets=(0, 8)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


def raw_file(header, data=b"", length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + data


def large_headers(size):
    """Headers of about `size` bytes that once cost its square, or far more memory than the file has."""

    def many(piece):
        return piece * (size // len(piece))

    names = ",".join(f'"{i:07}":{{}}' for i in range(size // 13))
    twice = ",".join(f'"{i // 2:07}":{{}}' for i in range(size // 13))
    entries = ",".join(f'"{i}":{{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}' for i in range(size // 60))
    return {
        "nested lists": b'{"a":' + b"[" * size,
        "nested objects": many(b'{"a":'),
        "lists in a list": b'{"a":[' + many(b"[],"),
        "names": f"{{{names}}}".encode(),
        "names twice": f"{{{twice}}}".encode(),
        "empty arrays": f"{{{entries}}}".encode(),
        "a number": b'{"a":' + b"9" * size + b"}",
        "a fraction": b'{"a":0.' + b"9" * size + b"}",
        "an exponent": b'{"a":1e' + b"9" * size + b"}",
        "a name": b'{"' + b"\x1b" * size + b'":{}}',
        "an escaped name": b'{"' + many(b"\\u001b") + b'":{}}',
        "an open name": b'{"' + many(b"\\\\"),
        "a shape": b'{"a":{"dtype":"F32","data_offsets":[0,4],"shape":[' + many(b"1,") + b"1]}}",
        "spaces": b"{" + b" " * size,
        "NaN": b'{"a":[' + many(b"NaN,") + b"1]}",
        "metadata": b'{"__metadata__":{"a":"' + b"a" * size + b'"}}',
    }


def cost(raw, folder):
    """CPU seconds and peak bytes of loading; the exception's text, "" where it loads."""
    path = Path(folder) / "hostile"
    path.write_bytes(raw)
    tracemalloc.start()
    started = time.process_time()
    try:
        _safetensors.load(path)
        reason = ""
    except ValueError as error:
        reason = str(error)
    seconds = time.process_time() - started
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return seconds, peak, reason


def mutations(raw, count, rng):
    """The file with bytes changed, taken out, put in, repeated or cut off; its checksum does not help it."""
    start = int.from_bytes(raw[:8], "little") + 8
    for _ in range(count):
        mutated = bytearray(raw)
        for _ in range(rng.choice((1, 1, 2, 5))):
            place = rng.randrange(start if rng.random() < 0.9 else len(mutated))
            kind = rng.randrange(5)
            if kind == 0:
                mutated[place % len(mutated)] ^= 1 << rng.randrange(8)
            elif kind == 1:
                mutated[place : place + rng.randrange(1, 9)] = b""
            elif kind == 2:
                mutated[place:place] = bytes(rng.choices(b'0123456789{}[]",:-eNaN\\\x00\xff', k=rng.randrange(1, 9)))
            elif kind == 3:
                mutated[place:place] = mutated[place : place + rng.randrange(1, 99)]
            else:
                del mutated[place:]
            if not mutated:
                break
        if rng.random() < 0.7 and len(mutated) > 8:  # a length that fits, so that more is read
            mutated[:8] = max(0, len(mutated) - 8 - (len(raw) - start)).to_bytes(8, "little")
        yield bytes(mutated)


def fuzz(folder, count, seed):
    """Load mutations of two files. Returns (refused, loaded, foreign exceptions)."""
    rng = random.Random(seed)
    path = Path(folder) / "fuzzed"
    tensors = {"w": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.zeros(0), "n": np.array(5, np.int8)}
    _safetensors.save(path, tensors, {"note": "text"})
    own = path.read_bytes()
    theirs = raw_file({"__metadata__": {"a": "b"}, "w": entry(), "v": entry("U8", (3,), (8, 11))}, bytes(11))
    refused = loaded = foreign = 0
    for raw in [*mutations(own, count // 2, rng), *mutations(theirs, count // 2, rng)]:
        path.write_bytes(raw)
        try:
            found, _ = _safetensors.load(path)
            loaded += 1
            assert sum(array.nbytes for array in found.values()) <= len(raw)
        except ValueError as error:
            refused += 1
            foreign += len(str(error)) > 1000 or not str(error).isprintable()
        except Exception as error:
            foreign += 1
            print(f"foreign: {type(error).__name__}: {error}: {raw!r:.200}")
    return refused, loaded, foreign


def cuts_and_flips(folder):
    """Every truncation and every flipped bit of a checksummed file. Returns (tried, not noticed)."""
    path = Path(folder) / "cut"
    _safetensors.save(path, {"a": np.arange(40, dtype=np.float32)}, {"note": "text"})
    raw = path.read_bytes()
    name = raw.index(b'"fastdl.checksum"')  # without its own name, the checksum is another program's string
    versions = [raw[:length] for length in range(len(raw))]
    for index in range(len(raw)):
        if not name < index < name + 16:
            versions += [raw[:index] + bytes([raw[index] ^ 1 << bit]) + raw[index + 1 :] for bit in range(8)]
    missed = 0
    for version in versions:
        path.write_bytes(version)
        with contextlib.suppress(ValueError):
            _safetensors.load(path)
            missed += 1
    return len(versions), missed


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--files", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    bad = 0
    with tempfile.TemporaryDirectory() as folder:
        saves, lost = kill_writers(folder, given.kills, given.seed)
        print(f"{given.kills} writers killed in {saves} saves: {lost} lost; {len(leftovers(folder))} leftovers")
        bad += lost
    with tempfile.TemporaryDirectory() as folder:
        tried, missed = cuts_and_flips(folder)
        print(f"{tried} truncations and flipped bits: {missed} not noticed")
        refused, loaded, foreign = fuzz(folder, given.files, given.seed)
        print(
            f"{refused + loaded} mutated files: {refused} refused, {loaded} sound, {foreign} foreign or long messages"
        )
        bad += missed + foreign
        for name, header in large_headers(15_000_000).items():
            seconds, peak, reason = cost(raw_file(header), folder)
            # tracemalloc slows every allocation
            slow = seconds > 30 or peak > 60 * len(header) or len(reason) > 1000
            print(
                f"{len(header) / 1e6:.0f} MB of {name}: {seconds:.2f} s, {peak / 1e6:.0f} MB: {reason[-70:] or 'loads'}"
            )
            bad += slow
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
