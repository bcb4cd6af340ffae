"""What every kernel stands on: build and team, arrays and their extents, registers, vectors, scalar formulas."""
