"""``python -m fuzz --seed S --seconds N``; ``--index I`` runs one call of the seed again and shows what comes of it."""

import argparse
import contextlib
import mmap
import os
import pickle
import random
import resource
import select
import signal
import sys
import time
import traceback
from typing import Any

from . import verdict, worker
from .recipes import recipes as all_recipes
from .subjects import open_taps

MEMORY = 4 << 30  # bytes of a child's address space
PATIENCE = 40.0  # seconds without a finished call, after which a child is ended: not even the alarm reached it
KINDS = ("crash", "hang", "foreign", "changed", "unnamed")


class Child:
    """A process that fuzzes calls `first`, `first + stride`, ... until it is stopped, or ends by itself."""

    def __init__(self, seed: int, first: int, stride: int, plan: Any) -> None:
        self.first, self.stride = first, stride
        self.at = mmap.mmap(-1, 8)  # the call it is at
        self.at[:] = first.to_bytes(8, "little")
        read, write = os.pipe()
        self.pipe, self.buffer = read, b""
        self.pid = os.fork()
        if self.pid == 0:
            os.close(read)
            _work(seed, first, stride, plan, self.at, write)
        os.close(write)
        self.heard = time.monotonic()

    def index(self) -> int:
        return int.from_bytes(self.at[:], "little")

    def end(self) -> int:
        """Its status as waitpid has it."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        status = os.waitpid(self.pid, 0)[1]
        os.close(self.pipe)
        return status


def _work(seed: int, first: int, stride: int, plan: Any, at: mmap.mmap, pipe: int) -> None:
    """The child's life: nothing of it returns."""
    names, sites, recipes = plan
    parent = os.getppid()
    try:
        if "san" not in os.environ.get("LD_PRELOAD", ""):  # whose shadow takes terabytes of addresses
            resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        with worker.quiet():
            index = first
            while os.getppid() == parent:  # a parent that was killed ends nobody
                at[:] = index.to_bytes(8, "little")
                call = worker.Call(seed, index, names, sites, recipes)
                call.run()
                message = pickle.dumps(
                    (index, call.refusals, call.unnamed, bool(call.done), [tuple(one) for one in call.findings])
                )
                os.write(pipe, len(message).to_bytes(4, "little") + message)
                index += stride
    except BaseException:
        os.write(2, traceback.format_exc().encode())
    finally:
        os._exit(3)


class Totals:
    def __init__(self) -> None:
        self.calls = self.refusals = self.unnamed = 0
        self.found: dict[str, worker.Finding] = {}
        self.times: dict[str, int] = {}

    def add(self, finding: worker.Finding) -> None:
        self.times[finding.key] = self.times.get(finding.key, 0) + 1
        self.found.setdefault(finding.key, finding)

    def of(self, kind: str) -> list[worker.Finding]:
        return [one for one in self.found.values() if one.kind == kind]

    def number(self, kind: str) -> int:
        return sum(self.times[one.key] for one in self.of(kind))


def fuzz(seed: int, seconds: float, jobs: int, plan: Any) -> Totals:
    totals, end = Totals(), time.monotonic() + seconds
    children = [Child(seed, i, jobs, plan) for i in range(jobs)]
    while time.monotonic() < end:
        ready, _, _ = select.select([one.pipe for one in children], [], [], 0.5)
        for slot, child in enumerate(children):
            alive = True
            if child.pipe in ready:
                data = os.read(child.pipe, 1 << 16)
                alive = bool(data)
                child.buffer += data
                child.heard = time.monotonic()
                _take(child, totals)
            slow = time.monotonic() - child.heard > PATIENCE
            if slow or not alive:
                at = child.index()
                status = child.end()
                signal_ = os.WTERMSIG(status) if os.WIFSIGNALED(status) else -os.WEXITSTATUS(status)
                what = "did not end" if slow else f"ended the process ({signal_})"
                kind = "hang" if slow else "crash"
                call = worker.Call(seed, at, *plan)
                totals.add(
                    worker.Finding(kind, f"{kind} {call.name} {signal_}", f"{call.name} of {call.site} {what}", at)
                )
                totals.calls += 1
                children[slot] = Child(seed, at + jobs, jobs, plan)
    for child in children:
        child.end()
    return totals


