"""What the table is made of: a piece of work by whoever does it, its sizes, and what it must cost."""

import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

import fastdl as fd
from fastdl._memory import aligned_zeros

SIZES = ("small", "medium", "large")
SINGLE, DOUBLE = np.dtype(np.float32), np.dtype(np.float64)
EXACT = 1e-6  # float64: of the largest element
PERIOD = 1_000_003  # of the numbers drawn: no row of a matrix is like another

# Of elementwise work. Not whole vectors or blocks, so that what handles the rest runs too.
VECTORS = {"small": {"n": 1003}, "medium": {"n": 40_003}, "large": {"n": 1 << 24}}

Sizes = dict[str, int]
Arrays = dict[str, np.ndarray]


def shapes(names: str, *shapes: tuple[int, ...]) -> tuple[Sizes, ...]:
    return tuple(dict(zip(names.split(), shape, strict=True)) for shape in shapes)


def sizes(names: str, small: tuple[int, ...], medium: tuple[int, ...], large: tuple[int, ...]) -> dict[str, Sizes]:
    return dict(zip(SIZES, shapes(names, small, medium, large), strict=True))


class Missing(Exception):
    """Raised by an adapter for what its library does not offer; the message names it."""


class Work(NamedTuple):
    """One call as one library makes it, and the least it can cost.

    `run` gives the result or, in place, what it changed, and has done the work when it returns. It may be called any
    number of times: what is changed in place drifts, but stays finite and costs the same. The same work built and
    run inside ``fd.backend("reference")`` is that of the twin; a function without twin brings `expected`.

    The bytes are those of the arrays that must be read and written once, the multiply-adds those of the formula;
    neither counts what a particular kernel happens to do beside.
    """

    run: Callable[[], Any]  # a result by name, in fastdl's layout, or in the order of a function's results
    read: int = 0  # bytes
    written: int | None = 0  # bytes; None for those of the result
    multiply_adds: int = 0
    tolerance: float = 1e-5  # of the largest element, in float32; float64 is held to a millionth of it
    expected: Callable[[], Any] | None = None
    arrays: Callable[[Any], Arrays] | None = None  # makes the named arrays of what `run` gave, where it gives others
    note: str = ""  # where it is not quite the same work, or its result cannot be compared
    loose: tuple[str, ...] = ()  # results of which shape and finiteness alone are compared
    first: float | None = None  # seconds of the first call, where making the work has done it

    def named(self, result: Any) -> Arrays:
        """The arrays and numbers in a result."""
        found = self.arrays(result) if self.arrays else result
        named = found.items() if isinstance(found, dict) else enumerate(arrays_of(found))
        return {str(name): np.asarray(array) for name, array in named}

    def cost(self) -> dict[str, int]:
        """What the call must read, write and multiply, by name."""
        written = self.written if self.written is not None else sum(one.nbytes for one in arrays_of(self.run()))
        return {"read": self.read, "written": written, "multiply_adds": self.multiply_adds}


class Case(NamedTuple):
    """A piece of work at named sizes: "small" for first-level cache and tests, "medium" for the second level and
    counts of instructions, "large" for memory or for the longest product people train with.

    Where other libraries have the work, `kind` names the function of an adapter that does it, `problem` makes that
    function's arguments from a dtype and sizes, and `shapes` are the sizes at which it is compared.
    """

    topic: str
    function: str
    variant: str  # what tells two cases of one function apart, "" where there is one
    build: Callable[..., Work]
    sizes: dict[str, Sizes]
    dtypes: tuple[np.dtype, ...] = (SINGLE, DOUBLE)
    kind: str = ""
    problem: Callable[..., dict[str, Any]] | None = None
    shapes: tuple[Sizes, ...] = ()
    title: str = ""  # as the pages have it
    calls: int = 1  # compared: several where a call starts from where the last ended

    @property
    def name(self) -> str:
        return f"{self.topic}.{self.function}" + (f"[{self.variant}]" if self.variant else "")

    def work(self, size: str | Sizes = "medium", dtype: np.dtype = SINGLE) -> Work:
        """The call at a named size, or at sizes of one's own (for a sweep over T, say)."""
        return self.build(dtype, **(self.sizes[size] if isinstance(size, str) else size))

    def by(self, adapter: Any, sizes: Sizes) -> Work:
        """The work at these sizes by a library, in float32."""
        build = getattr(adapter, self.kind, None)
        if build is None or self.problem is None:
            raise Missing(self.kind.replace("_", " "))
        return build(**self.problem(SINGLE, **sizes))


_table: list[Case] = []
Build = Callable[..., Work]


def enter(case: Case) -> None:
    _table.append(case)


def case(topic: str, function: str, variant: str = "", *, dtypes: tuple[np.dtype, ...] = (SINGLE, DOUBLE),
         **sizes: Sizes) -> Callable[[Build], None]:  # fmt: skip
    """Enter a builder ``(dtype, **sizes) -> Work`` in the table."""
    return lambda build: enter(Case(topic, function, variant, build, sizes, dtypes))


def there_and_back(topic: str, name: str, variant: str = "", **sizes: Sizes) -> Callable[..., None]:
    """Enter a builder ``(dtype, **sizes) -> Work, Work`` as the cases of NAME_forward and NAME_backward."""

    def both(build: Callable[..., tuple[Work, Work]]) -> None:
        for at, way in enumerate(("forward", "backward")):
            enter(Case(topic, f"{name}_{way}", variant, lambda dtype, at=at, **shape: build(dtype, **shape)[at], sizes))

    return both


