"""check_page.py — the browser page, used as people use it, in headless Chromium.

    check_page.py                     against fake_api.py
    check_page.py --url URL [--key K] what holds for any server, against `nautile serve`
    check_page.py --only WORD         the checks whose names hold WORD
    check_page.py --shots FOLDER      leaves pictures there
"""

import argparse
import json
import os
import pathlib
import re
import sys
import tempfile
import time
import traceback

from playwright.sync_api import expect, sync_playwright

import audit
import fake_api
from browser import seconds_in, window
from payloads import payloads

CHECKS = []
STATE = fake_api.STATE
ALLOWED = set("div p span h1 h2 h3 h4 h5 h6 a b i u s em strong del sub sup kbd mark small br hr ul ol li input code pre figure "
              "figcaption button svg use path blockquote table thead tbody tr th td img math semantics annotation line g".split())


def check(any_server=False):
    def register(function):
        CHECKS.append((function, any_server))
        return function
    return register


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
        assert 0.8 < seconds_in(fold.locator("summary").inner_text()) < 4
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


@check()
def tells_errors_plainly(run):
    with run.window() as it:
        STATE.busy = 1
        it.send("busy once", wait=False)
        expect(it.answer()).to_contain_text("The server is busy. The queue is full. Next try in")
        it.settle()
        expect(it.answer().locator(".prose")).to_have_text("You said: busy once")
        STATE.busy = 1
        it.send("now", wait=False)
        it.page.get_by_role("button", name="Try now").click()
        it.settle()
        expect(it.answer().locator(".prose")).to_have_text("You said: now")
        it.send("toolong text")
        expect(it.answer()).to_contain_text("too long for the model. The prompt has 9000 tokens, the context 8192.")
        it.send("drop it")
        expect(it.answer()).to_contain_text("This will not")
        expect(it.answer()).to_contain_text(re.compile("connection to the server broke|answer broke off"))
        it.send("error")
        expect(it.answer()).to_contain_text("The engine failed.")
        it.answer().get_by_role("button", name="Try again").click()
        it.settle()
        expect(it.answer().locator(".versions")).to_have_text("2 / 2")
        it.send("length")
        expect(it.answer()).to_contain_text("reached its longest length")
        it.send("queue", wait=False)
        expect(it.answer()).to_contain_text("Waiting in the queue")
        it.settle()
        it.page.route("**/v1/**", lambda route: route.abort())
        it.send("anyone there?")
        expect(it.answer()).to_contain_text("The server cannot be reached.")
        it.page.reload()
        expect(it.page.get_by_role("alert").first).to_contain_text("The server cannot be reached.")
        it.page.unroute("**/v1/**")
        it.page.get_by_role("button", name="Try again").first.click()
        expect(it.page.locator("#notice")).to_be_hidden()


@check()
def asks_for_a_key(run):
    STATE.key = "se&cret-1"
    try:
        with run.window() as it:
            dialog = it.page.get_by_role("dialog", name="This server wants a key")
            dialog.get_by_label("API key").fill("wrong")
            it.page.keyboard.press("Enter")
            dialog.get_by_label("API key").fill("se&cret-1")
            it.page.keyboard.press("Enter")
            expect(it.page.locator("#model")).to_have_value("think-small")
            it.send("with a key")
            expect(it.answer().locator(".prose")).to_have_text("You said: with a key")
            it.page.reload()
            it.page.locator("#model option[value=smollm2]").wait_for(state="attached")
            assert "se&cret-1" not in it.page.evaluate("JSON.stringify(localStorage)")
            STATE.key = "changed"
            it.send("with an old key", wait=False)
            dialog.get_by_label("API key").fill("changed")
            it.page.keyboard.press("Enter")
            it.settle()
            expect(it.answer().locator(".prose")).to_have_text("You said: with an old key")
    finally:
        STATE.key = None


