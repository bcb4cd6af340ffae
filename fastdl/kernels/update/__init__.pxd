"""The steps of the optimizers."""
