"""No kernel reads or writes beyond an array: every one is called with each of its arrays one row or element too short.

The arrays end where a page begins that nobody may touch, so that one element too far ends the child that calls.
"""

import contextlib
import ctypes
import dataclasses
import mmap
import os

import numpy as np
import pytest
from cases import table

import fastdl as fd
from fastdl._dispatch import kernels

TOPICS = ["activations", "convolution", "curvature", "dense", "dropout", "linear_loss", "losses", "normalization"]
TOPICS += ["norms", "optim", "optim_adaptive", "optim_factored", "pooling", "random", "recurrent", "sequence"]
TOPICS += ["sequence_attention"]
WITHOUT_CASE = {"exp_nonpositive", "cells"}  # which only tests call, or an import
_libc = ctypes.CDLL(None, use_errno=True)
_held = []


def guarded(array):
    """A copy whose end is the end of what this process may touch."""
    size = -(-max(array.nbytes, 1) // mmap.PAGESIZE) * mmap.PAGESIZE
    memory = mmap.mmap(-1, size + mmap.PAGESIZE)
    _held.append(memory)
    start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    assert _libc.mprotect(ctypes.c_void_p(start + size), mmap.PAGESIZE, 0) == 0
    copy = np.frombuffer(memory, array.dtype, array.size, size - array.nbytes).reshape(array.shape)
    copy[...] = array
    return copy


def shorter(array):
    """Its copies with one row, or one column, less."""
    for axis in {0, array.ndim - 1}:
        shape = list(array.shape)
        shape[axis] -= 1
        yield guarded(np.ascontiguousarray(array[tuple(map(slice, shape))]))


class Tapped:
    """A kernel function, or those of its types, whose calls are kept."""

    def __init__(self, function, kept):
        self.function, self.kept = function, kept

    def __getitem__(self, kind):
        return Tapped(self.function[kind], self.kept)

    def __call__(self, *arguments):
        self.keep(arguments)
        return self.function(*arguments)

    def keep(self, arguments):
        flat = leaves(arguments)
        shapes = tuple(a.shape if isinstance(a, np.ndarray) else a is None for a in flat)
        types = next((a.dtype for a in flat if isinstance(a, np.ndarray)), None)
        copies = [a.copy() if isinstance(a, np.ndarray) else a for a in flat]
        self.kept[shapes, types] = (lambda *given: self.function(*like(arguments, iter(given))), copies)


def parts_of(tree):
    if dataclasses.is_dataclass(tree):
        return [getattr(tree, field.name) for field in dataclasses.fields(tree)]
    return tree if isinstance(tree, (tuple, list)) else None


def leaves(tree):
    parts = parts_of(tree)
    return [tree] if parts is None else [leaf for part in parts for leaf in leaves(part)]


def like(tree, flat):
    """The tree again, of the same named tuples and records, with leaves from an iterator."""
    parts = parts_of(tree)
    if parts is None:
        return next(flat)
    made = [like(part, flat) for part in parts]
    return type(tree)(made) if type(tree) in (tuple, list) else type(tree)(*made)


class TappedPlan:
    """A plan, whose calls are kept as those of a function that takes all arrays, the tape's too."""

    kept = None  # by `recorded`
    original = None

    def __init__(self, tape, *team):
        self.tape, self.team, self.plan = tape, team, self.original(tape, *team)

    def __getattr__(self, name):
        found = getattr(self.plan, name)
        if name not in ("forward", "backward"):
            return found

        def call(*arguments):
            tree = (self.tape, *arguments)
            make, team = self.original, self.team

            def again(*flat):
                tape, *rest = like(tree, iter(flat))
                getattr(make(tape, *team), name)(*rest)

            Tapped(again, self.kept.setdefault(f"Plan.{name}", {})).keep(leaves(tree))
            return found(*arguments)  # which gives this tape what it makes

        return call


def recorded(topic):
    """Function -> the different calls of it that the public functions make: at small sizes, of both types."""
    module, calls = getattr(kernels, topic), {}
    originals = {name: value for name, value in vars(module).items() if callable(value) and not name.startswith("_")}
    try:
        for name, function in originals.items():
            if isinstance(function, type):
                TappedPlan.kept, TappedPlan.original = calls, function
                module.Plan = TappedPlan
            else:
                setattr(module, name, Tapped(function, calls.setdefault(name, {})))
        for case in table():
            for dtype in case.dtypes:
                case.work("small", dtype).run()
    finally:
        for name, function in originals.items():
            setattr(module, name, function)
    return calls


def in_child(work):
    pid = os.fork()
    if pid == 0:
        try:
            work()
            os._exit(0)
        except BaseException:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.mark.parametrize("topic", TOPICS)
def test_short_arrays_are_refused_or_not_read_past(topic):
    fd.set_num_threads(1)  # so that a child of this process can call the kernels
    calls = recorded(topic)
    wrong = []
    for name, variants in calls.items():
        for function, arguments in list(variants.values())[:12]:
            places = [i for i, a in enumerate(arguments) if isinstance(a, np.ndarray) and a.size]

            def attempt(function=function, arguments=arguments, places=places):
                for i in places:
                    for short in shorter(arguments[i]):
                        given = [guarded(a) if isinstance(a, np.ndarray) else a for a in arguments]
                        given[i] = short
                        with contextlib.suppress(ValueError, TypeError):
                            function(*given)
                        _held.clear()

            status = in_child(attempt)
            if status:
                wrong.append((name, status))
    assert not wrong
    assert {name for name, variants in calls.items() if not variants} <= WITHOUT_CASE
