"""Imagines what actions would do, in representation space."""
