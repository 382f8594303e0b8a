"""check_page.py — the browser page, used as people use it, in headless Chromium.

    check_page.py                     against fake_api.py
    check_page.py --url URL [--key K] what holds for any server, against `nautile serve`
    check_page.py --only WORD         the checks whose names hold WORD
    check_page.py --shots FOLDER      leaves pictures there
"""

import argparse
import os
import sys
import time
import traceback

from playwright.sync_api import sync_playwright

import care_checks  # noqa: F401  these three fill CHECKS
import chat_checks  # noqa: F401
import fake_api
import look_checks  # noqa: F401
from browser import window
from checks import CHECKS


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
