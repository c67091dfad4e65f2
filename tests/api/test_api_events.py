"""Messages to the page."""

from __future__ import annotations

from typing import Any

from comfy_env_core.api.events import NODES_EVENT, EventFeed


def test_events_are_numbered_from_one_so_that_a_missed_one_shows() -> None:
    sent: list[tuple[str, Any]] = []
    feed = EventFeed(lambda event, data: sent.append((event, data)))
    feed.nodes_changed("one", ("A", "B"))
    feed.nodes_changed("two", ("C",))
    assert [event for event, _ in sent] == [NODES_EVENT, NODES_EVENT]
    assert sent[0][1] == {"sequence": 1, "packs": ["one"], "nodes": ["A", "B"]}
    assert sent[1][1]["sequence"] == 2
