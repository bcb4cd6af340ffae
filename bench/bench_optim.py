"""Optimizer steps: bandwidth against a plain copy and against torch, and the overhead of small models.

Every function is checked against the reference before it is timed. Peers are timed alternately with ours, in
one process, on as many threads; where torch is missing, its column says so.
"""

import time

import numpy as np
import pytest

import fastdl as fd
from fastdl.optim import Optimizer
from fastdl.reference import optim as reference

try:
    import torch
except ImportError:
    torch = None

BIG = 1 << 24  # elements: 64 MB of float32 an array, far beyond any cache
SMALL = (40, 3000)  # tensors, elements each
REST = 0.01  # seconds before each timing: the other library's idle threads stop spinning on our cores

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


def medians(functions, rounds, calls=1):
    """Median seconds per call of each function, called in turn."""
    times = [[] for _ in functions]
    for function in functions:
        function()
    for _ in range(rounds):
        for function, taken in zip(functions, times, strict=True):
            time.sleep(REST)
            start = time.perf_counter()
            for _ in range(calls):
                function()
            taken.append((time.perf_counter() - start) / calls)
    return [float(np.median(taken)) for taken in times]


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
    if torch is None or name is None:
        return []
    torch.set_num_threads(fd.get_num_threads())
    params = [torch.nn.Parameter(torch.from_numpy(param.copy())) for param, _ in pairs]
    for param, (_, grad) in zip(params, pairs, strict=True):
        param.grad = torch.from_numpy(grad.copy())
    return [getattr(torch.optim, name)(params, lr=1e-6, **settings, **form).step for form in forms]


def against(ours, theirs):
    return f"{min(theirs) / ours:5.2f} x torch" if theirs else "torch: not here" if torch is None else ""


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
    peers = torch_steps(theirs, their_settings, forms, [(param, grad)])
    copies = [lambda: np.copyto(target, source)]
    if torch is not None:
        to, of = torch.from_numpy(target), torch.from_numpy(source)
        copies.append(lambda: to.copy_(of))
    taken = medians([*copies, step, *peers], rounds=5)
    copy, ours = min(taken[: len(copies)]), taken[len(copies)]
    rate, copy_rate = passes * 4 * BIG / ours / 1e9, 2 * 4 * BIG / copy / 1e9
    benchmark.extra_info.update(gigabytes_per_second=rate, of_copy=rate / copy_rate)
    print(
        f"\n{name:17s} {ours * 1e3:6.1f} ms  {rate:5.1f} GB/s, {rate / copy_rate:4.2f} of a copy's "
        f"{copy_rate:4.1f}   {against(ours, taken[len(copies) + 1 :])}"
    )
    benchmark.pedantic(step, rounds=3)


def test_clip_and_adam(benchmark, big):
    check("Adam", {"clip_norm": 1.0})
    param, grad = big
    step = make("Adam", [(param, grad)], {"clip_norm": 1.0}).step
    peers = []
    if torch is not None:
        (adam,) = torch_steps("Adam", {}, (FUSED,), [(param, grad)])
        params = adam.__self__.param_groups[0]["params"]
        fresh = params[0].grad.clone()

        def clip_then_step():
            torch.nn.utils.clip_grad_norm_(params, 1.0)
            adam()

        def renew():
            params[0].grad.copy_(fresh)  # torch's clipping changed them, and the next would not clip

        peers = [clip_then_step]
    ours, theirs = [], []
    for _ in range(6):
        ours += medians([step], 1)
        if peers:
            renew()
            time.sleep(REST)
            start = time.perf_counter()
            clip_then_step()
            theirs.append(time.perf_counter() - start)
    ours, theirs = float(np.median(ours)), [float(np.median(theirs))] if theirs else []
    print(f"\nclip + Adam       {ours * 1e3:6.1f} ms   {against(ours, theirs)}")
    benchmark.pedantic(step, rounds=3)


@pytest.mark.parametrize("layout", ["arena", "list"])
@pytest.mark.parametrize("rule", [rule for rule in RULES if rule[0] in ("SGD", "Nesterov", "Adam", "RMSProp")])
def test_forty_small_tensors(benchmark, rule, layout):
    name, optimizer, settings, _, theirs, their_settings, _ = rule
    check(optimizer, settings)
    count, size = SMALL
    params, grads = normals(2, count, size).copy()
    pairs = list(zip(params, grads, strict=True))
    step = make(optimizer, [(params, grads)] if layout == "arena" else pairs, settings).step
    forms = (FUSED, FOREACH) if theirs in ("SGD", "Adam") else (FOREACH, LOOP)
    taken = medians([step, *torch_steps(theirs, their_settings, forms, pairs)], rounds=15, calls=30)
    print(f"\n{name:9s} 40 x 3,000, {layout:5s} {taken[0] * 1e6:6.1f} us   {against(taken[0], taken[1:])}")
    benchmark.pedantic(step, rounds=20, iterations=30)


@pytest.mark.parametrize("size", [16, 1000, 10_000])
def test_overhead(benchmark, size):
    param, grad = normals(2, size).copy()
    check("Adam", {})
    step = make("Adam", [(param, grad)], {}).step
    (taken,) = medians([step], rounds=15, calls=200)
    print(f"\nAdam on {size:6,d} elements {taken * 1e6:6.1f} us")
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
    taken = medians([lazy, whole], rounds=5)
    print(f"\n512 of 100,000 rows of 64: {taken[0] * 1e6:6.1f} us, the dense rule {taken[1] * 1e6:8.1f} us")
    benchmark.pedantic(lazy, rounds=10)
