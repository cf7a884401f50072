"""Back, Forward, reload and a second tab: each choice is one step, and the address is the state."""

from __future__ import annotations

import pytest

PRESSED = """elements => elements.filter(e => e.getAttribute("aria-pressed") === "true").map(e => e.title)"""


@pytest.fixture
def steps(server, visitor):
    """Makes three choices, the second by keyboard, goes to another page and makes one there: each step's view."""
    page = visitor.page

    def press_enter_on_a_tile():
        page.get_by_role("button", name="Channel 7:").focus()
        page.keyboard.press("Enter")

    visitor.open(server.url + "/feature_maps")
    views = [view(visitor)]
    for step in (
        lambda: page.get_by_role("button", name="coffee", exact=True).click(),
        press_enter_on_a_tile,
        lambda: page.get_by_text("7 × 7 × 1,280", exact=True).first.click(),
        lambda: page.get_by_test_id("stSidebar").get_by_role("link", name="Layers", exact=True).click(),
        lambda: page.get_by_role("button", name="Show it without the top").click(),
    ):
        step()
        visitor.settle()
        views.append(view(visitor))
    assert views[0][0] == "/feature_maps", "the bare address of the first page is an entry of its own"
    assert "image=4" in views[1][0]
    assert [seen[0].split("?")[0] for seen in views] == ["/feature_maps"] * 4 + ["/layers"] * 2
    return views


def view(visitor):
    """What the address says, what the page says, and which pictures are chosen."""
    page = visitor.page
    visitor.assert_no_exception()
    return (
        page.evaluate("location.pathname + location.search"),
        page.get_by_test_id("stMain").inner_text(),
        page.locator("button").evaluate_all(PRESSED),
    )


def length(visitor):
    return visitor.page.evaluate("history.length")


def test_back_and_forward_restore_every_step(server, visitor, steps):
    assert length(visitor) == 1 + len(steps), "the empty tab, and one entry for each step"
    for wanted in reversed(steps[:-1]):
        visitor.page.go_back()
        visitor.settle()
        assert view(visitor) == wanted
    for wanted in steps[1:]:
        visitor.page.go_forward()
        visitor.settle()
        assert view(visitor) == wanted
    assert length(visitor) == 1 + len(steps), "going back and forward makes no entries"
    assert not server.alarms()


def test_a_reload_in_the_middle_changes_nothing_and_a_choice_there_begins_another_branch(visitor, steps):
    for _ in range(3):
        visitor.page.go_back()
        visitor.settle()
    assert view(visitor) == steps[2]
    visitor.page.reload()
    visitor.settle()
    assert view(visitor) == steps[2]
    visitor.page.go_back()
    visitor.settle()
    assert view(visitor) == steps[1]
    for _ in range(2):
        visitor.page.go_forward()
        visitor.settle()
    assert view(visitor) == steps[3]
    assert length(visitor) == 1 + len(steps)
    visitor.page.get_by_role("button", name="chelsea", exact=True).focus()
    visitor.page.keyboard.press("Enter")
    visitor.settle()
    assert length(visitor) == 1 + len(steps) - 1
    assert visitor.query()["image"] == "3"
    visitor.page.go_back()
    visitor.settle()
    assert view(visitor) == steps[3]


def test_a_second_tab_shows_the_same_and_goes_its_own_way(visitor, steps):
    address, first = visitor.page.url, visitor.page
    visitor.page = first.context.new_page()
    visitor.open(address)
    assert view(visitor) == steps[-1]
    visitor.page.get_by_role("button", name="Show it with the top").click()
    visitor.settle()
    assert "top" not in visitor.query()
    visitor.page = first
    assert view(visitor) == steps[-1]
