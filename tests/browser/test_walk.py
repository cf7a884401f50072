"""One walk through the app in a real browser: every page, in one session, with a click on each."""

from __future__ import annotations


def test_a_walk_through_all_pages_in_dark(server, dark_visitor):
    visitor = dark_visitor
    visitor.open(server.url + "/?image=3&layer=block10_add")
    sidebar = visitor.page.get_by_test_id("stSidebar")
    names = sidebar.get_by_test_id("stPageLink").all_inner_texts()
    assert len(names) == 10
    for name in [*names[1:], names[0]]:
        sidebar.get_by_role("link", name=name.strip().splitlines()[-1], exact=True).click()
        visitor.settle()
        visitor.assert_no_exception()
        assert visitor.query().items() >= {"layer": "block10_add", "image": "3"}.items(), name
        code = visitor.page.get_by_test_id("stExpander").filter(has_text="The code").last
        code.locator("summary").click()
        code.locator('[data-testid="stCode"]:visible').first.wait_for()
    visitor.page.get_by_role("button", name="coffee").click()
    visitor.see("coffee as the network sees it")
    visitor.settle()
    assert visitor.query()["image"] == "4"
    background = visitor.page.evaluate("getComputedStyle(document.querySelector('.stApp')).backgroundColor")
    red, green, blue = (int(part) for part in background.removeprefix("rgb(").removesuffix(")").split(","))
    assert max(red, green, blue) < 60, "the dark theme is dark"
    assert not server.alarms()
