from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

LEVEL: str

def set_operators(rows: Mapping[str, Callable[..., Any]]) -> None: ...

class Record:
    operations: list[Any]
    facts: list[tuple[Any, Any, bool]]
    here: Any
    stand_in: type
    def __init__(self, here: Any, stand_in: type) -> None: ...
    def number(self, value: Any, trains: Any) -> int: ...
    def stand(self, at: Any, value: Any) -> Any: ...
    def go_back(self, walk: Walk) -> None: ...

class Walk:
    gradients: list[Any]
    needed: list[bool]
    facts: list[tuple[Any, Any, bool]]
    input_gradient: bool
    def __init__(self, record: Record, input_gradient: bool) -> None: ...
    def add(self, at: int, gradient: Any) -> None: ...
    def take(self, at: int) -> Any: ...
    def shape(self, at: int) -> tuple[int, ...]: ...
    def place(self, at: int) -> Any: ...

class StandIn:
    _trace: Any
    _at: Any
    _value: Any
    def __init__(self, trace: Record, at: Any, value: Any) -> None: ...

class Row:
    function: Callable[..., Any]
    direct: Callable[..., Any]
    rules: tuple[Any, ...]
    names: tuple[str, ...]
    most: int
    linear: bool
    def __init__(
        self, function: Any, direct: Any, rules: Iterable[Any], names: Iterable[str], most: int, linear: bool
    ) -> None: ...
    def __call__(self, *args: Any, **options: Any) -> Any: ...
    def record(self, args: Sequence[Any], options: Any = None) -> Any: ...

class Operation:
    at: Any
    parts: list[tuple[int, int]]
    reads: bool
    parents: Sequence[int]
    results: Sequence[int]

class Gathering(Operation):
    def back(self, walk: Walk) -> None: ...

class Choice(Operation):
    def back(self, walk: Walk) -> None: ...

class Joining(Operation):
    def back(self, walk: Walk) -> None: ...

class Parts:
    record: Any
    values: list[Any]
    parts: list[tuple[int, int]]
    trains: bool
    constants: bool
    def __init__(self, arrays: Iterable[Any], check: Callable[..., Any]) -> None: ...
    def chosen(self, y: Any, condition: Any) -> Any: ...
    def joined(self, y: Any, axis: int | None, ends: list[int] | None) -> Any: ...

def gather(x: StandIn, key: Any, kept: Any) -> Any: ...
