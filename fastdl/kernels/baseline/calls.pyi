from collections.abc import Callable, Iterable, Mapping
from typing import Any

LEVEL: str

class Called:
    row: Caller
    parents: list[int]
    results: list[int | None]
    places: list[tuple[str, int]]
    values: dict[str, Any]
    yields: tuple[Any, ...]
    reads: bool
    def back(self, walk: Any) -> None: ...

class Caller:
    function: Callable[..., Any]
    back: Callable[..., Any]
    differentiated: tuple[str, ...]
    places: tuple[str, ...]
    results: int
    least: int
    defaults: dict[str, Any]
    def __init__(
        self, function: Any, differentiated: Iterable[str], results: int, back: Any, places: Iterable[str], least: int,
        defaults: Mapping[str, Any],
    ) -> None: ...
    def __call__(self, *args: Any, **options: Any) -> Any: ...