def _take(child: Child, totals: Totals) -> None:
    """Whole messages of what was read."""
    while len(child.buffer) >= 4 and len(child.buffer) >= 4 + int.from_bytes(child.buffer[:4], "little"):
        size = 4 + int.from_bytes(child.buffer[:4], "little")
        _, refusals, unnamed, made, findings = pickle.loads(child.buffer[4:size])
        child.buffer = child.buffer[size:]
        totals.calls += made
        totals.refusals += refusals
        totals.unnamed += unnamed
        for one in findings:
            totals.add(worker.Finding(*one))


def plan_of() -> tuple[Any, list[str], list[str]]:
    """(names, sites, recipes), the callables without a valid call, and the recipes that do not run.

    A child makes the inventory, so that this process has no threads when it forks.
    """
    public, recipes = open_taps(), all_recipes()
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(read)  # or the pipe would not break where the parent is gone
        try:
            with worker.quiet(), os.fdopen(write, "wb") as pipe:
                pickle.dump(worker.inventory(recipes), pipe)
            os._exit(0)
        finally:  # where something was raised: this process must not go on as a second parent
            os.write(2, traceback.format_exc().encode())
            os._exit(3)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        data = pipe.read()
    status = os.waitpid(pid, 0)[1]
    if status:
        sys.exit(f"fuzz: a valid call ended the process that made them all: {os.waitstatus_to_exitcode(status)}")
    sites, broken = pickle.loads(data)
    sites = {name: [worker.Site(*one) for one in found] for name, found in sites.items()}
    names = sorted(name for name, found in sites.items() if found[0].parameters)
    random.Random(0).shuffle(names)  # a short run meets every topic alike
    return (names, sites, recipes), [one for one in public if one not in sites and not verdict.abstract(one)], broken


def main() -> int:
    parser = argparse.ArgumentParser(prog="fuzz", description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--index", type=int, help="run this call of the seed again")
    parser.add_argument("--only", default="", help="callables whose names contain this")
    options = parser.parse_args()
    plan, missing, broken = plan_of()
    plan = ([one for one in plan[0] if options.only in one], *plan[1:])
    if not plan[0]:
        parser.error(f"--only {options.only}: no public callable has it in its name")
    if options.index is not None:
        return again(options.seed, options.index, plan)
    for one in broken:
        print(f"fuzz: a recipe does not run: {worker.line(one)}")
    if missing:
        print(
            f"fuzz: no valid call is known (give them an example, or a recipe in fuzz/extra.py) of {', '.join(missing)}"
        )
    totals = fuzz(options.seed, options.seconds, options.jobs, plan)
    for kind in KINDS:
        for one in sorted(totals.of(kind), key=lambda one: one.key):
            print(f"{kind}: {worker.line(one.text)}  (--index {one.index}, {totals.times[one.key]} times)")
    print(
        f"fuzz: {totals.calls} calls, {totals.number('crash')} crashes, {totals.number('hang')} hangs, "
        f"{totals.number('foreign')} foreign exceptions, {totals.number('changed')} changed inputs, "
        f"{totals.refusals} refusals of which {totals.unnamed} unnamed, seed {options.seed}"
    )
    return bool(totals.found or missing or broken)


def again(seed: int, index: int, plan: Any) -> int:
    """One call, with the traceback of whatever it raises."""
    call = worker.Call(seed, index, *plan)
    print(f"{call.name} in {call.site}", flush=True)
    find = call._find

    def show(kind: str, error: BaseException, where: str) -> None:
        traceback.print_exception(error, file=sys.__stderr__)
        find(kind, error, where)

    call._find = show  # type: ignore[method-assign]
    with worker.quiet():
        call.run()
    print(worker.line(call.done))
    for one in call.findings:
        print(f"{one.kind}: {worker.line(one.text)}")
    return bool(call.findings)


if __name__ == "__main__":
    sys.exit(main())
