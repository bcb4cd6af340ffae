"""Work below which a second thread costs more than it brings (docs/profiling.md)."""

PRODUCT = 500_000  # multiply-adds
ELEMENTS = 20_000
