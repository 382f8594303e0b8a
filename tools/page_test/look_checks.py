"""look_checks.py — how the page is used: keyboard, labels, colours, phones, scrolling."""

from playwright.sync_api import expect

import audit
from checks import check


@check()
def can_be_used_by_keyboard_alone(run):
    with run.window() as it:
        keys = it.page.keyboard
        assert it.focused() == "Message"
        keys.type("slow")
        keys.press("Enter")
        expect(it.answer()).to_contain_text("word2")
        keys.press("Escape")
        it.settle()
        keys.type("second")
        keys.press("Enter")
        it.settle()
        # Every stop has a ring; Tab walks all of them and comes round.
        seen = []
        for _ in range(60):
            keys.press("Tab")
            if it.page.evaluate("document.activeElement === document.body"):
                continue
            name = it.focused()
            ringed = it.page.evaluate("(e => { const s = getComputedStyle(e); return s.outlineStyle !== 'none' || e.id === 'input' || e.closest('.composer') !== null; })(document.activeElement)")
            assert ringed, f"no ring on {name}"
            if name in seen and name == "Message":
                break
            seen.append(name)
        for name in ("skip", "new", "search", "transfer", "Keyboard shortcuts", "sidebar-open", "tab-chat", "Settings of this conversation"):
            wanted = {"skip": "Skip to the message box", "new": "New conversation", "sidebar-open": "Conversations"}.get(name, name)
            assert any(wanted in (one, one.strip()) or one == name for one in seen), (name, seen)
        # Walk the messages, act on one.
        it.page.locator("#input").focus()
        it.page.locator(".message").last.focus()
        keys.press("ArrowUp")
        assert it.focused() == "You"
        keys.press("e")
        assert it.focused() == "Edit the message"
        keys.press("Escape")
        assert it.focused() == "You"
        keys.press("ArrowDown")
        keys.press("r")
        it.settle()
        expect(it.answer().locator(".versions")).to_have_text("2 / 2")
        it.answer().focus()
        keys.press("ArrowLeft")
        expect(it.answer().locator(".versions")).to_have_text("1 / 2")
        it.page.locator("#input").focus()
        keys.press("ArrowUp")
        assert it.focused() == "Edit the message"
        keys.press("Control+a")
        keys.type("edited by keys")
        keys.press("Control+Enter")
        it.settle()
        expect(it.answer().locator(".prose")).to_have_text("You said: edited by keys")


@check()
def has_shortcuts(run):
    with run.window() as it:
        keys = it.page.keyboard
        it.send("one")
        it.send("two")
        keys.press("Control+Shift+O")
        expect(it.page.locator(".message")).to_have_count(0)
        assert it.focused() == "Message"
        keys.press("Control+k")
        assert it.focused() == "search"
        keys.press("ArrowDown")
        keys.press("Enter")
        expect(it.page.locator(".message")).to_have_count(4)
        keys.press("Control+,")
        expect(it.page.get_by_role("dialog", name="Settings")).to_be_visible()
        keys.press("Escape")
        keys.press("Control+/")
        expect(it.page.get_by_role("dialog", name="Keyboard")).to_be_visible()
        keys.press("Escape")
        keys.press("Control+Shift+D")
        expect(it.page.get_by_role("heading", name="Dashboard")).to_be_visible()
        keys.press("Control+Shift+D")
        keys.press("Control+b")
        expect(it.page.locator("#sidebar")).to_be_hidden()
        keys.press("Control+b")
        # Menus and the list.
        it.page.locator("#list a").first.focus()
        keys.press("F2")
        keys.type("renamed")
        keys.press("Enter")
        expect(it.page.locator("#list a").first).to_have_text("renamed")
        keys.press("Tab")
        keys.press("Enter")
        assert it.focused() == "Rename"
        keys.press("ArrowUp")
        assert it.focused() == "Delete"
        keys.press("Escape")
        assert it.focused() == "More about renamed"


@check()
def changes_colours(run):
    with run.window() as it:
        ground = lambda: it.page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert ground() == "rgb(255, 255, 255)"
        button = it.page.locator("#theme")
        button.click()
        button.click()
        assert button.get_attribute("aria-label") == "Colours: dark" and ground() != "rgb(255, 255, 255)"
        it.page.reload()
        assert ground() != "rgb(255, 255, 255)"
        button.click()
        assert ground() == "rgb(255, 255, 255)"


@check()
def is_labelled_and_legible(run):
    for dark in (False, True):
        for phone in (False, True):
            with run.window(dark=dark, phone=phone) as it:
                problems = audit.findings(it.page)
                it.send("think about it")
                it.send("markdown")
                it.send("tool")
                it.send("toolong")
                it.page.locator("details.call summary").click()
                problems += audit.findings(it.page)
                run.shot(it, f"chat{'-dark' if dark else ''}{'-phone' if phone else ''}")
                it.page.locator("#settings").click()
                problems += audit.findings(it.page)
                run.shot(it, f"settings{'-dark' if dark else ''}{'-phone' if phone else ''}")
                it.page.keyboard.press("Escape")
                it.page.get_by_role("tab", name="Dashboard").click()
                it.page.wait_for_timeout(2500)
                problems += audit.findings(it.page)
                run.shot(it, f"dashboard{'-dark' if dark else ''}{'-phone' if phone else ''}")
                if phone:
                    it.page.get_by_role("button", name="Conversations").click()
                    it.page.wait_for_timeout(400)
                    problems += audit.findings(it.page)
                    run.shot(it, f"drawer{'-dark' if dark else ''}")
                assert not problems, "\n".join(sorted(set(problems)))


@check()
def fits_a_phone(run):
    with run.window(phone=True) as it:
        expect(it.page.locator("#sidebar")).to_be_hidden()
        it.send("markdown")
        assert it.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        it.page.get_by_role("button", name="Conversations").click()
        expect(it.page.locator("#list a")).to_be_visible()
        it.page.wait_for_timeout(300)
        it.page.locator("#scrim").click(position={"x": 370, "y": 400})
        expect(it.page.locator("#sidebar")).to_be_hidden()
        it.page.get_by_role("button", name="Conversations").click()
        it.page.locator("#list a").first.click()
        expect(it.page.locator("#sidebar")).to_be_hidden()


@check()
def announces_answers(run):
    with run.window() as it:
        it.send("hello there")
        expect(it.page.locator("#live")).to_have_text("Answer: You said: hello there")
        it.send("toolong")
        expect(it.page.locator("#live")).to_contain_text("too long for the model")


@check()
def stays_where_the_reader_reads(run):
    with run.window() as it:
        it.send("huge")
        it.send("slow", wait=False)
        expect(it.answer()).to_contain_text("word3")
        position = "(s => s.scrollHeight - s.scrollTop - s.clientHeight)(document.getElementById('scroller'))"
        assert it.page.evaluate(position) < 60
        it.page.locator("#scroller").hover()
        it.page.mouse.wheel(0, -600)
        it.page.wait_for_timeout(500)
        first = it.page.evaluate("document.getElementById('scroller').scrollTop")
        it.page.wait_for_timeout(500)
        assert it.page.evaluate("document.getElementById('scroller').scrollTop") == first
        it.page.get_by_role("button", name="Go to the latest message").click()
        assert it.page.evaluate(position) < 60
        it.page.keyboard.press("Escape")
