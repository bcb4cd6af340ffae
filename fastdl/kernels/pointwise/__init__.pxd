"""Element by element: activations, losses."""
