"""Optimizer steps: bandwidth against a plain copy and against torch, and the overhead of small models.

Every function is checked against the reference before it is timed. Peers are timed alternately with ours, in
one process, on as many threads; where torch is missing, its column says so.
"""

import numpy as np
import pytest
from alternate import alternate

import fastdl as fd
from fastdl.nn import Arena, Parameter
from fastdl.optim import Optimizer
from fastdl.reference import optim as reference

try:
    from peers import pytorch
except ImportError:
    pytorch = None

BIG = 1 << 24  # elements: 64 MB of float32 an array, far beyond any cache
SMALL = (40, 3000)  # tensors, elements each
CALLS = 20  # of a step too short to be timed by itself

# name, class, settings, arrays read + written, torch's name, torch's settings (the fastest of all is taken)
FUSED, FOREACH, LOOP = {"fused": True}, {"foreach": True}, {"foreach": False}
RULES = [
    ("SGD", "SGD", {}, 3, "SGD", {}, (FUSED, FOREACH)),
    ("Momentum", "SGD", {"momentum": 0.9}, 5, "SGD", {"momentum": 0.9}, (FUSED, FOREACH)),
    (
        "Nesterov",
        "SGD",
        {"momentum": 0.9, "nesterov": True},
        5,
        "SGD",
        {"momentum": 0.9, "nesterov": True},
        (FOREACH, LOOP),  # not fused, as PyTorch's default is
    ),
    ("AdaGrad", "AdaGrad", {}, 5, "Adagrad", {}, (FUSED, FOREACH)),
    ("RMSProp", "RMSProp", {}, 5, "RMSprop", {}, (FOREACH, LOOP)),
    ("RMSProp centered", "RMSProp", {"centered": True}, 7, "RMSprop", {"centered": True}, (FOREACH, LOOP)),
    ("AdaDelta", "AdaDelta", {}, 7, "Adadelta", {}, (FOREACH, LOOP)),
    ("Adam", "Adam", {}, 7, "Adam", {}, (FUSED,)),
    ("AdamW", "AdamW", {}, 7, "AdamW", {}, (FUSED,)),
    ("AMSGrad", "AMSGrad", {}, 9, "Adam", {"amsgrad": True}, (FUSED,)),
    ("NAdam", "NAdam", {}, 7, "NAdam", {}, (FOREACH, LOOP)),
    ("RAdam", "RAdam", {}, 7, "RAdam", {}, (FOREACH, LOOP)),
    ("Adamax", "Adamax", {}, 7, "Adamax", {}, (FOREACH, LOOP)),
    ("Lion", "Lion", {}, 5, None, {}, ()),
]
NAMES = [rule[0] for rule in RULES]


def normals(*shape):
    return np.random.default_rng(0).standard_normal(shape, np.float32)


def check(name, settings):
    """One step of the class against the reference, on every thread count the big arrays use."""
    results = []
    for backend in ("compiled", "reference"):
        param, grad = normals(2, 100_000).copy()
        optimizer = make(name, [(param, grad)], settings)
        with fd.backend(backend):
            optimizer.step()
        results.append(param)
    assert np.array_equal(*results)


def make(name, pairs, settings) -> Optimizer:
    return getattr(fd.optim, name)(pairs, 1e-6, **settings)


def torch_steps(name, settings, forms, pairs):
    """Step functions of torch's optimizer on copies of these arrays, one for each form it has."""
    if pytorch is None or name is None:
        return {}
    pytorch.set_threads(fd.get_num_threads())
    return {f"torch {form}": pytorch.optimizer_step(name, pairs, 1e-6, **settings, **form) for form in forms}


def repeated(call):
    def run():
        for _ in range(CALLS):
            call()

    return run


def against(taken, ours):
    """How many times as long the fastest of torch's takes."""
    theirs = [value.median for name, value in taken.items() if name.startswith("torch {")]
    if theirs:
        return f"{min(theirs) / ours.median:5.2f} x torch"
    return "torch: not here" if pytorch is None else ""


@pytest.fixture(scope="module")
def big():
    return normals(2, BIG)


@pytest.mark.parametrize("rule", RULES, ids=NAMES)
def test_bandwidth(benchmark, big, rule):
    name, optimizer, settings, passes, theirs, their_settings, forms = rule
    check(optimizer, settings)
    param, grad = big
    source, target = grad, np.empty_like(grad)
    step = make(optimizer, [(param, grad)], settings).step
    contenders = {"copy": lambda: np.copyto(target, source), "fastdl": step}
    if pytorch is not None:
        contenders["torch's copy"] = pytorch.copy(source, target)
    taken = alternate(contenders | torch_steps(theirs, their_settings, forms, [(param, grad)]))
    ours, copy = taken["fastdl"], min(taken[name].median for name in contenders if name.endswith("copy"))
    rate, copy_rate = passes * 4 * BIG / ours.median / 1e9, 2 * 4 * BIG / copy / 1e9
    benchmark.extra_info.update(gigabytes_per_second=rate, of_copy=rate / copy_rate)
    print(
        f"\n{name:17s} {ours.median * 1e3:6.1f} ms ({ours.low * 1e3:.1f} to {ours.high * 1e3:.1f})  {rate:5.1f} GB/s, "
        f"{rate / copy_rate:4.2f} of a copy's {copy_rate:4.1f}   {against(taken, ours)}"
    )
    benchmark.pedantic(step, rounds=3)


