"""What a stored run (``make bench-save``) says of the machine and the build, beside its commit."""

import os

import fastdl as fd


def pytest_benchmark_update_machine_info(config, machine_info):
    machine_info["memory"] = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")  # bytes
    machine_info["fastdl"] = {**fd.show_config(mode="dicts"), "file": fd.__file__}
