"""Dropout for plain JAX and TensorFlow: `dropkit.drop` finds the module from the type of the array."""
