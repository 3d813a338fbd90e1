"""Every alert fires when it shall, says what it shall, and stops; and no other does."""

from pathlib import Path

import pytest

from tests.rules.promtool import ALERTS, Story, verdict
from tests.rules.stories import ALL
from tests.rules.stories.calm import CALM
from tests.rules.world import LENGTH_MINUTES


@pytest.mark.parametrize("story", ALL, ids=[f"{place}-{story.alert}" for place, story in enumerate(ALL)])
def test_an_alert_fires_in_its_story_and_stops(story: Story, tmp_path: Path) -> None:
    assert not verdict(story, story.moments(), tmp_path)


@pytest.mark.parametrize("name", CALM)
def test_nobody_is_called_for_what_is_planned_or_mends_itself(name: str, tmp_path: Path) -> None:
    story = CALM[name]
    every_minute = [(float(minute), False) for minute in range(int(story.since), LENGTH_MINUTES)]
    assert not verdict(story, every_minute, tmp_path)


def test_every_alert_has_a_story() -> None:
    assert {story.alert for story in ALL} == set(ALERTS)
