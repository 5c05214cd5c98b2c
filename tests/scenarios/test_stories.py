"""Every story on three seeds; and its control row, in which nothing guards the arm, does what must not happen."""

from __future__ import annotations

import pytest

from ami_sim.stories.book import STORIES
from ami_sim.stories.story import play


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("name", STORIES)
def test_the_story_passes(name, seed):
    outcome = play(STORIES[name](seed))
    assert outcome.broken == {}, outcome
    assert outcome.decisions.get("accepted", 0) + outcome.figures.get("planner_refused", 0) > 0


@pytest.mark.parametrize("seed", [28, 29])
def test_an_intruder_is_never_touched_by_an_arm_whose_late_brake_was_not_legal(seed):
    """Once the shortest brake was refused at the last moment, and the arm moved on into somebody at 0.15 m/s."""
    assert play(STORIES["intruder"](seed)).broken == {}


@pytest.mark.parametrize("name", STORIES)
def test_the_story_fails_without_guardrails(name):
    story = STORIES[name](1, guarded=False)
    outcome = play(story)
    assert story.breaks in outcome.broken, outcome


@pytest.mark.parametrize("name", STORIES)
def test_a_seed_is_always_the_same_story(name):
    figures = []
    for _ in range(2):
        story = STORIES[name](4)
        story.duration_s = 0.5  # long enough to tell two seeds apart
        figures.append(play(story).figures)
    assert str(figures[0]) == str(figures[1])  # NaN is equal to NaN
