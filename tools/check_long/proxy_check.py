"""proxy_check.py — what proxy.sh checks, with the standard library alone.

    proxy_check.py NAUTILE MODEL
"""

import http.client
import json
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
DEPLOY = HERE.parent.parent / "deploy"
KEY = "check-key-0123456789"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(port, seconds=60):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
            connection.request("GET", "/health")
            if connection.getresponse().status == 200:
                return
        except OSError:
            pass
        time.sleep(0.1)
    sys.exit(f"nothing answers at port {port}")


def metric(port, name):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", "/metrics", headers={"Authorization": f"Bearer {KEY}"})
    text = connection.getresponse().read().decode()
    return sum(float(v) for v in re.findall(rf"^{name}(?:\{{.*\}})? (\S+)$", text, re.M))


def ask(port, prefix, tokens, stream=True, text="Make 24 from 3 8 1."):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    body = {
        "messages": [{"role": "user", "content": text}],
        "max_tokens": tokens,
        "min_tokens": tokens,
        "ignore_eos": True,
        "stream": stream,
    }
    headers = {
        "Content-Type": "application/json",
        "Authorization": f"Bearer {KEY}",
        "x-nautile-prefix": prefix,
    }
    connection.request("POST", "/v1/chat/completions", json.dumps(body), headers)
    return connection, connection.getresponse()


def check(name, good, detail=""):
    print(f"{'ok  ' if good else 'FAIL'} {name} {detail}", flush=True)
    if not good:
        sys.exit(1)


def configured(name, ports, front):
    text = (DEPLOY / name).read_text()
    for old, new in zip(("8081", "8082", "8080"), (*ports, front)):
        text = text.replace(f"127.0.0.1:{old}", f"127.0.0.1:{new}")
    return text


def start_nginx(folder, ports, front):
    site = folder / "site.conf"
    site.write_text(configured("nginx.conf", ports, front))
    main = folder / "nginx.conf"
    main.write_text(
        f"daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log;\n"
        "events { worker_connections 256; }\n"
        f"http {{ access_log off; client_body_temp_path {folder}/body;"
        f" proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/f;"
        f" uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s; include {site}; }}\n"
    )
    binary = shutil.which("nginx") or "/usr/sbin/nginx"
    return subprocess.Popen([binary, "-p", str(folder), "-c", str(main)])


def start_haproxy(folder, ports, front):
    main = folder / "haproxy.cfg"
    main.write_text(configured("haproxy.cfg", ports, front))
    binary = shutil.which("haproxy") or "/usr/sbin/haproxy"
    return subprocess.Popen([binary, "-db", "-f", str(main)], stderr=subprocess.DEVNULL)


def start_replica(nautile, model, port, folder):
    keys = folder / "keys"
    keys.write_text(f"check:{KEY}\n")
    log = open(folder / f"replica-{port}.log", "wb")
    return subprocess.Popen(
        [nautile, "serve", "--port", str(port), "--api-keys", str(keys), "--threads", "1", model],
        stdout=subprocess.DEVNULL,
        stderr=log,
    )


def check_streaming(name, front):
    connection, response = ask(front, "stream", 200)
    check(f"{name}: a stream begins", response.status == 200, str(response.status))
    times = []
    while line := response.readline():
        if line.startswith(b"data: "):
            times.append(time.monotonic())
    spread = times[-1] - times[0]
    # Buffered, all would come at once.
    steps = sum(1 for a, b in zip(times, times[1:]) if b - a > spread / 1000)
    check(f"{name}: tokens come one by one", steps > 50, f"{len(times)} events, {steps} steps")
    connection.close()


def check_affinity(name, front, ports):
    placed = {}
    for prefix in (f"conversation {i}" for i in range(16)):
        for _ in range(3):
            before = [metric(p, "nautile_engine_requests_total") for p in ports]
            connection, response = ask(front, prefix, 1, stream=False)
            response.read()
            connection.close()
            after = [metric(p, "nautile_engine_requests_total") for p in ports]
            where = [i for i in range(2) if after[i] > before[i]]
            check_quietly(len(where) == 1, f"{name}: {prefix} went to {where}")
            placed.setdefault(prefix, set()).add(where[0])
    check(f"{name}: requests that begin alike meet", all(len(s) == 1 for s in placed.values()))
    check(f"{name}: both replicas work", len({w for s in placed.values() for w in s}) == 2)


def check_quietly(good, text):
    if not good:
        check(text, False)


def check_leaving(name, front, ports):
    for stream in (True, False):
        connection = http.client.HTTPConnection("127.0.0.1", front, timeout=60)
        body = {
            "messages": [{"role": "user", "content": "Make 24 from 3 8 1."}],
            "max_tokens": 400,
            "ignore_eos": True,
            "stream": stream,
            "n": 4,
        }
        before = sum(metric(p, "nautile_engine_cancelled_total") for p in ports)
        connection.request(
            "POST",
            "/v1/chat/completions",
            json.dumps(body),
            {"Content-Type": "application/json", "Authorization": f"Bearer {KEY}"},
        )
        end = time.monotonic() + 10
        while sum(metric(p, "nautile_engine_running") for p in ports) == 0:
            check_quietly(time.monotonic() < end, f"{name}: nothing runs")
        connection.close()
        left = time.monotonic()
        while sum(metric(p, "nautile_engine_cancelled_total") for p in ports) == before:
            check_quietly(time.monotonic() < left + 10, f"{name}: nobody noticed")
        what = "stream" if stream else "whole answer"
        check(f"{name}: leaving a {what} is noticed", True, f"{time.monotonic() - left:.3f} s")


def check_loss(name, front, replicas, again):
    replicas[0].send_signal(signal.SIGTERM)
    code = replicas[0].wait(timeout=60)
    check(f"{name}: a replica drains and ends", code == 0, str(code))
    for i in range(16):
        connection, response = ask(front, f"conversation {i}", 1, stream=False)
        response.read()
        check_quietly(response.status == 200, f"{name}: status {response.status} of request {i}")
        connection.close()
    check(f"{name}: the other one does all the work", True)
    again()


def main():
    nautile, model = sys.argv[1:3]
    with tempfile.TemporaryDirectory() as place:
        folder = pathlib.Path(place)
        ports = [free_port(), free_port()]
        replicas = [start_replica(nautile, model, port, folder) for port in ports]
        for port in ports:
            wait_for(port)

        def again():
            replicas[0] = start_replica(nautile, model, ports[0], folder)
            wait_for(ports[0])

        try:
            for name, start in (("nginx", start_nginx), ("haproxy", start_haproxy)):
                front = free_port()
                proxy = start(folder, ports, front)
                try:
                    wait_for(front)
                    check_streaming(name, front)
                    check_affinity(name, front, ports)
                    check_leaving(name, front, ports)
                    check_loss(name, front, replicas, again)
                finally:
                    proxy.terminate()
                    proxy.wait(timeout=10)
        finally:
            for replica in replicas:
                replica.kill()
                replica.wait()


if __name__ == "__main__":
    main()
