"""The baseline build of the kernels."""
