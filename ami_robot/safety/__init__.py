"""The guardrails: one file of limits, what they mean for a motion, and the filter and last gate before the arm."""
