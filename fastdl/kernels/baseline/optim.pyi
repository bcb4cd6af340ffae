from typing import Protocol

from numpy import ndarray

LEVEL: str

class Update(Protocol):
    def __call__(self, arrays: tuple[ndarray, ...], places: ndarray, scalars: tuple[float, ...], options: tuple[float, ...], num_threads: int) -> None: ...

def __getattr__(name: str) -> Update: ...  # the rules, all of one type
def add_rows(total: ndarray, place: ndarray, values: ndarray) -> None: ...
