"""Stories: a person, a blade, a liar, a fault; what the arm does, and whether the truth says that it was safe."""
