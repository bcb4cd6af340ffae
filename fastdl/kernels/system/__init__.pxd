"""The machine and its memory, as the compiled code sees them."""
