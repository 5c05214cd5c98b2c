"""What was seen and what was commanded, aligned in time: the belief."""
