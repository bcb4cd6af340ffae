"""``make bench-peers``: a virtual environment for each peer under build/peers, and the comparison run inside it.

A peer that cannot be installed gives one line, and the others go on.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

import fastdl as fd
from fastdl.cli._bench._peers import PEERS, here

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
ENVIRONMENTS = ROOT / "build" / "peers"
FAILED = "the comparison FAILED, see above"
POOLS = ("OMP", "OPENBLAS", "MKL", "BLIS")  # whose threads the environment bounds


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m peers", description=__doc__)
    parser.add_argument("peers", nargs="*", metavar="PEER", help=f"some of {', '.join(PEERS)}; default all")
    parser.add_argument("--seconds", type=float, default=2.0, help="of timing a row")
    parser.add_argument("--threads", type=int, default=fd.get_num_threads(), help="of every library")
    arguments = parser.parse_args()
    if unknown := set(arguments.peers) - set(PEERS):
        parser.error(f"got {', '.join(sorted(unknown))}, expected some of {', '.join(PEERS)}")
    os.sched_setaffinity(0, cores(arguments.threads))  # inherited: some libraries make a thread for every core
    ends = {name: run(name, arguments.seconds, arguments.threads) for name in arguments.peers or PEERS}
    print("\n" + "\n".join(f"{PEERS[name].title}: {end}" for name, end in ends.items()))
    return int(FAILED in ends.values())


def run(name: str, seconds: float, threads: int) -> str:
    """Compare one peer; how that ended, in a line."""
    try:
        python = environment(name)
    except (OSError, subprocess.CalledProcessError) as error:
        return f"not compared, since it could not be installed: {reason(error)}"
    found = ENVIRONMENTS / f"{name}.jsonl"
    command = [python, "-m", "peers.compare", name, f"--seconds={seconds}", f"--threads={threads}", f"--out={found}"]
    done = subprocess.run(command, env=variables(threads))
    return FAILED if done.returncode else f"records in {found.relative_to(ROOT)}"


def environment(name: str) -> Path:
    """The interpreter of the peer's environment, made if its requirements are not those it was made from."""
    folder, requirements = ENVIRONMENTS / name, HERE / "requirements" / f"{name}.txt"
    python, stamp = folder / "bin" / "python", folder / "requirements.txt"
    wanted = requirements.read_text() + (HERE / "requirements" / "common.txt").read_text()
    if stamp.is_file() and stamp.read_text() == wanted:
        return python
    print(f"Installing {PEERS[name].title} into {folder.relative_to(ROOT)}", flush=True)
    # Of the interpreter that runs this: the kernels are built for its version.
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", requirements]
    for command in ([sys.executable, "-m", "venv", "--clear", folder], pip):
        subprocess.run(command, capture_output=True, text=True, check=True)
    stamp.write_text(wanted)
    return python


def installed(name: str) -> Path | None:
    """The interpreter that has the peer: of the environment made for it, else this one, else none."""
    folder = ENVIRONMENTS / name
    if (folder / "requirements.txt").is_file():  # written when all was installed
        return folder / "bin" / "python"
    return Path(sys.executable) if here(PEERS[name]) else None


def cores(threads: int) -> set[int]:
    """As many of the cores this process may use, one hardware thread of each core before the second of any."""
    seen: dict[str, int] = {}
    ranks = []
    for core in sorted(os.sched_getaffinity(0)):
        siblings = Path(f"/sys/devices/system/cpu/cpu{core}/topology/thread_siblings_list")
        own = siblings.read_text() if siblings.is_file() else str(core)
        ranks.append((seen.setdefault(own, 0), core))
        seen[own] += 1
    return {core for _, core in sorted(ranks)[:threads]}


def variables(threads: int) -> dict[str, str]:
    """The environment of a comparison: this checkout's fastdl, as many threads in every pool, no chatter."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    pools = {f"{pool}_NUM_THREADS": str(threads) for pool in POOLS}
    paths = os.pathsep.join([str(ROOT), str(ROOT / "bench")])
    return {**kept, **pools, "JAX_PLATFORMS": "cpu", "PYTHONPATH": paths}


def reason(error: OSError | subprocess.CalledProcessError) -> str:
    """Why an installer failed: the last line that says so."""
    said = f"{error}\n{getattr(error, 'stdout', '')}\n{getattr(error, 'stderr', '')}".strip().splitlines()
    return ([line for line in said if "ERROR" in line] or said)[-1]


if __name__ == "__main__":
    raise SystemExit(main())
