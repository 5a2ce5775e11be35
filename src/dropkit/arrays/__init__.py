"""Dropout for the arrays of plain JAX: `dropkit.drop` finds it from the type of the array."""
