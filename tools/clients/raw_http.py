"""HTTP as the checks need it: bodies as bytes, event streams held to their format, no client's leniency."""
import http.client
import json
import urllib.parse


class Reply:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def json(self):
        return json.loads(self.body)


class Api:
    """One connection; not for several threads."""

    def __init__(self, url, key, timeout=300):
        where = urllib.parse.urlsplit(url)
        self.connection = http.client.HTTPConnection(where.hostname, where.port, timeout=timeout)
        self.headers = {"Authorization": f"Bearer {key}"} if key else {}

    def ask(self, method, path, body=None):
        """`body`: bytes as they are, or what becomes JSON."""
        headers = dict(self.headers)
        if body is not None:
            headers["Content-Type"] = "application/json"
            if not isinstance(body, bytes):
                body = json.dumps(body, ensure_ascii=False).encode()
        self.connection.request(method, path, body, headers)
        answer = self.connection.getresponse()
        return Reply(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())

    def post(self, path, body):
        return self.ask("POST", path, body)

    def get(self, path):
        return self.ask("GET", path)


def events_of(body):
    """[(name or None, data as text)] of an event stream; raises where it is not one."""
    text = body.decode("utf-8")  # strict: a character is never cut
    if not text.endswith("\n\n"):
        raise AssertionError(f"the stream ends within an event: {text[-80:]!r}")
    events = []
    for block in text[:-2].split("\n\n"):
        name, data = None, []
        for line in block.split("\n"):
            field, colon, value = line.partition(":")
            value = value.removeprefix(" ")
            if not field and colon:
                continue  # a comment
            if field == "event" and name is None:
                name = value
            elif field == "data":
                data.append(value)
            else:
                raise AssertionError(f"a line that is no field of ours: {line!r}")
        if data:
            if len(data) != 1:
                raise AssertionError(f"an event of {len(data)} lines of data")
            events.append((name, data[0]))
        elif name is not None:
            raise AssertionError(f"an event without data: {block!r}")
    return events
