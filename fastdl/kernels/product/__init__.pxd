"""The matrix tile and the products made of it; dense layers."""
