from numpy import ndarray

LEVEL: str
CHUNK_SIZE: int
ROWS: dict[str, int]

def elementwise(row: int, arrays: tuple[ndarray, ndarray, ndarray | None, ndarray | None], a: float, scale: float, sums: ndarray, gradient: ndarray, losses: ndarray | None, num_threads: int) -> None: ...
