"""Hooks for schemathesis: most bodies name a model that is there, and answers stay short.

  NAUTILE_FUZZ_MODEL   the model
  NAUTILE_FUZZ_TOKENS  most tokens of an answer where a body asks for more, or says nothing
"""
import json
import os
import zlib

import schemathesis

MODEL = os.environ["NAUTILE_FUZZ_MODEL"]
TOKENS = int(os.environ["NAUTILE_FUZZ_TOKENS"])
LIMITS = {"/completions": "max_tokens", "/messages": "max_tokens", "/responses": "max_output_tokens"}


def capped(holder, name):
    found = holder.get(name)
    if found is None or (type(found) is int and found > TOKENS):
        holder[name] = TOKENS


@schemathesis.hook
def before_call(context, case, kwargs):
    body = case.body
    if not isinstance(body, dict):
        return
    # One in twenty keeps the name it was given: the error for a model that is not there.
    keep = zlib.crc32(json.dumps(body, sort_keys=True, default=str).encode()) % 20 == 0
    if isinstance(body.get("model", ""), str) and not keep:
        body["model"] = MODEL
    for end, name in LIMITS.items():
        if case.path.endswith(end):
            capped(body, name)
    if type(body.get("max_completion_tokens")) is int:
        capped(body, "max_completion_tokens")
    if case.path.startswith("/api/") and isinstance(body.setdefault("options", {}), dict):
        capped(body["options"], "num_predict")
    if type(body.get("n")) is int and body["n"] > 2 and TOKENS < 16:
        body["n"] = 2
