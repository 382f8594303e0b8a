"""What every client's script shares: features, the servers they run against, results as JSON lines.

A script is `@feature("name")` functions, each given a Server, and a last line `run("client")`. It is run
with the servers in NAUTILE_CLIENT_SERVERS, a JSON list of {"name", "url", "key", "model", "reasoner"}.
A feature fails by raising; what it returns does not matter.
"""
import asyncio
import inspect
import json
import os
import sys
import time
import traceback
from dataclasses import dataclass

SCRIPTED, REAL = "scripted", "real"


@dataclass
class Server:
    name: str  # SCRIPTED: answers of script.json; REAL: a model
    url: str
    key: str
    model: str
    reasoner: str  # a model that begins with reasoning; empty: there is none

    @property
    def scripted(self):
        return self.name == SCRIPTED

    @property
    def v1(self):
        return self.url + "/v1"


_features = []


def feature(name, on=(SCRIPTED, REAL)):
    """`on`: whose answers it can be held to. A model of its own mind answers REAL."""

    def add(function):
        _features.append((name, on, function))
        return function

    return add


def reason(error):
    """One line: the error, and where in the script it arose."""
    place = ""
    for frame in traceback.extract_tb(error.__traceback__):
        if frame.filename == sys.modules["__main__"].__file__:
            place = f" (line {frame.lineno}: {frame.line})"
    text = f"{type(error).__name__}: {error}".replace("\n", " ")
    return text[:300] + place


def run(client):
    servers = [Server(**entry) for entry in json.loads(os.environ["NAUTILE_CLIENT_SERVERS"])]
    failed = 0
    for server in servers:
        for name, on, function in _features:
            if server.name not in on:
                continue
            start = time.monotonic()
            why = ""
            try:
                result = function(server)
                if inspect.iscoroutine(result):
                    asyncio.run(result)
            except BaseException as error:  # noqa: B902  a client may raise SystemExit
                if isinstance(error, KeyboardInterrupt):
                    raise
                why = reason(error) or "failed"
                failed += 1
            print(json.dumps({"client": client, "server": server.name, "feature": name, "why": why,
                              "seconds": round(time.monotonic() - start, 2)}), flush=True)
    sys.exit(1 if failed else 0)


def expect(found, wanted):
    if found != wanted:
        raise AssertionError(f"expected {wanted!r}, found {found!r}")


def expect_error(kind, call):
    """Calls, and holds what is raised to be of this class -> the error."""
    try:
        call()
    except Exception as error:  # noqa: B902  any other class is a finding
        if not isinstance(error, kind):
            raise AssertionError(f"expected {kind.__name__}, found {type(error).__name__}: {error}") from error
        return error
    raise AssertionError(f"expected {kind.__name__}, found an answer")
