"""Spheres that cover the Panda's links 2 to 7, its hand and its fingers at any width.

Fitted to the vertices and faces of the collision meshes in PyBullet's data package (Franka's own meshes, franka_ros);
a test holds them against those meshes. Links 0 and 1 cannot come nearer to the table.
"""

SPHERES = (  # link (8: hand), centre x, y, z in the link's frame, radius; m
    *((8, 0.0, y, 0.070, 0.025) for y in (-0.050, -0.025, 0.0, 0.025, 0.050)),  # fingers
    *((8, 0.0, y, 0.0965, 0.020) for y in (-0.053, -0.0355, -0.018, 0.0, 0.018, 0.0355, 0.053)),  # fingertips
)
