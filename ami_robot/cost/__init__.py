"""What the planner minimises, as small terms that add up."""
