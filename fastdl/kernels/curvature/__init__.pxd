"""Tangents and adjoint tangents over the same table, products with Jacobians and Hessians."""
