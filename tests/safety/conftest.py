import pytest
from altered_reports import SPEC, WITH_PEOPLE, Reports, person
from recorded_run import RecordedRun, whole_run

from ami_robot.safety.certificate_geometry import Arm
from ami_robot.safety.kinematics import Kinematics
from ami_robot.safety.spec import Spec, load_spec


@pytest.fixture(scope="session")
def spec() -> Spec:
    return load_spec()


@pytest.fixture(scope="session")
def kinematics() -> Kinematics:
    return Kinematics()


@pytest.fixture(scope="session")
def arm() -> Arm:
    """The certificate's own."""
    return Arm(SPEC)


@pytest.fixture(scope="session")
def honest() -> Reports:
    return whole_run(SPEC)


@pytest.fixture(scope="session")
def beside_a_person() -> Reports:
    """A blade moved slowly, one metre from somebody."""
    run = RecordedRun(WITH_PEOPLE)
    run.see(person(-1.1).persons, "edge")
    run.begin()
    run.wander(6, seed=0)
    run.disarm()
    return run.reports