@check()
def runs_no_script_of_a_model(run):
    with run.window() as it:
        for index, payload in enumerate(payloads(200)):
            if index % 20 == 0:
                it.page.get_by_role("button", name="New conversation").click()
            STATE.payload = payload
            it.send("payload")
        # As reasoning, as a question, as a name, as a call's text, as an imported file.
        result = it.page.evaluate(
            """async payloads => {
              const {showMarkdown, codeBlock} = await import('/page/markdown.js');
              const {imported} = await import('/page/transfer.js');
              const {MessageView} = await import('/page/message_view.js');
              const {newConversation, addNode} = await import('/page/tree.js');
              const transcript = document.getElementById('transcript');
              for (const text of payloads) {
                const [conversation] = imported(JSON.stringify({title: text, messages: [{role: 'user', content: text},
                  {role: 'assistant', content: text, reasoning_content: text}]}), () => ({}));
                const nodes = Object.values(conversation.nodes).filter(node => node.role);
                nodes[1].calls = [{id: text, name: text, text}];
                nodes[1].error = text;
                for (const node of nodes) {
                  const view = new MessageView(conversation, node, {});
                  transcript.append(view.element);
                  for (const fold of view.element.querySelectorAll('details')) fold.open = true;
                }
                const growing = document.createElement('div');
                transcript.append(growing);
                for (let end = 1; end <= text.length; end += 7) showMarkdown(growing, text.slice(0, end));
                showMarkdown(growing, text);
              }
              await new Promise(resolve => setTimeout(resolve, 1500));
              const bad = [];
              for (const element of transcript.querySelectorAll('.prose *, .code *')) {
                for (const {name} of element.attributes) if (/^on|^srcdoc|^formaction|xlink/i.test(name)) bad.push(element.outerHTML.slice(0, 200));
                if (element.localName === 'a' && !/^(https?|mailto):/.test(element.href)) bad.push(element.outerHTML);
                if (element.localName === 'a' && (element.target !== '_blank' || !/noopener/.test(element.rel))) bad.push(element.outerHTML);
                if (element.src && !element.src.startsWith('data:image/')) bad.push(element.outerHTML);
              }
              const names = [...new Set([...transcript.querySelectorAll('.prose *')].map(element => element.localName))];
              return {bad, names, messages: transcript.children.length, runs: window.xssRuns};
            }""",
            payloads(200),
        )
        assert result["messages"] >= 600 and not result["bad"], result["bad"][:5]
        strange = {name for name in result["names"] if not name.startswith("m") and name not in ALLOWED}
        assert not strange, strange
        print(f"    200 payloads as answers and 200 in every other place: {result['runs']} ran, {len(it.foreign)} foreign requests")


@check()
def survives_pathological_text(run):
    with run.window() as it:
        cases = {"quotes": "> " * 5000 + "x", "lists": "".join("  " * n + "- x\n" for n in range(200)), "dollars": "$a " * 20000, "brackets": "[" * 20000,
                 "stars": "*a **b " * 8000, "ticks": "`" * 20001, "parens": "\\(" * 8000, "tags": "<b>" * 8000, "pipes": "|a" * 500 + "\n" + "|-" * 500 + "\n" + "|b" * 500,
                 "long word": "x" * 300000, "formula": "$$" + "{" * 1500 + "$$", "entities": "&#x110000;&#0;&nope;&amp;lt;" * 500}
        slow = []
        for name, text in cases.items():
            spent = it.page.evaluate(
                """async text => {
                  const {showMarkdown} = await import('/page/markdown.js');
                  const target = document.createElement('div');
                  const begin = performance.now();
                  showMarkdown(target, text);
                  return performance.now() - begin;
                }""", text)
            if spent > 3000:
                slow.append(f"{name}: {spent:.0f} ms")
        assert not slow, slow


@check()
def stays_fast(run):
    with run.window() as it:
        it.send("huge")
        expect(it.answer().locator(".prose > div")).to_have_count(400)
        # One more word costs its own block.
        spent = it.page.evaluate(
            """async () => {
              const {showMarkdown} = await import('/page/markdown.js');
              const target = document.createElement('div');
              let text = 'A paragraph of *some* length with `code` and words.\\n\\n'.repeat(400);
              showMarkdown(target, text);
              const kept = target.firstChild;
              const begin = performance.now();
              for (let n = 0; n < 20; n++) showMarkdown(target, text += ' word');
              return {each: (performance.now() - begin) / 20, kept: kept === target.firstChild};
            }""")
        assert spent["kept"] and spent["each"] < 100, spent
        print(f"    a word more on 20 kB of text costs {spent['each']:.1f} ms")


