"""Every case's call alone, at the medium size, not asserted: what ``compare.py`` times in two commits."""

import numpy as np
import pytest
from cases import Case, counted

CALLS = [pytest.param(case, dtype, id=f"{case.name} {dtype}") for case in counted() for dtype in case.dtypes]


@pytest.mark.parametrize(("case", "dtype"), CALLS)
def test_call(benchmark, case: Case, dtype: np.dtype):
    try:
        run = case.work("medium", dtype).run
        run()
    except Exception as error:  # an older commit lacks the function, or has it otherwise
        pytest.skip(f"does not run: {error!r}")
    benchmark(run)
