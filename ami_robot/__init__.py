"""The agent: perception, memory, world model, cost, actor, configurator, and the guardrails below them."""

__version__ = "0.1.0"
