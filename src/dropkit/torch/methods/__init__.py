"""Methods that need torch code of their own: one file each, named as its record in `dropkit.methods`."""
