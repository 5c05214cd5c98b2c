"""Calibration of what the agent sees with: collect, solve, validate on what was held out, write one versioned YAML."""

__version__ = "0.1.0"
