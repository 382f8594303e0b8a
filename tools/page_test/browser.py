"""browser.py — a page in headless Chromium that remembers what must not happen, and short ways to act."""

import contextlib
import re

from playwright.sync_api import expect

# Counts scripts that ran and breaches of the policy; nothing of the page can reach in before it.
WATCH = """
window.xssRuns = 0;
window.xss = () => { window.xssRuns++; };
window.breaches = [];
document.addEventListener('securitypolicyviolation', event => window.breaches.push(`${event.violatedDirective} ${event.blockedURI} ${event.sample}`));
"""


class Browser:
    """One window on the server at `url`."""

    def __init__(self, chromium, url, dark=False, phone=False, size=None, storage=True):
        size = size or ((390, 844) if phone else (1280, 860))
        self.context = chromium.new_context(
            color_scheme="dark" if dark else "light", viewport={"width": size[0], "height": size[1]},
            has_touch=phone, is_mobile=phone, device_scale_factor=2 if phone else 1, accept_downloads=True,
        )
        self.context.grant_permissions(["clipboard-read", "clipboard-write"])
        self.context.add_init_script(WATCH)
        if not storage:
            self.context.add_init_script("Object.defineProperty(window, 'indexedDB', {get() { throw new Error('closed'); }});")
        self.url = url
        self.errors, self.foreign, self.dialogs = [], [], []
        self.page = self.new_page()

    def new_page(self):
        page = self.context.new_page()
        page.set_default_timeout(10000)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("dialog", lambda dialog: (self.dialogs.append(dialog.message), dialog.dismiss()))
        page.on("request", lambda request: None if request.url.startswith((self.url, "data:", "blob:")) else self.foreign.append(request.url))
        self.open(page)
        return page

    def open(self, page=None, address=""):
        page = page or self.page
        page.goto(self.url + address)
        page.locator("#model option").first.wait_for(state="attached")

    def close(self):
        """Ends it; what must never happen has not."""
        breaches = self.page.evaluate("window.breaches")
        runs = self.page.evaluate("window.xssRuns")
        self.context.close()
        assert not self.errors, self.errors
        assert not self.foreign, self.foreign
        assert not self.dialogs, self.dialogs
        assert runs == 0 and not breaches, (runs, breaches)

    # --- acting ---

    def send(self, text, wait=True):
        self.page.locator("#input").fill(text)
        self.page.keyboard.press("Enter")
        expect(self.page.locator("#input")).to_have_value("")  # taken
        if wait:
            self.settle()

    def wait_for_stored(self, count):
        """Until the browser's storage has that many conversations: a reload drops what is still being written."""
        self.page.wait_for_function(
            """count => new Promise((resolve, reject) => {
              const open = indexedDB.open('nautile');
              open.onerror = () => reject(open.error);
              open.onsuccess = () => {
                const heads = open.result.transaction('heads').objectStore('heads').count();
                heads.onsuccess = () => { open.result.close(); resolve(heads.result === count); };
              };
            })""", arg=count)

    def settle(self):
        """Waits until no answer is being made."""
        expect(self.page.locator("#send")).to_have_attribute("aria-label", "Send", timeout=60000)

    def answer(self):
        return self.page.locator(".message.assistant").last

    def question(self):
        return self.page.locator(".message.user").last

    def press(self, message, label):
        message.hover()
        message.get_by_role("button", name=label, exact=True).click()

    def titles(self):
        return self.page.locator("#list a").all_inner_texts()

    def focused(self):
        """The name, or failing that the id, of what has the focus."""
        return self.page.evaluate("(element => element.getAttribute('aria-label') || element.id || element.textContent.trim())(document.activeElement)")

    def menu(self, button, entry):
        button.click()
        self.page.get_by_role("menuitem", name=entry).click()


@contextlib.contextmanager
def window(chromium, url, **options):
    browser = Browser(chromium, url, **options)
    yield browser
    browser.close()


def seconds_in(text):
    return float(re.search(r"([\d.]+) s", text).group(1))
