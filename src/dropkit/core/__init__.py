"""The one idea in code, on the standard library and NumPy alone."""
