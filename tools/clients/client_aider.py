"""aider-chat: the program edits a file as the script says, in both of its usual edit formats."""
import os
import pathlib
import subprocess
import sys
import tempfile

from features import SCRIPTED, expect, feature, run


def edit(server, edit_format, *more):
    with tempfile.TemporaryDirectory(prefix="nautile-aider-") as folder:
        path = pathlib.Path(folder) / "hello.py"
        path.write_text('print("Hello")\n', encoding="utf-8")
        environment = {**os.environ, "OPENAI_API_BASE": server.v1, "OPENAI_API_KEY": server.key, "HOME": folder,
                       "AIDER_ANALYTICS": "false",
                       "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
        done = subprocess.run(
            [str(pathlib.Path(sys.executable).parent / "aider"), "--model", "openai/" + server.model,
             "--edit-format", edit_format, "--no-git", "--yes-always", "--no-check-update", "--no-show-model-warnings",
             "--no-analytics", "--no-show-release-notes", "--no-pretty", "--no-detect-urls", "--no-suggest-shell-commands", *more,
             "--message", "Change the greeting to Ahoy", "hello.py"],
            cwd=folder, env=environment, capture_output=True, text=True, timeout=240, check=False)
        found = path.read_text(encoding="utf-8")
        if found != 'print("Ahoy")\n':
            raise AssertionError(f"hello.py is {found!r}; {done.stdout[-300:]} {done.stderr[-300:]}")
        expect(done.returncode, 0)


@feature("edits a file (whole)", on=[SCRIPTED])
def whole(server):
    edit(server, "whole")


@feature("edits a file (diff)", on=[SCRIPTED])
def diff(server):
    edit(server, "diff")


@feature("edits a file (no stream)", on=[SCRIPTED])
def unstreamed(server):
    edit(server, "diff", "--no-stream")


run("aider-chat")
