"""What was seen and done, on disk."""
