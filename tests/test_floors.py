"""The shape of the house: imports point downward, kernels do not call each other, files stay readable."""

import ast
import itertools
import re
from pathlib import Path

import pytest

import fastdl

HOUSE = Path(fastdl.__file__).parent

# Floors from the top. A module may import from lower floors, and from its own package.
FLOORS = [
    {"__main__"},
    {"cli"},
    {"estimators", "interop"},
    {"models", "text", "datasets", "curvature"},
    {"training"},
    {"saving", "metrics", "plots"},
    {"nn"},
    {"norms", "dropout", "optim", "dense", "recurrent", "sequence", "random"},
    {"_config", "_products", "_differences"},
    {"_validate", "_threads", "_memory", "_safetensors", "_trees", "_version"},
    {"_dispatch", "_files"},
    {"_tracing"},
    {"kernels"},
]
# Between rooms of one floor: who may use whom.
NEIGHBOURS = {
    ("dropout", "random"),
    ("_safetensors", "_memory"),
    ("models", "text"),
    ("optim", "norms"),
    ("training", "metrics"),
    ("training", "plots"),
    ("sequence", "random"),
}

# The kernels' rooms, from the top: a room imports from those further down.
KERNEL_ROOMS = [
    {"curvature"},
    {"recurrent", "sequence", "update", "system", "pointwise"},
    {"product"},
    {"reduce", "draws"},
    {"ground"},
]


def room(path):
    return path.relative_to(HOUSE).parts[0].removesuffix(".py")


def sources():
    for path in sorted(HOUSE.rglob("*.py")):
        if room(path) not in ("__init__", "kernels"):
            yield path


def imported_rooms(path):
    """Rooms of fastdl that a file imports at any place."""
    package = ("fastdl", *path.relative_to(HOUSE).parts[:-1])
    for node in ast.walk(ast.parse(path.read_text())):
        targets = []
        if isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            whole = (*base, *(node.module.split(".") if node.module else ()))
            targets = [(*whole, alias.name) for alias in node.names]
        elif isinstance(node, ast.Import):
            targets = [tuple(alias.name.split(".")) for alias in node.names]
        for target in targets:
            if target[0] == "fastdl" and len(target) > 1:
                yield target[1]


def imports():
    """Every module of the package, with those of its modules that it imports at any place, for its types alone too."""
    names = {path: ("fastdl", *path.relative_to(HOUSE).with_suffix("").parts) for path in HOUSE.rglob("*.py")}
    modules = {path: ".".join(name).removesuffix(".__init__") for path, name in names.items()}
    for path, own in modules.items():
        package = ("fastdl", *path.relative_to(HOUSE).parts[:-1])
        found = set()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom):
                base = package[: len(package) - node.level + 1] if node.level else ()
                whole = ".".join((*base, node.module) if node.module else base)
                deeper = [f"{whole}.{alias.name}" for alias in node.names]
                found |= {one if one in modules.values() else whole for one in deeper}
            elif isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
        yield own, (found & set(modules.values())) - {own}


def floor(name):
    for index, rooms in enumerate(FLOORS):
        if name in rooms:
            return index
    return None


@pytest.mark.parametrize("path", list(sources()), ids=lambda path: str(path.relative_to(HOUSE)))
def test_imports_point_downward(path):
    own = room(path)
    for other in imported_rooms(path):
        if own == "reference":
            assert other == "reference", f"{path.name}: the reference imports nothing of fastdl"
        elif floor(other) is not None and other != own:
            assert floor(own) is not None, f"{own}: stands on no floor"
            below = floor(other) > floor(own)
            beside = floor(other) == floor(own) and (own, other) in NEIGHBOURS
            assert below or beside, f"{path.relative_to(HOUSE)} imports {other}, which is not below it"


def test_no_module_takes_part_in_a_circle_of_imports():
    waiting = dict(imports())
    while done := {own for own, others in waiting.items() if not others & waiting.keys()}:
        waiting = {own: others for own, others in waiting.items() if own not in done}
    circles = {own: sorted(others & waiting.keys()) for own, others in waiting.items()}
    assert not circles, "these import each other, or stand on those that do"


def test_the_picture_shows_these_floors():
    picture = HOUSE.parent / "docs" / "how" / "architecture.svg"
    if not picture.exists():  # absent from an installed package
        pytest.skip("no documentation here")
    shown = [re.split(", ", names) for names in re.findall(r"monospace[^>]*>([^<|]+)</text>", picture.read_text())]
    levels = [[floor(name) for name in names] for names in shown if names != ["fastdl.reference"]]
    assert all(None not in level for level in levels)
    assert all(max(upper) < min(lower) for upper, lower in itertools.pairwise(levels))


def test_only_the_waist_touches_kernels():
    # _memory and _validate ask the baseline's `system` for arrays and about them, _dispatch about the processor.
    touching = {room(path) for path in sources() if "kernels" in set(imported_rooms(path))}
    assert touching <= {"_dispatch", "_memory", "_validate"}


def test_kernels_import_only_rooms_below():
    found = 0
    for path in sorted((HOUSE / "kernels").glob("*/*.p[xy][dx]")):
        own = next(floor for floor, rooms in enumerate(KERNEL_ROOMS) if path.parent.name in rooms)
        for dots, name, file in re.findall(r"^from (\.+)(\w+)(?:\.(\w+))? cimport", path.read_text(), re.MULTILINE):
            found += 1
            assert (file or name).startswith("_"), f"{path.name} cimports the kernel {file or name}"
            if len(dots) == 2:
                below = {room for rooms in KERNEL_ROOMS[own + 1 :] for room in rooms}
                assert name in below, f"{path.parent.name}/{path.name} cimports {name}, which is not below it"
    assert found > 50


def test_threads_share_no_local_variable():
    # What a parallel loop assigns is each thread's own. What it only passes the address of, a scalar or a C array of
    # the function around it, is one for all threads.
    found = 0
    for path in (HOUSE / "kernels").glob("*/*.p[xy][dx]"):
        for function in re.split(r"^(?=(?:def|cdef|cpdef) )", path.read_text(), flags=re.MULTILINE):
            shared = re.findall(r"^ +cdef [\w. ]+? (\w+)\[\w+\]", function, re.MULTILINE)
            shared += re.findall(r"^ +cdef [\w.]+\[\w+\] (\w+)$", function, re.MULTILINE)
            for loop in re.findall(r"^( +)for .* in prange\((.*\n(?:\1 .*\n|\n)*)", function, re.MULTILINE):
                found += 1
                passed = re.findall(r"&(\w+)\b(?![\[.\w])", loop[1])
                passed += [name for name in shared if re.search(rf"\b{name}\b", loop[1])]
                assert not passed, f"{path.name}: a parallel loop shares {passed}: {function.splitlines()[0]}"
    assert found > 20


def test_nothing_switches_the_process_to_fast_math():
    setup = HOUSE.parent / "setup.py"
    if setup.exists():  # absent from an installed package
        code = "\n".join(line.split("#")[0] for line in setup.read_text().splitlines())
        assert not re.search(r"-ffast-math|-Ofast|-funsafe-math-optimizations|-march=native", code)


def test_files_stay_readable():
    long = {
        str(path.relative_to(HOUSE)): lines
        for pattern in ("*.py", "*.pyx", "*.pxd", "*.h")
        for path in HOUSE.rglob(pattern)
        if (lines := len(path.read_text().splitlines())) > 500
    }
    assert long == {}
