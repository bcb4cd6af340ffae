"""RNN, LSTM and GRU layers over a grid against PyTorch; ragged batches; what options cost; memory.

Layers, not functions: what a user calls, forward and backward with all gradients. Every row asserts its result first.
"""

import tracemalloc

import limits
import numpy as np
import pytest
from alternate import alternate, geometric_mean
from peers.ours import passes
from peers.works import GATES
from users import USERS

import fastdl as fd
from fastdl._dispatch import kernels

try:
    from peers import pytorch
except ImportError:
    pytorch = None

GRID = [  # T, B, I, H: T 1 to 400, B 1 to 128, I and H 16 to 512
    (1, 1, 16, 16),
    (1, 32, 128, 128),
    (400, 1, 64, 64),
    (128, 1, 256, 256),
    (16, 8, 32, 32),
    (64, 16, 64, 64),
    (400, 16, 32, 64),
    (200, 8, 64, 128),
    (64, 32, 128, 128),
    (20, 128, 64, 128),
    (100, 64, 128, 256),
    (64, 32, 512, 256),
    (64, 64, 256, 512),
    (32, 128, 512, 512),
]
ratios: dict[str, list[float]] = {group: [] for group in (*GATES, "users")}


def problem(kind, shape, dtype=np.float32, **options):
    T, B, I, H = shape  # noqa: E741
    rng = np.random.default_rng(0)
    x, dy = (rng.uniform(-1, 1, s).astype(dtype) for s in ((T, B, I), (T, B, H)))
    return getattr(fd.nn, kind)(I, H, rng=0, dtype=dtype, **options), x, dy


def told(name, sample):
    return f"{name} {sample.median * 1e3:.3f} ms ({sample.low * 1e3:.3f} to {sample.high * 1e3:.3f})"


def against_torch(kind, layer, x, dy):
    """The layer and torch's in turn, results asserted first: its times, and a line's end."""
    contenders = {"fastdl": passes(layer, x, dy)}
    with fd.backend("reference"):
        expected = contenders["fastdl"]()
    for one, other in zip(contenders["fastdl"](), expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-4 * max(1, np.abs(other).max()))
    if pytorch is not None:
        pytorch.set_threads(fd.get_num_threads())
        theirs = pytorch.recurrent(kind, layer.state_dict(), x, dy)
        contenders["torch"] = theirs.run
        for one, other in zip(theirs.results("y", "dx"), expected, strict=True):
            np.testing.assert_allclose(one, other, rtol=0, atol=1e-4 * max(1, np.abs(other).max()))
    peak = limits.peak()
    taken = alternate(contenders | {"peak": peak})
    return taken, peak() / taken["peak"].median, contenders["fastdl"]


def told_against_torch(taken, group):
    """Torch's part of a line; the ratio joins its group."""
    if "torch" not in taken:
        return ""
    ratios[group].append(taken["torch"].median / taken["fastdl"].median)
    return f"; {told('torch', taken['torch'])}, {ratios[group][-1]:.2f} x"


def told_together(group, count):
    """After the last row of a group, where all of it ran beside torch."""
    if len(ratios[group]) == count:
        print(f"  {group}: geometric mean {geometric_mean(ratios[group]):.2f} x torch, least {min(ratios[group]):.2f}")


@pytest.mark.parametrize("shape", GRID, ids=str)
@pytest.mark.parametrize("kind", GATES)
def test_layer(benchmark, kind, shape):
    layer, x, dy = problem(kind, shape)
    taken, peak, run = against_torch(kind, layer, x, dy)
    T, B, I, H = shape  # noqa: E741
    share = 3 * T * B * GATES[kind] * H * (I + H) / taken["fastdl"].median / peak
    text = f"{told('fastdl', taken['fastdl'])}, {100 * share:3.0f} % of the peak{told_against_torch(taken, kind)}"
    print(f"\n{kind} {shape!s:20} {kernels.level}, {fd.get_num_threads()} threads: {text}")
    if shape == GRID[-1]:
        told_together(kind, len(GRID))
    benchmark.extra_info.update(shape=shape, build=kernels.level, threads=fd.get_num_threads(), of_peak=share)
    benchmark.pedantic(run, rounds=3)


@pytest.mark.parametrize("name", USERS)
def test_layers_of_users(benchmark, name):
    """Stacks as programs have them; ``OMP_NUM_THREADS=1`` for one thread."""
    user = USERS[name]
    layer, x, _ = problem(user.kind, user[1:5], num_layers=user.layers, bidirectional=user.bidirectional)
    dy = np.random.default_rng(1).uniform(-1, 1, (user.T, user.B, user.H * user.directions)).astype(np.float32)
    taken, _, run = against_torch(user.kind, layer, x, dy)
    text = f"{told('fastdl', taken['fastdl'])}{told_against_torch(taken, 'users')}"
    both = "both ways, " if user.bidirectional else ""
    shape = f"{user.kind} {user.layers} x {user.H}, {both}{user[1:4]}"
    print(f"\n{name}, {shape}: {kernels.level}, {fd.get_num_threads()} threads: {text}")
    if name == list(USERS)[-1]:
        told_together("users", len(USERS))
    benchmark.extra_info.update(shape=user, build=kernels.level, threads=fd.get_num_threads())
    benchmark.pedantic(run, rounds=3)


