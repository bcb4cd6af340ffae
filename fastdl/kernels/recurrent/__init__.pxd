"""The table of cells, their equations, and the walks over time."""
