"""Kernels of the recurrent wing are for reading: short functions of few arguments, and numbers get their type once."""

import re
from pathlib import Path

import pytest

import fastdl

KERNELS = Path(fastdl.__file__).parent / "kernels"
WING = [
    "_backward",
    "_backward_work",
    "_call",
    "_cells",
    "_forward",
    "_gate_norm",
    "_heads",
    "_options",
    "_pack",
    "_passes",
    "_rows",
    "_sums",
    "_tangents",
]
WING += ["_vec", "_walk", "curvature", "recurrent"]
LINES, ARGUMENTS = 60, 8
FUNCTION = re.compile(r"^( *)(?:cdef|def) [^=:\n]*?(\w+)\((.*?)\)(?: noexcept nogil| except\W+\w+)?:\n", re.M | re.S)


def functions(path):
    """(name, arguments, lines) of every function."""
    text = path.read_text()
    found = list(FUNCTION.finditer(text))
    assert found
    for one in found:
        depth = len(one[1])
        body = text[one.end() :].splitlines()
        inside = next(
            (i for i, line in enumerate(body) if line.strip() and len(line) - len(line.lstrip()) <= depth), None
        )
        arguments = [a for a in one[3].split(",") if a.strip() and a.strip() != "self"]
        yield one[2], len(arguments), one[0].count("\n") + len("\n".join(body[:inside]).rstrip().splitlines())


@pytest.mark.parametrize("name", WING)
def test_a_function_is_short_and_takes_few_arguments(name):
    path = next(KERNELS.glob(f"*/{name}.p[xy][dx]"))
    for function, arguments, lines in functions(path):
        assert arguments <= ARGUMENTS, f"{path.name}: {function} takes {arguments} arguments"
        assert lines <= LINES, f"{path.name}: {function} has {lines} lines"


def test_numbers_get_their_type_in_one_place():
    casts = {
        (name, line.strip())
        for name in WING
        for line in next(KERNELS.glob(f"*/{name}.p[xy][dx]")).read_text().splitlines()
        if re.search(r"<(const )?cython\.floating ?\*>", line)
    }
    assert casts == {("_call", "return <cython.floating*> start")}