def of_arrays(topic: str, function: Callable[..., Any], variant: str = "", *, arrays: int = 1, read: int | None = None,
              written: int | None = None, in_place: bool = False, sizes: dict[str, Sizes] = VECTORS,
              **options: Any) -> None:  # fmt: skip
    """Enter a function of so many arrays, the last of which it may change.

    `read` and `written` are in arrays, where they are not all arrays once and the result: a second pass, say.
    """

    def build(dtype: np.dtype, **shape: int) -> Work:
        given = drawn(dtype, *[tuple(shape.values())] * arrays)
        size, changed = given[0].nbytes, given[-1:] if in_place else []
        writes = None if written is None else written * size
        return Work(lambda: (function(*given, **options), *changed), (arrays if read is None else read) * size, writes)

    enter(Case(topic, function.__name__, variant, build, sizes))


def call(function: Callable[..., Any], *given: Any, **how: Any) -> Work:
    """The work of a call that reads its arrays and writes its result; `how` has its options, and fields of Work."""
    fields = {name: how.pop(name) for name in Work._fields if name in how}
    read = sum(one.nbytes for one in (*given, *how.values()) if isinstance(one, np.ndarray))
    return Work(lambda: function(*given, **how), **{"read": read, "written": None, **fields})


def table() -> list[Case]:
    """Every case that was entered."""
    return list(_table)


def counted() -> list[Case]:
    """The cases at three sizes: those held to the machine's limits, of which instructions are counted."""
    return [case for case in _table if "medium" in case.sizes]


def label(title: str, sizes: Sizes) -> str:
    """A row's name: the work and its sizes."""
    return title + (f" ({' '.join(f'{key} {_short(size)}' for key, size in sizes.items())})" if sizes else "")


def _short(size: int) -> str:
    for unit, name in ((1 << 20, " Mi"), (1_000_000, " M")):
        if size >= unit and size % unit == 0:
            return f"{size // unit}{name}"
    return str(size)


# ---- arrays -----------------------------------------------------------------------------------------
def normals(dtype: np.dtype, *shape: int, seed: int = 0) -> np.ndarray:
    """Standard normals, the same on every call and aligned alike, as a model's parameters are.

    They come again after a million: more would take longer to draw than most functions take to run.
    """
    array = aligned_zeros(shape, dtype)
    drawn = np.random.default_rng(seed).standard_normal(min(array.size, PERIOD)).astype(dtype)
    array[...] = np.resize(drawn, shape)
    return array


def drawn(dtype: np.dtype, *shapes: tuple[int, ...]) -> list[np.ndarray]:
    """Normals of these shapes, no two alike."""
    return [normals(dtype, *shape, seed=seed) for seed, shape in enumerate(shapes)]


def integers(bound: int, *shape: int, seed: int = 0) -> np.ndarray:
    """Integers in [0, bound), the same on every call."""
    return np.random.default_rng(seed).integers(0, bound, shape)


# ---- right before it is timed -------------------------------------------------------------------------
def difference(found: Arrays, expected: Arrays, tolerance: float, loose: tuple[str, ...] = ()) -> str:
    """What tells a result from the expected one, "" where nothing does.

    A result is right within the tolerance of the expected one's largest element, which is one number for values of
    any scale. What is not finite is right nowhere.
    """
    if len(found) == 0 or not found.keys() <= expected.keys():
        return f"results {', '.join(found) or 'none'}, expected {', '.join(expected)}"
    for name, one in found.items():
        other = expected[name]
        if one.shape != other.shape:
            return f"{name}: shape {one.shape}, expected {other.shape}"
        if other.dtype.kind != "f":
            if not np.array_equal(one, other):
                return f"{name}: integers differ"
        elif not (np.isfinite(one).all() and np.isfinite(other).all()):
            return f"{name}: not finite"
        elif name not in loose:
            apart, bound = np.abs(one - other).max(initial=0.0), tolerance * np.abs(other).max(initial=0.0)
            if apart > bound:
                return f"{name}: {apart:.2g} apart, with a tolerance of {bound:.2g}"
    return ""


def assert_result(case: Case, size: str | Sizes, dtype: np.dtype) -> float:
    """Compare one call with the reference, both on fresh arrays; the seconds the reference took."""
    work = case.work(size, dtype)
    tolerance = work.tolerance if dtype == SINGLE else min(work.tolerance, EXACT)
    found = work.named(work.run())
    twin = on_reference(case, size, dtype)
    start = time.perf_counter()
    result = twin.run()
    taken = time.perf_counter() - start
    expected = twin.named(result)
    told = difference(found, expected, tolerance) or ("" if len(found) == len(expected) else f"{len(expected)} results")
    assert not told, f"{case.name}, {size}, {dtype}: differs from the reference, {told}"
    return taken


def on_reference(case: Case, size: str | Sizes, dtype: np.dtype) -> Work:
    """The same call, built and run on the reference, or what stands for it."""
    with fd.backend("reference"):
        work = case.work(size, dtype)
    if work.expected:
        return Work(work.expected)

    def run() -> Any:
        with fd.backend("reference"):
            return work.run()

    return work._replace(run=run)


def arrays_of(result: Any) -> Iterator[np.ndarray]:
    """The arrays and numbers in what a function returns."""
    if isinstance(result, (tuple, list, dict)):
        for part in result.values() if isinstance(result, dict) else result:
            yield from arrays_of(part)
    elif result is not None:
        yield np.asarray(result)
