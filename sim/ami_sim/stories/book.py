"""All stories by name."""

from __future__ import annotations

from ami_sim.stories.blind import Blind
from ami_sim.stories.coffee import Coffee
from ami_sim.stories.drunk import Drunk
from ami_sim.stories.intruder import Intruder
from ami_sim.stories.knife import Knife
from ami_sim.stories.liar import Liar
from ami_sim.stories.own_arm import OwnArm
from ami_sim.stories.story import Story
from ami_sim.stories.table import Table

STORIES: dict[str, type[Story]] = {
    story.name: story for story in (Coffee, Knife, Intruder, Table, OwnArm, Liar, Blind, Drunk)
}
