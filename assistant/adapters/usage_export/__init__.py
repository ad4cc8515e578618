"""Usage as files that other programs read: the same columns in every format."""
