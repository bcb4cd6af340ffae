"""The parts of a header as they are collected: arrays, fields of the state, functions, and the lines of a step."""

import math
import textwrap
from typing import Any

import numpy as np

_PER_LINE = 8
HELPERS = {
    "add_product": """
/* y += x w */
static inline void P_add_product(const float *x, const float *w, float *P_restrict y, int rows, int columns)
{
    int i, j;
    for (i = 0; i < rows; i++)
        for (j = 0; j < columns; j++)
            y[j] += x[i] * w[i * columns + j];
}
""",
    "copy": """
static inline void P_copy(const float *x, float *P_restrict y, int size)
{
    int i;
    for (i = 0; i < size; i++)
        y[i] = x[i];
}
""",
    "sigmoid": """
static inline float P_sigmoid(float a)
{
    return 1.0f / (1.0f + expf(-a));
}
""",
    "clipped": """
static inline float P_clipped(float a, float bound)
{
    return a > bound ? bound : a < -bound ? -bound : a;
}
""",
    "softplus": """
static inline float P_softplus(float a)
{
    return (a > 0.0f ? a : 0.0f) + log1pf(expf(-fabsf(a)));
}
""",
    "normalize": """
/* mean 0 and variance 1, times the gain */
static inline void P_normalize(float *a, const float *gain, float eps, int size)
{
    float mean = 0.0f, variance = 0.0f, scale;
    int i;
    for (i = 0; i < size; i++)
        mean += a[i];
    mean /= (float)size;
    for (i = 0; i < size; i++)
        variance += (a[i] - mean) * (a[i] - mean);
    scale = 1.0f / sqrtf(variance / (float)size + eps);
    for (i = 0; i < size; i++)
        a[i] = (a[i] - mean) * scale * gain[i];
}
""",
}


class Source:
    """What a header is made of. In all texts P stands for the prefix.

    Attributes
    ----------
    arrays, functions : list of str
    fields, resets : list of str
        Members of the state, and what sets them to the beginning.
    lines : list of str
        Of the function `step`.
    """

    def __init__(self) -> None:
        self.arrays: list[str] = []
        self.functions: list[str] = []
        self.fields: list[str] = []
        self.resets: list[str] = []
        self.lines: list[str] = []
        self._helpers: set[str] = set()
        self._count = 0

    def fresh(self) -> str:
        """A name within the file that no other part has."""
        self._count += 1
        return f"l{self._count - 1}"

    def helper(self, *names: str) -> None:
        self._helpers |= set(names)

    def helpers(self) -> list[str]:
        return [text.strip("\n") for name, text in HELPERS.items() if name in self._helpers]

    def array(self, name: str, values: Any, where: str) -> str:
        """A constant array, by whose name it is used."""
        with np.errstate(over="ignore"):
            flat = np.asarray(values, np.float32).ravel()
        if not np.isfinite(flat).all():
            raise ValueError(f"{where}: got a weight that is not finite in float32, expected finite ones")
        numbers = [number(one) for one in flat]
        rows = [", ".join(numbers[at : at + _PER_LINE]) for at in range(0, len(numbers), _PER_LINE)]
        self.arrays.append(f"static const float P_{name}[{flat.size}] = {{\n    " + ",\n    ".join(rows) + "\n};")
        return f"P_{name}"

    def state(self, name: str, size: int, first: str | None = None) -> str:
        """A member of the state, zeros at first or the values of an array."""
        self.fields.append(f"float {name}[{size}];")
        value = "0.0f" if first is None else f"{first}[i]"
        self.resets.append(f"for (i = 0; i < {size}; i++)\n    s->{name}[i] = {value};")
        return f"s->{name}"

    def local(self, size: int) -> str:
        """An array of the function `step`."""
        name = self.fresh()
        self.lines.append(f"float {name}[{size}];")
        return name

    def function(self, head: str, *body: str) -> None:
        inside = textwrap.indent("\n".join(body), "    ")
        self.functions.append(f"static inline void {head}\n{{\n{inside}\n}}")


def number(value: Any) -> str:
    """A float32 as C reads it back to the bit."""
    if math.isinf(value):
        return "INFINITY" if value > 0 else "-INFINITY"
    digits = f"{float(value):.9g}"
    return (digits if any(mark in digits for mark in ".e") else f"{digits}.0") + "f"


def loop(size: int, *lines: str) -> str:
    """A loop over j."""
    inside = textwrap.indent("\n".join(lines), "    ")
    return f"for (j = 0; j < {size}; j++) {{\n{inside}\n}}"


def refused(where: str, layer: Any, wanted: str) -> ValueError:
    return ValueError(f"{where}: got {layer._describe()}, expected {wanted}")
