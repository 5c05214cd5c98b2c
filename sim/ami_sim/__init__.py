"""The simulated world: a Panda arm on a table with blocks, its camera, its judge, a Gymnasium environment."""
