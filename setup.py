"""Packaging of the root distribution: the agent, the simulated world, the calibration tools.

Kept beside pyproject.toml because colcon's ament_python build runs it, and because the three packages have three roots.
"""

from setuptools import find_packages, setup

ROOTS = {"ami_robot": ".", "ami_sim": "sim", "ami_calibration": "calibration"}

setup(
    license="Apache-2.0",
    python_requires=">=3.10",
    packages=[p for name, root in ROOTS.items() for p in find_packages(root, include=[name, f"{name}.*"])],
    package_dir={"ami_robot": "ami_robot", "ami_sim": "sim/ami_sim", "ami_calibration": "calibration/ami_calibration"},
    package_data={
        "": ["*.yaml", "py.typed"],
        "ami_robot": ["checkpoints/*/*", "checkpoints/*/*/*"],
    },
    data_files=[
        ("share/ament_index/resource_index/packages", ["resource/ami_robot"]),
        ("share/ami_robot", ["package.xml"]),
    ],
)
