"""Size and speed of models as C headers: ``python bench/headers.py`` (docs/interop-c.md).

For LSTM(1, H) and Linear(H, 1): bytes of the header, of its code and weights as compiled, and nanoseconds a step of the
compiled one, beside `fd.nn.Sequential.step` in the same process of Python.
"""

import argparse
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np

import fastdl as fd

MAIN = """
#define _POSIX_C_SOURCE 199309L
#include <stdio.h>
#include <time.h>
#include "model.h"
static float x[48000], y[48000];
int main(void)
{
    model_state s;
    long t, round;
    for (t = 0; t < 48000; t++)
        x[t] = sinf(0.01f * (float)t);
    model_reset(&s);
    for (round = 0; round < ROUNDS; round++) {
        struct timespec a, b;
        clock_gettime(CLOCK_MONOTONIC, &a);
        model_run(&s, x, y, 48000);
        clock_gettime(CLOCK_MONOTONIC, &b);
        printf("%f\\n", ((double)(b.tv_sec - a.tv_sec) * 1e9 + (double)(b.tv_nsec - a.tv_nsec)) / 48000);
    }
    return y[0] > 2;
}
"""


def compiled(folder, flags, rounds):
    """Nanoseconds a step of each round, and bytes of code and of constants."""
    (folder / "main.c").write_text(MAIN.replace("ROUNDS", str(rounds)))
    subprocess.run(["cc", "-std=c99", *flags, "main.c", "-o", "main", "-lm"], cwd=folder, check=True)
    times = [float(one) for one in subprocess.check_output([folder / "main"], text=True).split()]
    sections = subprocess.check_output(["size", "-A", folder / "main"], text=True).splitlines()
    sizes = {line.split()[0]: int(line.split()[1]) for line in sections if line.startswith(".")}
    return times, sizes[".text"], sizes[".rodata"]


def stepped(model, rounds):
    """Nanoseconds a step of fastdl's own, into arrays that are there."""
    x = np.ones((1, 1), np.float32)
    y, state = model.step(x)
    times = []
    for _ in range(rounds):
        begin = time.perf_counter_ns()
        for _ in range(2000):
            model.step(x, state, out=(y, state))
        times.append((time.perf_counter_ns() - begin) / 2000)
    return times


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=20)
    options = parser.parse_args(argv)
    print("| model | flags | header | code | weights | ns a step, least and median | fastdl's step |")
    print("|---|---|---|---|---|---|---|")
    for H in (16, 40):
        model = fd.nn.Sequential(fd.nn.LSTM(1, H, rng=0), fd.nn.Linear(H, 1, rng=1)).eval()
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            fd.interop.c.export(model, folder / "model.h")
            for flags in (["-O2"], ["-O3", "-march=x86-64-v3"]):
                times, code, weights = compiled(folder, flags, options.rounds)
                own = stepped(model, options.rounds)
                sizes = f"{(folder / 'model.h').stat().st_size} | {code} | {weights}"
                print(
                    f"| LSTM {H} | `{' '.join(flags)}` | {sizes} | {min(times):.0f}, {np.median(times):.0f} | "
                    f"{min(own):.0f}, {np.median(own):.0f} |"
                )


if __name__ == "__main__":
    main()
