"""Methods that need torch code of their own: one file, one method, named as its record in `dropkit.methods`."""
