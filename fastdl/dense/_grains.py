"""Work below which a second thread costs more than it brings (measured)."""

PRODUCT = 500_000  # multiply-adds
ELEMENTS = 20_000
