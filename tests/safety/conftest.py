import pytest

from ami_robot.safety.kinematics import Kinematics
from ami_robot.safety.spec import Spec, load_spec


@pytest.fixture(scope="session")
def spec() -> Spec:
    return load_spec()


@pytest.fixture(scope="session")
def kinematics() -> Kinematics:
    return Kinematics()