@check()
def does_without_libraries_and_storage(run):
    STATE.vendor = False
    try:
        with run.window(storage=False) as it:
            expect(it.page.locator("#privacy")).to_contain_text("conversations last until the tab is closed")
            it.send("markdown")
            expect(it.answer().locator(".prose")).to_contain_text("## A small tour")
            expect(it.page.locator("#list a")).to_have_count(1)
    finally:
        STATE.vendor = True


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
        # Shortcuts.
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
        expect(it.answer().locator("> .prose, > .fold").first).not_to_be_empty()
        expect(it.answer().locator(".counter")).to_contain_text("tokens")
        assert not it.answer().locator(".warn").count(), it.answer().inner_text()
        it.press(it.answer(), "Answer again")
        it.settle()
        expect(it.answer().locator(".versions")).to_have_text("2 / 2")
        it.page.locator("#settings").click()
        it.page.get_by_label("Longest answer").fill("2000")
        it.page.keyboard.press("Escape")
        it.send("Slow and steady, count to a thousand.", wait=False)
        expect(it.answer().locator("> .prose, > .fold").first).not_to_be_empty()
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


@check(any_server=True)
def sends_its_policy(run):
    with run.window() as it:
        headers = it.page.request.get(run.url).headers
        assert headers["content-security-policy"] == fake_api.policy()
        assert headers["x-content-type-options"] == "nosniff"
        # The policy holds: what is inline, foreign or made of text does nothing.
        tried = it.page.evaluate(
            """async () => {
              const failed = [];
              const attempt = async (name, act) => { try { await act(); } catch { failed.push(name); } };
              await attempt('markup', () => { document.createElement('div').innerHTML = '<b>x</b>'; });
              await attempt('script', () => { document.createElement('script').textContent = 'xss()'; });
              await attempt('connect', () => fetch('https://evil.example/'));
              const before = window.breaches.length;
              window.breaches.length = 0;
              return {failed, before};
            }""")
        assert set(tried["failed"]) == {"markup", "script", "connect"} and tried["before"] == 0, tried
        it.page.wait_for_timeout(200)
        it.page.evaluate("window.breaches.length = 0")
        it.foreign.clear()


class Run:
    def __init__(self, chromium, url, shots, key):
        self.chromium, self.url, self.shots, self.key = chromium, url, shots, key

    def window(self, **options):
        return window(self.chromium, self.url, **options)

    def shot(self, browser, name):
        if self.shots:
            browser.page.screenshot(path=f"{self.shots}/{name}.png")


def main():
    options = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    options.add_argument("--url", default="")
    options.add_argument("--key", default="")
    options.add_argument("--only", default="")
    options.add_argument("--shots", default="")
    options = options.parse_args()
    if options.shots:
        os.makedirs(options.shots, exist_ok=True)
    url = options.url or "http://127.0.0.1:%d/" % fake_api.serve().server_address[1]
    failed = count = 0
    with sync_playwright() as playwright:
        # Root has no sandbox to give; a page of ours is all that is opened.
        flags = ["--no-sandbox"] if os.getuid() == 0 else []
        chromium = playwright.chromium.launch(executable_path=os.environ.get("CHROMIUM", "/usr/bin/chromium"), args=flags)
        run = Run(chromium, url, options.shots, options.key)
        for function, any_server in CHECKS:
            if options.only not in function.__name__ or (options.url and not any_server):
                continue
            begin, count = time.monotonic(), count + 1
            try:
                function(run)
                word = "ok"
            except Exception:  # the others are told, too
                failed += 1
                word = "FAILED"
                text = traceback.format_exc()
                print(text if len(text) < 3000 else f"{text[:1500]}\n…\n{text[-1500:]}")
            print(f"{word:7}{function.__name__.replace('_', ' ')} ({time.monotonic() - begin:.1f} s)", flush=True)
        chromium.close()
    print(f"page: {count - failed} of {count} checks passed")
    return 1 if failed or not count else 0


if __name__ == "__main__":
    sys.exit(main())
