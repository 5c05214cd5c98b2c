"""One task file -> a ready agent."""
