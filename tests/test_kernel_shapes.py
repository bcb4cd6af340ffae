"""Kernels are for reading: short functions of few arguments; and in the recurrent wing numbers get their type once."""

import re
from pathlib import Path

import pytest

import fastdl

KERNELS = Path(fastdl.__file__).parent / "kernels"
FILES = sorted(KERNELS.glob("*/*.p[xy][dx]"))
LINES, ARGUMENTS = 60, 8
FUNCTION = re.compile(
    r"^( *)(?:cdef|cpdef|def) [^=:\n(]*?(\w+)\((.*?)\)(?: noexcept| nogil| except[^:\n]*)*:\n", re.MULTILINE | re.DOTALL
)
DIMENSIONS = re.compile(r"\[[^]]*\]")  # of a memoryview, whose commas part no arguments


def functions(path):
    """(name, arguments, lines) of every function."""
    text = path.read_text()
    for one in FUNCTION.finditer(text):
        depth = len(one[1])
        body = text[one.end() :].splitlines()
        inside = next(
            (i for i, line in enumerate(body) if line.strip() and len(line) - len(line.lstrip()) <= depth), None
        )
        arguments = [a for a in DIMENSIONS.sub("", one[3]).split(",") if a.strip() and a.strip() != "self"]
        yield one[2], len(arguments), one[0].count("\n") + len("\n".join(body[:inside]).rstrip().splitlines())


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_function_is_short_and_takes_few_arguments(path):
    for function, arguments, lines in functions(path):
        assert arguments <= ARGUMENTS, f"{path.name}: {function} takes {arguments} arguments"
        assert lines <= LINES, f"{path.name}: {function} has {lines} lines"


def test_no_function_is_overlooked():
    heads = re.compile(r"^ *(?:cdef|cpdef|def) [^=:\n(]*\w+\(", re.M)
    for path in FILES:
        assert len(list(functions(path))) == len(heads.findall(path.read_text())), path.name


def test_numbers_get_their_type_in_one_place():
    casts = {
        (path.stem, line.strip())
        for room in ("recurrent", "curvature")
        for path in (KERNELS / room).glob("*.p[xy][dx]")
        for line in path.read_text().splitlines()
        if re.search(r"<(const )?cython\.floating ?\*>", line)
    }
    assert casts == {("_call", "return <cython.floating*> start")}
