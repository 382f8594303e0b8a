"""chat_checks.py — talking to models: answers, branches, conversations, settings, the dashboard."""

import json
import pathlib
import re
import tempfile

from playwright.sync_api import expect

from browser import seconds_in
from checks import STATE, check


@check()
def streams_markdown_code_and_formulas(run):
    with run.window() as it:
        it.send("markdown", wait=False)
        expect(it.answer().locator("h2")).to_have_text("A small tour")
        it.settle()
        prose = it.answer().locator(".prose")
        expect(prose.locator(".katex-display")).to_have_count(1)
        expect(prose.locator(".katex")).to_have_count(3)
        expect(prose.locator("code .hljs-keyword").first).to_have_text("def")
        expect(prose.locator("table tbody tr")).to_have_count(2)
        expect(prose.locator("ol > li")).to_have_count(2)
        expect(prose.locator("li input[type=checkbox]")).to_be_checked()
        expect(prose.locator("sub")).to_have_text("2")
        expect(prose).to_contain_text("It costs $5 or $6 a day")
        expect(prose).to_contain_text("<script>alert(1)</script>")
        expect(prose.locator("img")).to_have_count(0)
        link = prose.get_by_role("link", name="paper")
        assert link.get_attribute("rel") == "noopener noreferrer nofollow" and link.get_attribute("target") == "_blank"
        prose.get_by_role("button", name="Copy").click()
        copied = it.page.evaluate("navigator.clipboard.readText()")
        assert copied.startswith("def attend") and copied.endswith("scores) @ v"), copied
        expect(prose.locator("figcaption button")).to_have_text("Copied")


@check()
def shows_text_as_it_comes(run):
    with run.window() as it:
        it.send("slow", wait=False)
        expect(it.answer()).to_contain_text("word3")
        first = it.answer().inner_text()
        it.page.wait_for_timeout(400)
        assert len(it.answer().inner_text()) > len(first)
        expect(it.answer()).to_contain_text("tokens/s")
        # Stop keeps what has come.
        it.page.get_by_role("button", name="Stop").click()
        it.settle()
        expect(it.answer()).to_contain_text("Stopped.")
        kept = it.answer().locator(".prose").inner_text()
        it.page.wait_for_timeout(200)
        assert kept == it.answer().locator(".prose").inner_text()
        # It goes on from there when told to.
        it.answer().get_by_role("button", name="Go on").click()
        expect(it.answer().locator(".prose")).to_contain_text(f"{kept}You said: {kept}")
        it.settle()
        sent = STATE.requests[-1]["messages"]
        assert len(sent) == 2 and sent[1] == {"role": "assistant", "content": kept, "prefix": True}, sent
        # Escape stops, too.
        it.send("slow", wait=False)
        expect(it.answer()).to_contain_text("word3")
        it.page.keyboard.press("Escape")
        it.settle()


@check()
def folds_reasoning_and_counts_its_seconds(run):
    with run.window() as it:
        it.send("think about it", wait=False)
        fold = it.answer().locator("details.fold")
        expect(fold.locator("summary")).to_contain_text("Thinking, 1 s")
        assert fold.get_attribute("open") is None
        it.settle()
        expect(fold.locator("summary")).to_contain_text("Thought for")
        assert 1.5 < seconds_in(fold.locator("summary").inner_text()) < 8
        fold.locator("summary").click()
        expect(fold.locator(".prose")).to_contain_text("two sides, and then I am done.")
        expect(it.answer().locator("> .prose")).to_have_text("You said: think about it")
        # Reasoning is not sent back once there is a new question.
        it.send("next")
        assert "reasoning_content" not in json.dumps(STATE.requests[-1])


