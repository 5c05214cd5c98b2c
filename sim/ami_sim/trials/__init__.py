"""Trials of the guardrail: random episodes in which somebody tries to break it, and a judge who does not believe it."""
