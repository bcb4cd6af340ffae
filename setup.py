"""The three kernel builds and the one module that all share, nothing else: metadata and settings are in pyproject.toml.

Every ``fastdl/kernels/<room>/<topic>.pyx`` is translated to C once, and the C file is compiled once per level into
``fastdl.kernels.<level>.<topic>``. At run time ``fastdl._dispatch`` imports the best level the machine has.

Environment: ``FASTDL_OPENMP=0`` builds without threads; ``FASTDL_DEBUG=1`` builds with bounds checks and
the compiler's undefined-behaviour traps (``make debug``); ``FASTDL_SANITIZE=address,undefined`` with these
sanitizers (``make sanitize``); ``FASTDL_LEVELS="baseline avx2"`` builds these levels alone;
``FASTDL_SYMBOLS=1`` keeps the names and lines that a profiler shows (docs/profiling.md).
"""

import copy
import os
import platform
import tempfile
from pathlib import Path

import numpy as np
from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

KERNELS = Path("fastdl/kernels")
SHARED = "fastdl.kernels._shared"
DEBUG = os.environ.get("FASTDL_DEBUG", "0") == "1"
SANITIZE = os.environ.get("FASTDL_SANITIZE", "")
SYMBOLS = os.environ.get("FASTDL_SYMBOLS", "0") == "1"

# Level -> architecture flags. v3 is AVX2 + FMA, v4 is AVX-512 (F, BW, CD, DQ, VL).
LEVELS = {"baseline": []}
if platform.machine() in ("x86_64", "AMD64"):
    LEVELS["avx2"] = ["-march=x86-64-v3"]
    LEVELS["avx512"] = ["-march=x86-64-v4", "-mprefer-vector-width=512"]

if "FASTDL_LEVELS" in os.environ:
    LEVELS = {level: LEVELS[level] for level in ("baseline", *os.environ["FASTDL_LEVELS"].split())}

# Never -ffast-math and its kin: linked in, they switch the whole process to flush-to-zero.
# CPython's own -fwrapv would keep the compiler from simplifying indices: up to a seventh of a kernel's instructions.
COMMON = ["-fno-math-errno", "-fno-trapping-math", "-fvisibility=hidden", "-fno-wrapv"]
COMMON += ["-Wno-maybe-uninitialized", "-Wno-attributes"]  # what Cython's C draws, not ours
if DEBUG:
    COMMON += ["-O1", "-g", "-fsanitize=undefined", "-fsanitize-undefined-trap-on-error"]
    LINK = ["-fsanitize=undefined", "-fsanitize-undefined-trap-on-error"]
elif SANITIZE:
    LINK = [f"-fsanitize={SANITIZE}", "-fno-sanitize-recover=all"]
    COMMON += ["-O1", "-g", "-fno-omit-frame-pointer", *LINK]
else:
    COMMON += ["-O3", "-g" if SYMBOLS else "-g0"]
    LINK = [] if SYMBOLS else ["-s"]

# What sums products or series may fuse a*b + c; elementwise topics must not, so that every build (and
# NumPy) gives the same bits.
FUSED = {
    "activations", "convolution", "curvature", "dense", "linear_loss", "losses", "normalization", "recurrent",
    "sequence", "sequence_attention", "system",
}  # fmt: skip

DIRECTIVES = {
    "language_level": 3,
    "boundscheck": DEBUG,
    "wraparound": False,
    "initializedcheck": False,
    "cdivision": True,
    "embedsignature": True,
}


class BuildExt(build_ext):
    """Builds the levels side by side, with OpenMP where the compiler has it."""

    def finalize_options(self):
        super().finalize_options()
        self.parallel = self.parallel or os.cpu_count()

    def build_extensions(self):
        if os.environ.get("FASTDL_OPENMP", "1") == "1" and self._compiles("-fopenmp"):
            for extension in self.extensions:
                extension.extra_compile_args.append("-fopenmp")
                extension.extra_link_args.append("-fopenmp")
        else:
            print("fastdl: building without OpenMP: the kernels will run on one thread")
        super().build_extensions()

    def build_extension(self, ext):
        # The levels share their C files, so each needs an object folder of its own.
        level = ext.name.split(".")[-2]
        job = copy.copy(self)
        job.build_temp = os.path.join(self.build_temp, level)
        super(BuildExt, job).build_extension(ext)

    def _compiles(self, flag):
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder) / "probe.c"
            source.write_text("#include <omp.h>\nint main(void) { return omp_get_max_threads() < 1; }\n")
            try:
                objects = self.compiler.compile([str(source)], output_dir=folder, extra_preargs=[flag])
                self.compiler.link_executable(objects, str(Path(folder) / "probe"), extra_preargs=[flag])
            except Exception as error:
                print(f"fastdl: the compiler refused {flag}: {error}")
                return False
        return True


def extensions():
    kernels = sorted(KERNELS.glob("*/*.pyx"), key=lambda path: path.stem)
    rooms = sorted({str(path.parent) for path in KERNELS.glob("*/*.pxd")})
    # Translate each .pyx exactly once (three Extensions of one .pyx would fail), then name the C file thrice.
    sources = [Extension(".".join(path.with_suffix("").parts), [str(path)]) for path in kernels]
    # What typed memoryviews need is the same in all of them, and more than many a kernel: one module has it for all.
    sources.append(Extension(SHARED, [f"{SHARED.replace('.', '/')}.c"]))
    *translated, shared = cythonize(
        sources, compiler_directives=DIRECTIVES, nthreads=0, shared_utility_qualified_name=SHARED
    )
    shared.extra_compile_args, shared.extra_link_args = [*COMMON], [*LINK]  # BuildExt adds to each its own
    return [
        shared,
        *(
            Extension(
                f"fastdl.kernels.{level}.{path.stem}",
                one.sources,
                include_dirs=[*rooms, np.get_include()],
                define_macros=[("NPY_NO_DEPRECATED_API", "NPY_1_7_API_VERSION")],
                depends=[*one.depends, *map(str, KERNELS.glob("*/*.h"))],
                extra_compile_args=COMMON
                + flags
                + ["-ffp-contract=fast" if path.stem in FUSED else "-ffp-contract=off"],
                extra_link_args=[*LINK],
            )
            for level, flags in LEVELS.items()
            for path, one in zip(kernels, translated, strict=True)
        ),
    ]


setup(ext_modules=extensions(), cmdclass={"build_ext": BuildExt})