def test_clip_and_adam(benchmark, big):
    check("Adam", {"clip_norm": 1.0})
    param, grad = big
    contenders = {"fastdl": make("Adam", [(param, grad)], {"clip_norm": 1.0}).step}
    adam = torch_steps("Adam", {}, (FUSED,), [(param, grad)]).get(f"torch {FUSED}")
    if adam:
        contenders["torch {clip}"] = pytorch.clipped(adam)
    taken = alternate(contenders)
    ours = taken["fastdl"]
    print(
        f"\nclip + Adam       {ours.median * 1e3:6.1f} ms ({ours.low * 1e3:.1f} to {ours.high * 1e3:.1f})   "
        f"{against(taken, ours)}"
    )
    benchmark.pedantic(contenders["fastdl"], rounds=3)


@pytest.mark.parametrize("layout", ["arena", "list"])
@pytest.mark.parametrize("rule", [rule for rule in RULES if rule[0] in ("SGD", "Nesterov", "Adam", "RMSProp")])
def test_forty_small_tensors(benchmark, rule, layout):
    name, optimizer, settings, _, theirs, their_settings, _ = rule
    check(optimizer, settings)
    pairs = [(param, grad) for param, grad in zip(*normals(2, *SMALL).copy(), strict=True)]
    forms = (FUSED, FOREACH) if theirs in ("SGD", "Adam") else (FOREACH, LOOP)
    contenders = torch_steps(theirs, their_settings, forms, pairs)
    if layout == "list":
        step = make(optimizer, pairs, settings).step
    else:
        arena = Arena([(str(i), Parameter("weight", param)) for i, (param, _) in enumerate(pairs)])
        for one, (_, grad) in zip(arena, pairs, strict=True):
            one.grad = grad
        move = make(optimizer, arena, settings).step

        def claim():
            for one in arena:  # as a backward would: otherwise the step would set the gradients to 0
                one.claim_grad()

        def step():
            claim()
            move()

        contenders["claim"] = claim
    contenders["fastdl"] = step
    taken = alternate({key: repeated(call) for key, call in contenders.items()})
    ours = taken["fastdl"]
    if "claim" in taken:  # which is the backward's part
        ours = ours._replace(
            **{part: getattr(ours, part) - taken["claim"].median for part in ("median", "low", "high")}
        )
    print(
        f"\n{name:9s} 40 x 3,000, {layout:5s} {ours.median / CALLS * 1e6:6.1f} us "
        f"({ours.low / CALLS * 1e6:.1f} to {ours.high / CALLS * 1e6:.1f})   {against(taken, ours)}"
    )
    benchmark.pedantic(step, rounds=20, iterations=30)


@pytest.mark.parametrize("size", [16, 1000, 10_000])
def test_overhead(benchmark, size):
    param, grad = normals(2, size).copy()
    check("Adam", {})
    step = make("Adam", [(param, grad)], {}).step
    taken = alternate({"fastdl": repeated(step)}, seconds=0.3)["fastdl"]
    print(f"\nAdam on {size:6,d} elements {taken.median / CALLS * 1e6:6.1f} us")
    benchmark.pedantic(step, rounds=20, iterations=200)


def test_rows_of_an_embedding(benchmark):
    rng = np.random.default_rng(0)
    table, m, v = np.zeros((3, 100_000, 64), np.float32)
    rows, values = rng.integers(0, 100_000, 512), normals(512, 64)
    dense = np.zeros_like(table)
    twin = np.zeros((3, 100_000, 64), np.float32)

    def lazy():
        fd.optim.adam_update_rows(table, rows, values, m, v, step=1)

    def whole():
        dense[rows] = values
        fd.optim.adam_update(table, dense, m, v, step=1)

    lazy()
    reference.adam_update_rows(twin[0], rows, values, twin[1], twin[2], step=1)
    assert np.array_equal(table, twin[0])
    taken = alternate({"lazy": lazy, "whole": whole}, seconds=1.0)
    rows_only, everything = taken["lazy"].median, taken["whole"].median
    print(f"\n512 of 100,000 rows of 64: {rows_only * 1e6:6.1f} us, the dense rule {everything * 1e6:8.1f} us")
    benchmark.pedantic(lazy, rounds=10)
