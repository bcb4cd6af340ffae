"""Stand-ins for arrays within a derived forward: they compute as arrays do, and record how."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NoReturn

import numpy as np

from ._trace import DETACHED, Operation, Trace, Walk

_BASIC = (int, slice, type(None), type(Ellipsis), np.integer)
MANY = 2**31  # arguments of a function that takes any number
TABLE: dict[Any, Callable[..., Any]] = {}  # what is done in the place of a function of NumPy or of fastdl


class Traced:
    """What stands for an array while a forward is derived: NumPy's functions, operators and methods, recorded.

    It cannot be written to, and nothing turns it into an array by the way: that would make a constant of it.
    """

    __slots__ = ("_at", "_trace", "_value")
    as_array = f" ({DETACHED})"  # in the words of those who expect an array
    __hash__ = None  # type: ignore[assignment]  # as an array has none

    def __init__(self, trace: Trace, at: int, value: Any) -> None:
        self._trace, self._at, self._value = trace, at, value

    # ---- what an array says of itself ---------------------------------------------------------------
    shape = property(lambda self: self._value.shape)
    ndim = property(lambda self: self._value.ndim)
    size = property(lambda self: self._value.size)
    dtype = property(lambda self: self._value.dtype)
    itemsize = property(lambda self: self._value.itemsize)
    nbytes = property(lambda self: self._value.nbytes)
    T = property(lambda self: TABLE[np.transpose](self))
    mT = property(lambda self: TABLE[np.swapaxes](self, -1, -2))
    real = property(lambda self: self)

    def __len__(self) -> int:
        return len(self._value)

    def __repr__(self) -> str:
        return f"traced({self._value!r})"

    def __str__(self) -> str:
        return str(self._value)

    def __format__(self, spec: str) -> str:
        return format(self._value, spec)

    def __bool__(self) -> bool:
        return bool(self._value)

    def __contains__(self, one: Any) -> bool:
        return bool((self == one).any())

    def __iter__(self) -> Iterator["Traced"]:
        return (self[k] for k in range(len(self._value)))

    def __copy__(self) -> "Traced":
        return self

    def __deepcopy__(self, memo: Any) -> "Traced":
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"a traced array cannot be pickled: {DETACHED}")

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or not hasattr(np.ndarray, name):
            raise AttributeError(f"a traced array has no attribute {name!r}")
        raise TypeError(f"ndarray.{name}: not in the table of derivatives; {DETACHED}")

    # ---- NumPy's functions --------------------------------------------------------------------------
    def __array_ufunc__(self, function: Any, method: str, *args: Any, **kwargs: Any) -> Any:
        if kwargs.get("out") is not None:
            raise _written(f"np.{function.__name__}(..., out=...)" if method == "__call__" else "out=")
        known = TABLE.get(function if method == "__call__" else (function, method))
        if known is None:
            raise unknown(f"np.{function.__name__}" + ("" if method == "__call__" else f".{method}"))
        return known(*args, **kwargs)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if kwargs.get("out") is not None:
            raise _written(f"np.{function.__name__}(..., out=...)")
        known = TABLE.get(function)
        if known is None:
            raise unknown(f"{function.__module__}.{function.__name__}")
        return known(*args, **kwargs)

    # ---- what would make a constant, or write -------------------------------------------------------
    def __array__(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise TypeError(
            f"np.asarray or the like of a traced array would make a constant of it: use it as it is; {DETACHED}"
        )

    def __float__(self) -> NoReturn:
        raise TypeError(f"float() of a traced array would make a constant of it: leave it an array; {DETACHED}")

    __int__ = __complex__ = __index__ = item = tolist = tobytes = __float__

    def __setitem__(self, key: Any, value: Any) -> NoReturn:
        raise _written("x[...] = y")

    def _in_place(self, other: Any) -> NoReturn:
        raise _written("x += y or the like")

    __iadd__ = __isub__ = __imul__ = __itruediv__ = __ifloordiv__ = __imod__ = __ipow__ = __imatmul__ = _in_place
    fill = put = sort = partition = itemset = _in_place

    # ---- operators ----------------------------------------------------------------------------------
    def __getitem__(self, key: Any) -> "Traced":
        return _gather(self, key)


def _written(what: str) -> TypeError:
    return TypeError(
        f"{what}: a traced array cannot be written to, nor into another array: make a new one, as x = x + y, "
        f"np.where, np.concatenate or np.stack do; {DETACHED}"
    )


def unknown(name: str) -> TypeError:
    return TypeError(
        f"{name}: not in the table of derivatives: compose it of functions that are, add its row with "
        f"fd.nn.derivative, or, where it is a constant, {DETACHED}"
    )


def plain(value: Any) -> Any:
    """The array behind a stand-in, and whatever else there is with the stand-ins in it replaced by theirs."""
    kind = value.__class__
    if kind is Traced:
        return value._value
    if kind is tuple or kind is list:
        return kind(plain(one) for one in value)
    if kind is dict:
        return {name: plain(one) for name, one in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return kind(*[plain(one) for one in value])
    if isinstance(value, slice):
        return slice(plain(value.start), plain(value.stop), plain(value.step))
    return value


def traced_in(value: Any) -> Trace | None:
    """The trace of the stand-ins among values and what they hold; None where there is none."""
    kind = value.__class__
    if kind is Traced:
        return value._trace
    if kind is tuple or kind is list or kind is dict or isinstance(value, tuple):
        for one in value.values() if kind is dict else value:
            found = traced_in(one)
            if found is not None:
                return found
    return None


def check_open(trace: Trace) -> None:
    if not trace.open:
        raise TypeError(
            f"a traced array of {trace.name} is used after that forward has ended: what is kept from one to the next "
            f"has to be a constant; {DETACHED}"
        )


def refuse_other(trace: Trace, other: Trace) -> None:
    check_open(trace)
    check_open(other)
    raise TypeError(
        f"traced arrays of two forwards, {trace.name} and {other.name}, meet in one operation: hand them to the inner "
        f"one as arguments; {DETACHED}"
    )


def kept(value: Any) -> Any:
    """An operand as the record keeps it: a writeable array is copied, since the forward may fill it anew."""
    if value.__class__ is np.ndarray and value.flags.writeable:
        return value.copy()
    if value.__class__ is tuple or value.__class__ is list:
        return value.__class__(kept(one) for one in value)
    return value


class Function:
    """A row of the table: a function with one result, and for each argument the derivative with respect to it.

    ``rows[k](dy, y, *args, **options)`` is the gradient with respect to the k-th argument, or rows[k] is None. `names`
    are the arguments', of which `most` may be given in their places; `linear` says that no derivative reads them or y.
    """

    __slots__ = ("function", "linear", "most", "names", "rows")

    def __init__(
        self, function: Callable[..., Any], rows: Any, names: Sequence[str], most: int, linear: bool = False
    ) -> None:
        self.function, self.rows, self.names, self.most, self.linear = function, rows, names, most, linear

    def __call__(self, *args: Any, **options: Any) -> Any:
        if options or len(args) > self.most:
            args, options = self._sorted(args, options)
        trace, constants = None, False
        values, parents, rows = [], [], self.rows
        for place, one in enumerate(args):
            if one.__class__ is Traced:
                if one._trace is not trace:
                    if trace is not None:
                        refuse_other(trace, one._trace)
                    trace = one._trace
                    if not trace.open:
                        check_open(trace)
                if place >= len(rows) or rows[place] is None:
                    raise unknown(f"{self.function.__name__} with respect to its argument {place + 1}")
                values.append(one._value)
                parents.append((place, one._at))
            else:
                values.append(one)
                constants = constants or one.__class__ is np.ndarray or one.__class__ is list
        y = self.function(*values, **options)
        if trace is None:
            return y
        if y.dtype.kind != "f":
            raise TypeError(f"{self.function.__name__}: gives {y.dtype} of a traced array, expected real numbers")
        if len(parents) == 1:
            needs = trace.trains[parents[0][1]]
        else:
            needs = True in [trace.trains[at] for _, at in parents]
        at = trace.number(y, needs)
        if self.linear:
            trace.operations.append(Operation(rows, at, parents, (None,) * len(values), options, None))
        else:
            if constants:
                known = {place for place, _ in parents}
                values = [one if place in known else kept(one) for place, one in enumerate(values)]
            trace.operations.append(Operation(rows, at, parents, values, options, y))
        return Traced(trace, at, y)

    def _sorted(self, args: tuple[Any, ...], options: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """What is differentiated in its place, though it was given by name; refused what no derivative knows."""
        if len(args) > self.most:
            raise unknown(f"{self.function.__name__} with {len(args)} arguments in their places")
        for name in options:
            if name not in self.names:
                raise unknown(f"{self.function.__name__}(..., {name}=...)")
        listed, options = list(args), dict(options)
        for name in self.names[len(args) : len(self.rows)] if self.most < MANY else ():
            if name not in options:
                break
            listed.append(options.pop(name))
        if traced_in(options) is not None:
            raise unknown(f"{self.function.__name__} with a traced {next(iter(options))}")
        return tuple(listed), options


def _gather(x: Traced, key: Any) -> Traced:
    """x[key]."""
    trace = x._trace
    if not trace.open:
        check_open(trace)
    if key.__class__ in (tuple, list, Traced) and traced_in(key) is not None:
        raise TypeError(f"an index that is traced would be a constant: {DETACHED}")
    value = x._value[key]
    at = trace.number(value, trace.trains[x._at])
    trace.operations.append(_Gathering(at, x._at, key if key.__class__ in (int, slice) else kept(key)))
    return Traced(trace, at, value)


class _Gathering:
    """x[key] on the record: its gradient is added where it was read, in one array for all keys."""

    __slots__ = ("at", "key", "parent")

    def __init__(self, at: int, parent: int, key: Any) -> None:
        self.at, self.parent, self.key = at, parent, key

    def back(self, walk: Walk) -> None:
        dy = walk.gradients[self.at]
        if dy is None:
            return
        walk.gradients[self.at] = None
        if not walk.needed[self.parent]:
            return
        place, key = walk.place(self.parent), self.key
        if all(isinstance(one, _BASIC) and one is not True and one is not False for one in _parts(key)):
            place[key] += dy
        else:
            np.add.at(place, key, dy)


def _parts(key: Any) -> tuple[Any, ...]:
    return key if key.__class__ is tuple else (key,)


Trace.stand_in = Traced


def add_operators() -> None:
    """Give the stand-in its operators, each a call of the row of NumPy's function."""
    both = {
        "add": np.add, "sub": np.subtract, "mul": np.multiply, "truediv": np.true_divide, "pow": np.power,
        "matmul": np.matmul, "mod": np.remainder, "floordiv": np.floor_divide,
    }  # fmt: skip
    one = {"neg": np.negative, "pos": np.positive, "abs": np.absolute}
    compared = {
        "lt": np.less, "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal,
        "eq": np.equal, "ne": np.not_equal,
    }  # fmt: skip
    for name, function in both.items():
        setattr(Traced, f"__{name}__", _left(TABLE[function]))
        setattr(Traced, f"__r{name}__", _right(TABLE[function]))
    for name, function in {**one, **compared}.items():
        setattr(Traced, f"__{name}__", _left(TABLE[function]))


def _left(row: Callable[..., Any]) -> Callable[..., Any]:
    return lambda self, *others: row(self, *others)


def _right(row: Callable[..., Any]) -> Callable[..., Any]:
    return lambda self, other: row(other, self)
