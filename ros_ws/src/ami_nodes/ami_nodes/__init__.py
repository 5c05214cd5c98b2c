"""Thin rclpy lifecycle nodes around the library, the simulated world, and nothing else."""