@pytest.mark.parametrize("shape", [(400, 1, 64, 64), (64, 16, 64, 64), (64, 32, 64, 256), (50, 128, 256, 256)], ids=str)
def test_scaling(benchmark, shape):
    """The same call on 1, 2, 4, ... threads, up to as many as fastdl may use here."""
    most = fd.get_num_threads()
    counts = sorted({*(1 << k for k in range(most.bit_length())), most})
    layer, x, dy = problem("LSTM", shape)
    run = passes(layer, x, dy)

    def on(count):
        def call():
            fd.set_num_threads(count)
            return run()

        return call

    contenders = {str(count): on(count) for count in counts}
    expected = contenders["1"]()
    for contender in contenders.values():
        for one, other in zip(contender(), expected, strict=True):
            np.testing.assert_array_equal(one, other)
    taken = alternate(contenders, seconds=1 + len(counts))
    fd.set_num_threads(most)
    scaled = {name: taken["1"].median / sample.median for name, sample in taken.items()}
    text = ", ".join(f"{told(name, sample)} {scaled[name]:.1f} x" for name, sample in taken.items())
    print(f"\nLSTM {shape!s:20} {kernels.level}, by threads: {text}")
    benchmark.extra_info.update(shape=shape, build=kernels.level, scaled=scaled)
    benchmark.pedantic(contenders[str(most)], rounds=3)


def test_ragged_batches(benchmark):
    """Lengths uniform in 1 to 400: against the dense time scaled by what is filled, then against PackedSequence, whose
    second a call would leave few turns for the others."""
    layer, x, dy = problem("LSTM", (400, 32, 64, 128))
    lengths = np.random.default_rng(1).integers(1, 401, 32)
    true = (np.arange(400)[:, None] < lengths)[:, :, None]
    dy *= true
    contenders = {"dense": passes(layer, x, dy), "ragged": passes(layer, x, dy, lengths=lengths)}
    np.testing.assert_array_equal(contenders["ragged"]()[0], contenders["dense"]()[0] * true)
    if pytorch is not None:
        pytorch.set_threads(fd.get_num_threads())
        theirs = pytorch.recurrent("LSTM", layer.state_dict(), x, dy, lengths)
        for one, other in zip(contenders["ragged"](), theirs.results("y", "dx"), strict=True):
            np.testing.assert_allclose(one, other, rtol=0, atol=1e-4 * max(1, np.abs(other).max()))
    taken = alternate(contenders, seconds=6)
    ideal = taken["dense"].median * lengths.mean() / 400
    line = f"{told('ragged', taken['ragged'])}, {taken['ragged'].median / ideal:.2f} x the ideal"
    if pytorch is not None:
        beside = alternate({"ragged": contenders["ragged"], "torch": theirs.run}, seconds=4)
        ratio = beside["torch"].median / beside["ragged"].median
        line += f"; {told('torch PackedSequence', beside['torch'])}, {ratio:.1f} x"
    print(
        f"\nLSTM ragged (400, 32, 64, 128), {lengths.mean() / 4:.0f} % filled, {fd.get_num_threads()} threads: {line}"
    )
    benchmark.extra_info.update(of_ideal=taken["ragged"].median / ideal)
    benchmark.pedantic(contenders["ragged"], rounds=3)


OPTIONS = {
    "all regularisers": {
        "input_dropout": 0.2,
        "state_dropout": 0.2,
        "candidate_dropout": 0.2,
        "weight_dropout": 0.2,
        "zoneout": 0.1,
        "zoneout_cell": 0.1,
    },
    "layer norm": {"layer_norm": True},
    "peepholes": {"peepholes": True},
    "projection to half": {"proj_size": 128},
    "checkpoints": {"checkpoint": True},
    "float64": {"dtype": np.float64},
}


@pytest.mark.parametrize("name", OPTIONS)
def test_what_options_cost(benchmark, name):
    shape = (64, 32, 128, 256)
    options = OPTIONS[name]
    plain, x, dy = problem("LSTM", shape)
    other, x_other, _ = problem("LSTM", shape, **options)
    dy_other = dy[..., : options.get("proj_size", 256)].astype(x_other.dtype)
    contenders = {"plain": passes(plain, x, dy), name: passes(other, x_other, np.ascontiguousarray(dy_other))}
    assert all(np.isfinite(array).all() for array in contenders[name]())
    taken = alternate(contenders, seconds=3)
    ratio = taken[name].median / taken["plain"].median
    print(f"\nLSTM {shape}, {name}: {told('plain', taken['plain'])}; {told('with', taken[name])}, {ratio:.2f} x")
    benchmark.extra_info.update(ratio=ratio)
    benchmark.pedantic(contenders[name], rounds=3)


def test_first_call_and_memory(benchmark):
    """The first call of a shape against later ones, and what 10,000 calls of changing shapes leave behind."""
    import resource
    import time

    rng = np.random.default_rng(0)
    layer, x, dy = problem("GRU", (64, 16, 64, 64))
    run = passes(layer, x, dy)
    start = time.perf_counter()
    first = run()
    first_time = time.perf_counter() - start
    taken = alternate({"later": run}, seconds=1)["later"]
    for one, other in zip(first, run(), strict=True):
        np.testing.assert_array_equal(one, other)
    layer = fd.nn.GRU(8, 12, rng=0)

    def calls(count):
        for _ in range(count):
            T, B = rng.integers(1, 20), rng.integers(1, 12)
            x = np.ones((T, B, 8), np.float32)
            y = layer.forward(x, lengths=rng.integers(1, T + 1, B))
            layer.backward(y)

    calls(500)
    tracemalloc.start()
    calls(100)
    before = tracemalloc.get_traced_memory()[0]
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    calls(10_000)
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - resident
    print(f"\nGRU (64, 16, 64, 64): first call {first_time / taken.median:.2f} x a later one ({told('later', taken)})")
    print(f"  10,000 calls of changing shapes: {grown} bytes of Python's, {resident} KiB of the process's peak")
    assert grown < 100_000
    assert resident < 20_000
    benchmark.extra_info.update(first=first_time / taken.median, grown=grown)
    benchmark.pedantic(run, rounds=3)