@check()
def regenerates_edits_and_switches_branches(run):
    with run.window() as it:
        it.send("one")
        it.send("two")
        it.press(it.answer(), "Answer again")
        it.settle()
        expect(it.answer().locator(".versions")).to_have_text("2 / 2")
        assert [m["content"] for m in STATE.requests[-1]["messages"]] == ["one", "You said: one", "two"]
        it.press(it.answer(), "Earlier version")
        expect(it.answer().locator(".versions")).to_have_text("1 / 2")
        # An edited question begins a branch of its own.
        first = it.page.locator(".message.user").first
        it.press(first, "Edit")
        it.page.get_by_label("Edit the message").fill("one, otherwise")
        it.page.get_by_role("button", name="Send").first.click()
        it.settle()
        expect(it.page.locator(".message")).to_have_count(2)
        expect(it.answer().locator(".prose")).to_have_text("You said: one, otherwise")
        expect(first.locator(".versions")).to_have_text("2 / 2")
        it.press(first, "Earlier version")
        expect(it.page.locator(".message")).to_have_count(4)
        expect(it.answer().locator(".versions")).to_have_text("1 / 2")
        # An answer can be put otherwise; the model then sees it so.
        it.press(it.answer(), "Edit")
        it.page.get_by_label("Edit the message").fill("My own words")
        it.page.get_by_role("button", name="Save").click()
        expect(it.answer().locator(".versions")).to_have_text("3 / 3")
        it.send("three")
        assert STATE.requests[-1]["messages"][3]["content"] == "My own words"
        # Everything is there after a reload.
        it.page.reload()
        expect(it.page.locator(".message")).to_have_count(6)
        expect(it.page.locator(".message").nth(3).locator(".versions")).to_have_text("3 / 3")


@check()
def keeps_conversations(run):
    with run.window() as it:
        for text in ("apples and pears", "the second topic", "a third one"):
            it.page.get_by_role("button", name="New conversation").click()
            it.send(text)
        assert it.titles() == ["a third one", "the second topic", "apples and pears"], it.titles()
        it.page.get_by_role("link", name="apples and pears").click()
        expect(it.answer()).to_contain_text("You said: apples and pears")
        # Search looks at names and into messages.
        search = it.page.get_by_label("Search conversations")
        search.fill("said topic")
        expect(it.page.locator("#list a")).to_have_text(["the second topic"])
        search.fill("nowhere")
        expect(it.page.locator("#list")).to_contain_text("Nothing found.")
        search.fill("")
        expect(it.page.locator("#list a")).to_have_count(3)
        # Rename.
        entry = it.page.locator(".entry").filter(has_text="a third one")
        it.menu(entry.get_by_role("button"), "Rename")
        it.page.get_by_label("Name of the conversation").fill("Number 3")
        it.page.keyboard.press("Enter")
        expect(it.page.locator("#list a").first).to_have_text("Number 3")
        # Delete, and think better of it.
        it.page.get_by_role("link", name="Number 3").focus()
        it.page.keyboard.press("Delete")
        expect(it.page.locator("#list a")).to_have_count(2)
        it.page.get_by_role("button", name="Undo").click()
        expect(it.page.locator("#list a")).to_have_count(3)
        expect(it.answer()).to_contain_text("a third one")
        it.menu(it.page.locator(".entry").filter(has_text="Number 3").get_by_role("button"), "Delete")
        it.wait_for_stored(2)
        it.page.reload()
        expect(it.page.locator("#list a")).to_have_count(2)


@check()
def goes_on_while_another_is_read(run):
    with run.window() as it:
        it.send("think-long in the background", wait=False)
        expect(it.answer().locator("summary")).to_contain_text("Thinking")
        it.page.get_by_role("button", name="New conversation").click()
        expect(it.page.locator(".message")).to_have_count(0)
        it.send("meanwhile")
        expect(it.answer().locator(".prose")).to_have_text("You said: meanwhile")
        it.page.get_by_role("link", name="think-long in the background").click()
        expect(it.answer().locator("summary")).to_contain_text("Thinking")
        it.page.keyboard.press("Escape")
        it.settle()
        # A second tab sees what is stored, and follows.
        other = it.new_page()
        expect(other.locator("#list a")).to_have_count(2)
        it.page.get_by_role("button", name="New conversation").click()
        it.send("from the first tab")
        expect(other.locator("#list a")).to_have_count(3)


