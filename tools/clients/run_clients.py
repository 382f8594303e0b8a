"""Runs clients' scripts and prints client × feature: `run_clients.py SERVERS NAME=PYTHON…`.

SERVERS is the JSON list that features.py describes; NAME's script is client_NAME.py. A script that ends without
having told of all that it does counts as a failure of its own.
"""
import json
import os
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
SECONDS = 1200  # of one script


def run(name, python, servers):
    results = []
    environment = {**os.environ, "NAUTILE_CLIENT_SERVERS": servers, "PYTHONUNBUFFERED": "1"}
    try:
        done = subprocess.run([python, str(HERE / f"client_{name}.py")], env=environment, capture_output=True, text=True,
                              timeout=SECONDS, check=False)
        out, code, errors = done.stdout, done.returncode, done.stderr
    except subprocess.TimeoutExpired as late:
        out, code, errors = (late.stdout or b"").decode(errors="replace"), -1, f"not done after {SECONDS} s"
    for line in out.splitlines():
        if line.startswith('{"client"'):
            results.append(json.loads(line))
    failed = any(result["why"] for result in results)
    if code != (1 if failed else 0) or not results:
        results.append({"client": name, "server": "", "feature": "the script itself", "seconds": 0,
                        "why": f"exit status {code}: {errors.strip()[-400:]}"})
    return results


def print_table(results):
    print(f"\n{'client':<17} {'feature':<28} {'scripted':>9} {'model':>9}")
    cells = {}
    for result in results:
        cells.setdefault((result["client"], result["feature"]), {})[result["server"]] = result
    for (client, feature), by_server in cells.items():
        shown = []
        for server in ("scripted", "real"):
            result = by_server.get(server)
            shown.append("-" if result is None else "FAILED" if result["why"] else "ok")
        print(f"{client:<17} {feature:<28} {shown[0]:>9} {shown[1]:>9}")
    failures = [result for result in results if result["why"]]
    for result in failures:
        print(f"\nFAILED {result['client']}, {result['feature']} ({result['server']}): {result['why']}")
    print(f"\n{len(results) - len(failures)} passed, {len(failures)} failed")
    return len(failures)


def main(servers, *clients):
    results = []
    for client in clients:
        name, _, python = client.partition("=")
        results += run(name, python, servers)
        print(f"{name}: done", file=sys.stderr, flush=True)
    sys.exit(1 if print_table(results) else 0)


if __name__ == "__main__":
    main(*sys.argv[1:])
