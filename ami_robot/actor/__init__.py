"""Chooses actions: planners, and the guardrail mask their candidates go through."""