@check()
def exports_and_imports(run):
    with run.window() as it, run.window() as other, tempfile.TemporaryDirectory() as folder:
        it.send("one")
        it.press(it.answer(), "Answer again")
        it.settle()
        it.page.get_by_role("button", name="New conversation").click()
        it.send("think two")
        with it.page.expect_download() as download:
            it.menu(it.page.get_by_role("button", name="Import and export"), "Export all")
        file = pathlib.Path(folder) / "all.json"
        download.value.save_as(file)
        exported = json.loads(file.read_text())
        assert exported["format"] == "nautile-conversations" and len(exported["conversations"]) == 2

        def bring(text):
            path = pathlib.Path(folder) / "in.json"
            path.write_text(text)
            with other.page.expect_file_chooser() as chooser:
                other.menu(other.page.get_by_role("button", name="Import and export"), "Import")
            chooser.value.set_files(path)

        bring(file.read_text())
        expect(other.page.locator("#list a")).to_have_count(2)
        other.page.get_by_role("link", name="one").click()
        expect(other.answer().locator(".versions")).to_have_text("2 / 2")
        bring(json.dumps({"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "from the API"}, {"role": "assistant", "content": "Yes."}]}))
        expect(other.answer().locator(".prose")).to_have_text("Yes.")
        other.send("more")
        assert STATE.requests[-1]["messages"][0] == {"role": "system", "content": "Be brief."}
        # Files that are not as expected say so and change nothing.
        tree = {"root": {"children": ["a"]}, "a": {"role": "user", "content": "x", "children": ["a"]}}
        for bad, words in (("no json", "no JSON"), ("{}", "no exported"), (json.dumps({"format": "nautile-conversations", "conversations": [7]}), "conversations[0]"),
                           (json.dumps({"format": "nautile-conversations", "conversations": [{"nodes": tree}]}), "each once"),
                           (json.dumps({"messages": [{"role": "wizard", "content": "x"}]}), "role"),
                           ('{"format":"nautile-conversations","conversations":[{"nodes":{"__proto__":{"children":[]},"root":{"children":["__proto__"]}}}]}', "role")):
            bring(bad)
            expect(other.page.locator("#toasts")).to_contain_text(words)
        expect(other.page.locator("#list a")).to_have_count(3)


@check()
def sends_model_and_settings(run):
    with run.window() as it:
        it.page.locator("#model").select_option("smollm2")
        it.page.get_by_role("button", name="Settings of this conversation").click()
        dialog = it.page.get_by_role("dialog")
        values = {"System prompt": "You are brief.", "Temperature": "0.7", "Top p": "0.9", "Top k": "40", "Min p": "0.05", "Longest answer": "200",
                  "Repetition penalty": "1.1", "Presence penalty": "0.5", "Frequency penalty": "-0.5", "Seed": "7", "Stop strings": "END\nSTOP",
                  "Tools": '[{"name": "f", "parameters": {"type": "object"}}]'}
        for label, value in values.items():
            dialog.get_by_label(label, exact=True).fill(value)
        dialog.get_by_label("Reasoning", exact=True).select_option("enabled")
        dialog.get_by_label("Effort", exact=True).select_option("high")
        dialog.get_by_label("Answer as", exact=True).select_option("json_object")
        # What is not right is said beside its field, and not taken.
        for label, value, words in (("Temperature", "5", "from 0 to 2"), ("Top k", "1.5", "whole number"), ("Seed", "x", "whole number"), ("Tools", "{", "JSON")):
            dialog.get_by_label(label, exact=True).fill(value)
            expect(dialog.get_by_label(label, exact=True)).to_have_attribute("aria-invalid", "true")
            expect(dialog.locator(f"#set-{label.lower().replace(' ', '_')}-hint")).to_contain_text(words)
            dialog.get_by_label(label, exact=True).fill(values[label])
        dialog.get_by_role("button", name="Use for new conversations").click()
        it.page.keyboard.press("Escape")
        it.send("hello")
        sent = STATE.requests[-1]
        assert sent["model"] == "smollm2" and sent["messages"][0] == {"role": "system", "content": "You are brief."}, sent
        wanted = {"temperature": 0.7, "top_p": 0.9, "top_k": 40, "min_p": 0.05, "max_tokens": 200, "repetition_penalty": 1.1, "presence_penalty": 0.5,
                  "frequency_penalty": -0.5, "seed": 7, "stop": ["END", "STOP"], "thinking": {"type": "enabled"}, "reasoning_effort": "high",
                  "response_format": {"type": "json_object"}, "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
                  "stream": True, "stream_options": {"include_usage": True}}
        for name, value in wanted.items():
            assert sent.get(name) == value, (name, sent.get(name))
        it.page.get_by_role("button", name="New conversation").click()
        it.send("again")
        assert STATE.requests[-1]["seed"] == 7 and STATE.requests[-1]["model"] == "smollm2"
    with run.window() as it:
        it.send("plain")
        assert set(STATE.requests[-1]) == {"model", "messages", "stream", "stream_options"}, STATE.requests[-1]


@check()
def shows_tool_calls_and_takes_results(run):
    with run.window() as it:
        it.send("tool please")
        call = it.answer().locator("details.call")
        expect(call.locator("summary")).to_have_text("Call of get_weather")
        assert call.get_attribute("open") is None
        call.locator("summary").click()
        expect(call.locator("code")).to_have_text('{\n  "city": "Paris",\n  "days": 3\n}')
        it.page.get_by_label("Result of get_weather").fill('{"sky": "clear"}')
        it.page.get_by_role("button", name="Send the result").click()
        it.settle()
        expect(it.answer().locator(".prose")).to_have_text('The tool said {"sky": "clear"}')
        sent = STATE.requests[-1]["messages"]
        assert sent[1]["content"] is None and sent[1]["tool_calls"][0]["function"] == {"name": "get_weather", "arguments": '{"city": "Paris", "days": 3}'}
        assert sent[2] == {"role": "tool", "tool_call_id": "call_1", "content": '{"sky": "clear"}'}
        expect(it.page.locator(".message.tool summary")).to_have_text("Result of get_weather")


@check()
def counts_tokens_and_speed(run):
    with run.window() as it:
        it.send("a few words to be said again, so that there is some time to count")
        counter = it.answer().locator(".counter")
        expect(counter).to_contain_text(re.compile(r"42 tokens · [\d.]+ tokens/s · 64 of 120 cached · first after \d+\.\d\d s"))
        expect(it.page.locator("#context")).to_have_text("162 of 8,192 tokens in context")


@check(any_server=True)
def chats_with_any_server(run):
    with run.window() as it:
        if run.key:
            it.page.get_by_label("API key").fill(run.key)
            it.page.keyboard.press("Enter")
        expect(it.page.locator("#model")).to_be_enabled()
        it.page.locator("#settings").click()
        it.page.get_by_label("Longest answer").fill("24")
        it.page.keyboard.press("Escape")
        it.send("What is the capital of France?")
        expect(it.answer().locator("> .prose, > .fold").first).not_to_be_empty(timeout=60000)
        expect(it.answer().locator(".counter")).to_contain_text("tokens")
        assert not it.answer().locator(".warn").count(), it.answer().inner_text()
        it.press(it.answer(), "Answer again")
        it.settle()
        expect(it.answer().locator(".versions")).to_have_text("2 / 2")
        it.page.locator("#settings").click()
        it.page.get_by_label("Longest answer").fill("2000")
        it.page.keyboard.press("Escape")
        it.send("Slow and steady, count to a thousand.", wait=False)
        expect(it.answer().locator("> .prose, > .fold").first).not_to_be_empty(timeout=60000)
        it.page.get_by_role("button", name="Stop").click()
        it.settle()
        it.page.reload()
        expect(it.page.locator(".message")).to_have_count(4)


@check(any_server=True)
def shows_the_dashboard(run):
    with run.window() as it:
        if run.key:
            it.page.get_by_label("API key").fill(run.key)
            it.page.keyboard.press("Enter")
        it.send("Hello")
        it.page.get_by_role("tab", name="Dashboard").click()
        expect(it.page.locator("#dashboard .lead")).to_have_text("Live, once a second.")
        for card in ("Tokens per second", "Requests", "Prompt tokens from the cache", "Cache pages", "Memory"):
            value = it.page.get_by_role("group", name=card).locator("b").last if "cache" in card else it.page.get_by_role("group", name=card).locator("b").first
            expect(value).to_have_text(re.compile(r"\d"), timeout=15000)
        expect(it.page.get_by_role("region", name="Since the start").locator("dd").first).to_have_text(re.compile(r"\d"))
        it.page.get_by_role("tab", name="Chat").click()
        expect(it.answer()).to_be_visible()
