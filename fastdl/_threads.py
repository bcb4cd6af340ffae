"""How many threads a kernel gets.

The number starts as the smallest of OMP_NUM_THREADS, the cores this process may run on and its cgroup's CPU
quota. ``set_num_threads`` replaces it. A limit that somebody else puts on OpenMP at run time
(``threadpoolctl.threadpool_limits``) is respected on top.
"""

import math
import operator
import os
import warnings

from ._dispatch import kernels


def _read(*path: str) -> str:
    """A small file's text, "" where there is none."""
    try:
        with open(os.path.join(*path), encoding="utf-8") as file:
            return file.read()
    except OSError:
        return ""


def _cgroup_cores() -> float:
    """CPU quota of this process's cgroup in cores (version 2, then 1); infinity where there is none."""
    cores = math.inf
    for line in _read("/proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            root, names = "/sys/fs/cgroup", ["cpu.max"]
        elif "cpu" in controllers.split(","):
            root, names = "/sys/fs/cgroup/cpu", ["cpu.cfs_quota_us", "cpu.cfs_period_us"]
        else:
            continue
        parts = [part for part in path.split("/") if part]
        for depth in range(len(parts) + 1):  # a limit may sit on any group above ours
            words = " ".join(_read(root, *parts[:depth], name) for name in names).split()
            if len(words) == 2 and words[0] not in ("max", "-1"):
                cores = min(cores, int(words[0]) / int(words[1]))
    return cores


def _available() -> int:
    cores = float(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    return max(1, math.ceil(min(cores, _cgroup_cores(), _openmp_default)))


_openmp_default = kernels.system.openmp_max_threads()  # OMP_NUM_THREADS, or the cores OpenMP sees
_num_threads = _available()
_serial_child = False


def get_num_threads() -> int:
    """Number of threads a large enough piece of work is split over, now and in this thread.

    Returns
    -------
    int
        At least 1: what :func:`set_num_threads` was given, or at first the smallest of OMP_NUM_THREADS, the cores this
        process may run on and its cgroup's quota. A limit that threadpoolctl puts on OpenMP counts too. 1 in a child
        that was forked while workers could not be ended.

    Examples
    --------
    >>> import fastdl as fd
    >>> fd.get_num_threads() >= 1
    True
    """
    if _serial_child:
        return 1
    limit = kernels.system.openmp_max_threads()
    return min(_num_threads, limit) if limit < _openmp_default else _num_threads


def most_threads() -> int:
    """Four for each core: more gains nothing, and where the system refuses one, OpenMP ends the process."""
    return 4 * max(2, os.cpu_count() or 1)  # as many on one core as on two: tests of threads run there, too


def set_num_threads(num_threads: int) -> None:
    """Set the number of threads for this process.

    Results do not depend on it: every kernel gives the same bits for any number.

    Parameters
    ----------
    num_threads : int
        At least 1. More threads than cores is allowed, and slow. Above four for each core a RuntimeWarning says that
        so many are used: a thread that the system refuses would end the process.

    Raises
    ------
    TypeError, ValueError
        If the number is not an integer, below 1, or too large for a C int.

    Examples
    --------
    >>> import fastdl as fd
    >>> before = fd.get_num_threads()
    >>> fd.set_num_threads(1)
    >>> fd.get_num_threads()
    1
    >>> fd.set_num_threads(before)
    """
    global _num_threads
    try:
        if isinstance(num_threads, bool):
            raise TypeError
        num_threads, most = (
            operator.index(num_threads),
            most_threads(),
        )  # an array has it, too
    except TypeError:
        raise TypeError(f"num_threads: got {type(num_threads).__name__}, expected an int") from None
    if num_threads < 1:
        raise ValueError(f"num_threads: got {num_threads}, expected at least 1")
    if num_threads >= 2**31:
        raise ValueError(f"num_threads: got {hex(num_threads):.20}, expected a C int")
    if num_threads > most:
        warnings.warn(
            f"num_threads: got {num_threads}, {most} are used, the most on this machine", RuntimeWarning, stacklevel=2
        )
    _num_threads = min(num_threads, most)


def threads_for(work: float, grain: float) -> int:
    """Threads for `work` units, of which each thread should get at least `grain` (docs/profiling.md)."""
    if work < 2 * grain:
        return 1
    return max(1, min(get_num_threads(), int(work / grain)))


def _before_fork() -> None:
    # libgomp's workers do not survive a fork, and a child that waits for them hangs. Ending them first lets
    # the child (and the parent, at its next call) start new ones.
    global _pool_paused
    _pool_paused = kernels.system.pause_workers()


def _after_fork_in_child() -> None:
    global _serial_child
    _serial_child = _serial_child or not _pool_paused


_pool_paused = True
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_child=_after_fork_in_child)
