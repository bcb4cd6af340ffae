"""Stand-ins for arrays within a derived forward: they compute as arrays do, and record how."""

import copy
import functools
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NoReturn

import numpy as np

from .. import _tracing
from .._dispatch import kernels
from .._tracing import here
from .._validate import plain_array
from ._trace import DETACHED, Trace

record: Any = kernels.record
MANY = 2**31  # arguments that may be given in their places
TABLE: dict[Any, Callable[..., Any]] = {}  # what is done in the place of a function of NumPy or of fastdl


class Traced(record.StandIn):
    """What stands for an array while a forward is derived: NumPy's functions, operators and methods, recorded.

    It cannot be written to, and nothing turns it into an array by the way: that would make a constant of it.
    """

    __slots__ = ()
    as_array = f" ({DETACHED})"  # in the words of those who expect an array
    __hash__ = None  # type: ignore[assignment]  # as an array has none

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
        if kwargs and kwargs.get("out") is not None:
            raise written(f"np.{function.__name__}(..., out=...)" if method == "__call__" else "out=")
        known = TABLE.get(function if method == "__call__" else (function, method))
        if known is None:
            raise unknown(title(function) + ("" if method == "__call__" else f".{method}"))
        return known(*args, **kwargs)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if kwargs and kwargs.get("out") is not None:
            raise written(f"np.{function.__name__}(..., out=...)")
        known = TABLE.get(function)
        if known is None:
            raise unknown(title(function))
        return known(*args, **kwargs)

    # ---- what would make a constant, or write -------------------------------------------------------
    def __array__(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise TypeError(
            f"np.asarray or the like of a traced array would make a constant of it: use it as it is; {DETACHED}"
        )

    def __float__(self) -> NoReturn:
        raise TypeError(f"float() of a traced array would make a constant of it: leave it an array; {DETACHED}")

    __int__ = __complex__ = __index__ = __float__

    def tolist(self, *args: Any) -> NoReturn:
        raise TypeError(f"item(), tolist() and the like of a traced array would make a constant of it; {DETACHED}")

    item = tobytes = __round__ = tolist

    def __setitem__(self, key: Any, value: Any) -> NoReturn:
        raise written("x[...] = y")

    def _in_place(self, *others: Any, **options: Any) -> NoReturn:
        raise written("x += y or the like")

    __iadd__ = __isub__ = __imul__ = __itruediv__ = __ifloordiv__ = __imod__ = __ipow__ = __imatmul__ = _in_place
    fill = put = sort = partition = itemset = _in_place

    # ---- operators ----------------------------------------------------------------------------------
    def __getitem__(self, key: Any) -> "Traced":
        return _gather(self, key)


def written(what: str) -> TypeError:
    return TypeError(
        f"{what}: a traced array cannot be written to, nor into another array: make a new one, as x = x + y, "
        f"np.where, np.concatenate or np.stack do; {DETACHED}"
    )


def unknown(name: str) -> TypeError:
    return TypeError(
        f"{name}: not in the table of derivatives: compose it of functions that are, add its row with "
        f"fd.nn.derivative, or, where it is a constant, {DETACHED}"
    )


def undispatched(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of NumPy without the question whether its arguments want to answer themselves, where it has such."""
    return getattr(function, "_implementation", function)


def title(function: Callable[..., Any]) -> str:
    """A function as users write it."""
    module = getattr(function, "__module__", None) or ("numpy" if isinstance(function, np.ufunc) else "")
    known = module.startswith(("numpy", "scipy"))
    return f"{module.replace('numpy', 'np', 1)}.{function.__name__}" if known else function.__name__


def strange(function: Callable[..., Any], argument: int | str) -> TypeError:
    """For an argument that no derivative knows, by its name or place."""
    name = argument
    if isinstance(argument, int):
        try:
            name = list(inspect.signature(function).parameters)[argument]
        except (TypeError, ValueError, IndexError):
            return unknown(f"{title(function)} with {argument + 1} arguments in their places")
    return unknown(f"{title(function)}(..., {name}=...)")


def with_values(value: dict[Any, Any], found: Mapping[Any, Any]) -> dict[Any, Any]:
    """A dict of a kind of its own (an OrderedDict, say) with other values."""
    other = copy.copy(value)
    for name, one in found.items():
        other[name] = one
    return other


def plain(value: Any) -> Any:
    """The array behind a stand-in, and whatever else there is with the stand-ins in it replaced by theirs."""
    kind = value.__class__
    if kind is Traced:
        return value._value
    if kind is tuple or kind is list:
        return kind(plain(one) for one in value)
    if isinstance(value, dict):
        found = {name: plain(one) for name, one in value.items()}
        return found if kind is dict else with_values(value, found)
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
    if kind is tuple or kind is list or isinstance(value, (tuple, dict)):
        for one in value.values() if isinstance(value, dict) else value:
            found = traced_in(one)
            if found is not None:
                return found
    return None


def check_here(trace: Trace) -> None:
    """Refuse what would not come onto the record, or onto another's: `trace` is that of an operand."""
    current = _tracing.current()
    if current is trace:
        return
    if not trace.open:
        raise TypeError(
            f"a traced array of {trace.name} is used after that forward has ended: what is kept from one to the next "
            f"has to be a constant, and results are returned as arrays, or in tuples, lists and dicts; {DETACHED}"
        )
    if current is None:
        raise TypeError(
            f"a traced array of {trace.name} is used where nothing is recorded, in another thread or within a layer "
            f"that writes its own backward: hand it to the layer as an argument; {DETACHED}"
        )
    raise TypeError(
        f"a traced array of {trace.name} is used within {current.name}: hand it to the inner one as an argument, alone "
        f"or in tuples, lists and dicts; {DETACHED}"
    )


def kept(value: Any) -> Any:
    """An operand as the record keeps it: what is writeable is copied, since the forward may fill it anew."""
    if isinstance(value, np.ndarray):
        base = value.base
        if value.flags.writeable or (isinstance(base, np.ndarray) and base.flags.writeable):
            return np.array(value)
        return value
    if value.__class__ is tuple or value.__class__ is list:
        return value.__class__(kept(one) for one in value)
    return value


def _operand(value: Any) -> Any:
    """As :func:`kept`, of what is differentiated: always an array, or a number."""
    return np.array(value) if value.__class__ is list or value.__class__ is tuple else kept(value)


def check_result(function: Callable[..., Any], y: Any) -> None:
    """Refuse what has no gradient though something traced went in."""
    if not isinstance(y, (np.ndarray, np.generic)):
        raise TypeError(f"{title(function)}: gave {type(y).__name__}, expected an array or a number of NumPy")
    if y.dtype.kind != "f":
        raise TypeError(f"{title(function)}: gives {y.dtype} of a traced array, expected real numbers")


class Function(record.Row):
    """A row of the table: a function with one result, and for each argument the derivative with respect to it.

    ``rules[k](dy, y, *args, **options)`` is the gradient with respect to the k-th argument, or rules[k] is None.
    `names` are the arguments', of which `most` may be given in their places; `linear` says that no derivative reads
    them or y; `direct` does the same of arrays and numbers alone.
    """

    def __init__(
        self, function: Callable[..., Any], rules: Any, names: Sequence[str], most: int, linear: bool = False,
        direct: Callable[..., Any] | None = None,
    ) -> None:  # fmt: skip
        super().__init__(function, direct or undispatched(function), rules, names, most, linear)

    # ---- what record.Row calls ----------------------------------------------------------------------
    def refuse_argument(self, argument: int | str) -> NoReturn:
        raise strange(self.function, argument)

    def refuse_gradient(self, place: int) -> NoReturn:
        raise unknown(f"{title(self.function)} with respect to its argument {place + 1}")

    def refuse_record(self, trace: Trace) -> None:
        check_here(trace)

    def check_option(self, name: str, one: Any) -> None:
        if traced_in(one) is not None:
            raise unknown(f"{title(self.function)} with respect to {name}")

    def check_result(self, y: Any) -> None:
        check_result(self.function, y)

    def check_constants(self, values: Sequence[Any]) -> None:
        for place, one in enumerate(values):
            if isinstance(one, np.ndarray) and one.__class__ is not np.ndarray:
                plain_array(f"{title(self.function)}, argument {place + 1}", one)  # refuses those with a mask

    def keep_constants(self, args: Sequence[Any], values: list[Any]) -> None:
        """Put what the record keeps in the place of the constants."""
        rules = self.rules
        for place, one in enumerate(args):
            if one.__class__ is not Traced:
                values[place] = _operand(one) if place < len(rules) and rules[place] is not None else kept(one)


def _gather(x: Traced, key: Any) -> Traced:
    """x[key]."""
    if here.trace is not x._trace:
        check_here(x._trace)
    if key.__class__ in (tuple, list, Traced) and traced_in(key) is not None:
        raise TypeError(f"an index that is traced would be a constant: {DETACHED}")
    return record.gather(x, key, key if key.__class__ in (int, slice) else kept(key))


Trace.kind = Traced


def add_operators() -> None:
    """Give the stand-in its operators, each a call of the row of NumPy's function."""
    operators = {
        "add": np.add, "sub": np.subtract, "mul": np.multiply, "truediv": np.true_divide, "pow": np.power,
        "matmul": np.matmul, "mod": np.remainder, "floordiv": np.floor_divide,
        "neg": np.negative, "pos": np.positive, "abs": np.absolute,
    }  # fmt: skip
    record.set_operators({name: TABLE[function] for name, function in operators.items()})
    compared = {
        "lt": np.less, "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal,
        "eq": np.equal, "ne": np.not_equal,
    }  # fmt: skip
    for name, function in compared.items():
        setattr(Traced, f"__{name}__", functools.partialmethod(TABLE[function]))
