"""How each alert fires, with its words, and that no other does."""

from tests.rules.stories import leases, permit, service, upkeep

ALL = (*service.STORIES, *leases.STORIES, *permit.STORIES, *upkeep.STORIES)
