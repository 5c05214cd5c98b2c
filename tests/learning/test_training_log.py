import json
import sys

import pytest

from ami_robot.learning.log import TENSORBOARD_FOLDER, LogError, TrainingLog


def test_entries_are_lines_of_json_that_a_resumed_run_adds_to(tmp_path):
    for first in (0, 1):
        with TrainingLog(tmp_path, first, 2) as log:
            log.write({"step": first, "loss": 0.5})
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert lines == [{"step": 0, "loss": 0.5}, {"step": 1, "loss": 0.5}]


def test_a_silent_log_leaves_nothing(tmp_path, capsys):
    with TrainingLog(tmp_path, 0, 2, tensorboard=True, silent=True) as log:
        assert list(log.progress([7, 8])) == [7, 8]
        log.write({"step": 0})
    assert not list(tmp_path.iterdir()) and not capsys.readouterr().err


def test_tensorboard_that_is_not_installed_is_asked_for_in_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(LogError, match="TensorBoard is not installed"):
        TrainingLog(tmp_path, 0, 2, tensorboard=True)
    assert not list(tmp_path.iterdir())


def test_tensorboard_gets_every_number_and_a_resumed_run_replaces_what_comes_again(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for first, loss in ((0, 1.0), (1, 2.0)):
        with TrainingLog(tmp_path, first, 3, tensorboard=True) as log:
            for step in range(first, 3):
                log.write({"step": step, "loss": loss, "held_out": {"prediction": {"copy_last": step / 4}}})
    events = EventAccumulator(str(tmp_path / TENSORBOARD_FOLDER)).Reload()
    assert [(event.step, event.value) for event in events.Scalars("loss")] == [(0, 1.0), (1, 2.0), (2, 2.0)]
    assert [event.value for event in events.Scalars("held_out/prediction/copy_last")] == [0.0, 0.25, 0.5]
