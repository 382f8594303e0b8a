"""care_checks.py — what must not go wrong: scripts of models, hostile texts, failures, keys, the policy."""

import json
import re
import tempfile

from playwright.sync_api import expect

import fake_api
from checks import STATE, check
from payloads import payloads

ALLOWED = set("div p span h1 h2 h3 h4 h5 h6 a b i u s em strong del sub sup kbd mark small br hr ul ol li input code pre figure "
              "figcaption button svg use path blockquote table thead tbody tr th td img math semantics annotation line g".split())


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
              const {growMarkdown, showMarkdown} = await import('/page/markdown.js');
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
                for (let end = 1; end <= text.length; end += 7) growMarkdown(growing, text.slice(0, end));
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
        # A long conversation shows its end at once, and the rest soon.
        messages = [{"role": role, "content": f"{role} {n}\n\n{fake_api.MARKDOWN}"} for n in range(60) for role in ("user", "assistant")]
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump({"messages": messages}, file)
            file.flush()
            with it.page.expect_file_chooser() as chooser:
                it.menu(it.page.get_by_role("button", name="Import and export"), "Import")
            chooser.value.set_files(file.name)
            expect(it.answer()).to_contain_text("assistant 59", timeout=3000)
            expect(it.page.locator(".message")).to_have_count(120, timeout=30000)
        expect(it.page.locator(".message").first).to_contain_text("user 0")
        assert it.page.evaluate("(s => s.scrollHeight - s.scrollTop - s.clientHeight)(document.getElementById('scroller'))") < 60
        # One more word costs its own block.
        spent = it.page.evaluate(
            """async () => {
              const {growMarkdown, showMarkdown} = await import('/page/markdown.js');
              const target = document.createElement('div');
              let text = 'A paragraph of *some* length with `code` and words.\\n\\n'.repeat(400);
              showMarkdown(target, text);
              const kept = target.firstChild;
              const begin = performance.now();
              for (let n = 0; n < 20; n++) growMarkdown(target, text += ' word');
              return {each: (performance.now() - begin) / 20, kept: kept === target.firstChild};
            }""")
        assert spent["kept"] and spent["each"] < 10, spent
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


@check()
def grows_to_what_it_shows_at_once(run):
    with run.window() as it:
        texts = [fake_api.MARKDOWN, *payloads(128), "a\n===\nb\n\n- x\n\n- y\n\n  z\n\n1. q\n\n```\ncode\n\n\nmore", "a\r\nb\r\n\r\n\tcode\r\n" * 9, "x\n\n" * 30 + "|a|\n|-|\n|b|\n\nend"]
        different = it.page.evaluate(
            """async texts => {
              const {growMarkdown, showMarkdown} = await import('/page/markdown.js');
              const different = [];
              for (const text of texts) {
                const grown = document.createElement('div'), whole = document.createElement('div');
                for (let end = 1; end < text.length; end += 5) growMarkdown(grown, text.slice(0, end));
                growMarkdown(grown, text);
                showMarkdown(whole, text);
                await new Promise(resolve => setTimeout(resolve));
                if (grown.textContent !== whole.textContent || grown.children.length !== whole.children.length) different.push(text);
              }
              return different;
            }""", texts)
        # A reference that comes late is the one difference there may be.
        assert all("]: " in text for text in different), different
