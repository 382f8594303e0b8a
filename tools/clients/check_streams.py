"""Streams against their formats and against the same request's whole answer: `check_streams.py URL KEY MODEL`.

Deterministic requests (temperature 0 or a seed) to every endpoint that streams; what the pieces come to must be
the whole answer, byte by byte.
"""
import json
import sys

from raw_http import Api, events_of

WEATHER = {"name": "get_weather", "parameters": {
    "type": "object", "properties": {"city": {"type": "string", "maxLength": 24}}, "required": ["city"],
    "additionalProperties": False}}
ASK = [{"role": "user", "content": "How warm is it in Oslo? Grüße, 你好 🙂"}]


def expect(condition, what):
    if not condition:
        raise AssertionError(what)


def whole(api, path, body):
    reply = api.post(path, {**body, "stream": False})
    expect(reply.status == 200, f"{path}: {reply.status} {reply.body[:300]!r}")
    return reply.json()


def streamed(api, path, body, kind="text/event-stream"):
    reply = api.post(path, {**body, "stream": True})
    expect(reply.status == 200, f"{path}: {reply.status} {reply.body[:300]!r}")
    expect(reply.headers["content-type"].startswith(kind), reply.headers["content-type"])
    return reply.body


def chunks_of(body):
    events = events_of(body)
    expect(events[-1] == (None, "[DONE]"), f"the last event is {events[-1]}")
    expect(all(name is None for name, _ in events), "an event has a name")
    chunks = [json.loads(data) for _, data in events[:-1]]
    expect(len({(c["id"], c["object"], c["created"], c["model"], c["system_fingerprint"]) for c in chunks}) == 1,
           "id, object, created, model or fingerprint change within a stream")
    return chunks


def check_usage(chunks, answer):
    expect(chunks[-1]["choices"] == [] and chunks[-1]["usage"]["total_tokens"] > 0, "no chunk of usage")
    expect(all("usage" in c and c["usage"] is None for c in chunks[:-1]), "usage is not null before the end")
    for name in ("prompt_tokens", "completion_tokens", "total_tokens"):
        expect(chunks[-1]["usage"][name] == answer["usage"][name], f"usage.{name} differs")


def check_chat(api, model, more):
    body = {"model": model, "messages": ASK, "max_tokens": 48, "seed": 5, "stream_options": {"include_usage": True},
            "n": 2, **more}
    plain = {k: v for k, v in body.items() if k != "stream_options"}
    answer = whole(api, "/v1/chat/completions", plain)
    chunks = chunks_of(streamed(api, "/v1/chat/completions", body))
    check_usage(chunks, answer)
    for choice in answer["choices"]:
        parts = [c["choices"][0] for c in chunks[:-1] if c["choices"][0]["index"] == choice["index"]]
        expect(parts[0]["delta"].get("role") == "assistant", "the first delta has no role")
        finishes = [p["finish_reason"] for p in parts if p["finish_reason"] is not None]
        expect(finishes == [choice["finish_reason"]], f"finishes {finishes}, whole {choice['finish_reason']}")
        expect(parts[-1]["finish_reason"] is not None, "something after the finish")
        text = "".join(p["delta"].get("content") or "" for p in parts)
        expect(text == (choice["message"]["content"] or ""), f"{text!r} is not {choice['message']['content']!r}")
        calls = []
        for part in parts:
            for call in part["delta"].get("tool_calls", []):
                if call["index"] == len(calls):
                    expect(call["id"] and call["type"] == "function", "a call begins without id or type")
                    calls.append([call["function"]["name"], ""])
                calls[call["index"]][1] += call["function"].get("arguments", "")
        wanted = [[c["function"]["name"], c["function"]["arguments"]] for c in choice["message"].get("tool_calls") or []]
        expect(calls == wanted, f"calls {calls}, whole {wanted}")
        if more.get("logprobs"):
            told = [t for p in parts if p["logprobs"] for t in p["logprobs"]["content"]]
            expect(told == choice["logprobs"]["content"], "logprobs differ")


def check_completions(api, model):
    for more in ({}, {"echo": True, "logprobs": 2}, {"stop": ["e"]}):
        body = {"model": model, "prompt": ["Once upon", "Grüße 你好"], "max_tokens": 12, "seed": 3, **more}
        answer = whole(api, "/v1/completions", body)
        chunks = chunks_of(streamed(api, "/v1/completions", {**body, "stream_options": {"include_usage": True}}))
        check_usage(chunks, answer)
        for choice in answer["choices"]:
            parts = [c["choices"][0] for c in chunks[:-1] if c["choices"][0]["index"] == choice["index"]]
            expect("".join(p["text"] for p in parts) == choice["text"], "texts differ")
            if more.get("logprobs"):
                for name in ("tokens", "token_logprobs", "text_offset", "top_logprobs"):
                    told = [t for p in parts if p["logprobs"] for t in p["logprobs"][name]]
                    expect(told == choice["logprobs"][name], f"logprobs.{name} differ")


def check_responses(api, model):
    for tokens, more in ((24, {}), (300, {"tools": [{"type": "function", **WEATHER}], "tool_choice": "required"})):
        body = {"model": model, "input": ASK, "max_output_tokens": tokens, "temperature": 0, **more}
        answer = whole(api, "/v1/responses", body)
        events = events_of(streamed(api, "/v1/responses", body))
        datas = [json.loads(data) for _, data in events if data != "[DONE]"]
        expect([d["type"] for d in datas] == [name for name, data in events if data != "[DONE]"], "names and types differ")
        expect([d["sequence_number"] for d in datas] == list(range(len(datas))), "sequence_number has gaps")
        expect(datas[0]["type"] == "response.created", datas[0]["type"])
        expect(datas[-1]["type"] in ("response.completed", "response.incomplete"), datas[-1]["type"])
        last = datas[-1]["response"]
        strip = lambda output: json.dumps([{k: v for k, v in item.items() if k not in ("id", "call_id")} for item in output])
        expect(strip(last["output"]) == strip(answer["output"]), "the output differs")
        text = "".join(d["delta"] for d in datas if d["type"] == "response.output_text.delta")
        expect(text == "".join(p["text"] for i in last["output"] if i["type"] == "message" for p in i["content"]), "deltas")
        arguments = "".join(d["delta"] for d in datas if d["type"] == "response.function_call_arguments.delta")
        expect(arguments == "".join(i["arguments"] for i in last["output"] if i["type"] == "function_call"), "arguments")


def check_anthropic(api, model):
    tool = {"name": "get_weather", "input_schema": WEATHER["parameters"]}
    for tokens, more in ((24, {}), (300, {"tools": [tool], "tool_choice": {"type": "any"}})):
        body = {"model": model, "messages": ASK, "max_tokens": tokens, "temperature": 0, **more}
        answer = whole(api, "/v1/messages", body)
        events = events_of(streamed(api, "/v1/messages", body))
        datas = [json.loads(data) for _, data in events]
        expect([d["type"] for d in datas] == [name for name, _ in events], "names and types differ")
        datas = [d for d in datas if d["type"] != "ping"]
        expect(datas[0]["type"] == "message_start" and datas[0]["message"]["content"] == [], "the start")
        expect([d["type"] for d in datas[-2:]] == ["message_delta", "message_stop"], "the end")
        blocks, opened = [], None
        for data in datas[1:-2]:
            if data["type"] == "content_block_start":
                expect(opened is None and data["index"] == len(blocks), "blocks overlap or skip")
                opened = data["index"]
                blocks.append([data["content_block"]["type"], ""])
            elif data["type"] == "content_block_delta":
                expect(data["index"] == opened, "a delta outside its block")
                blocks[-1][1] += data["delta"].get("text") or data["delta"].get("partial_json") or ""
            else:
                expect(data["type"] == "content_block_stop" and data["index"] == opened, data["type"])
                opened = None
        expect(len(blocks) == len(answer["content"]), "another number of blocks")
        for (kind, text), block in zip(blocks, answer["content"]):
            expect(kind == block["type"], "another kind of block")
            expect(json.loads(text or "{}") == block["input"] if kind == "tool_use" else text == block["text"], text)
        expect(datas[-2]["delta"]["stop_reason"] == answer["stop_reason"], "stop_reason")
        expect(datas[-2]["usage"]["output_tokens"] == answer["usage"]["output_tokens"], "usage")


def check_ollama(api, model):
    for path, more, text_of in (
            ("/api/chat", {"messages": ASK}, lambda p: p["message"].get("content", "")),
            ("/api/generate", {"prompt": "Once upon"}, lambda p: p["response"])):
        body = {"model": model, "options": {"num_predict": 12, "temperature": 0}, **more}
        answer = whole(api, path, body)
        lines = streamed(api, path, body, "application/x-ndjson").decode("utf-8").splitlines()
        parts = [json.loads(line) for line in lines]
        expect([p["done"] for p in parts] == [False] * (len(parts) - 1) + [True], "done")
        expect("".join(map(text_of, parts)) == text_of(answer), f"{path}: texts differ")
        expect(parts[-1]["eval_count"] == answer["eval_count"], "eval_count")


def main(url, key, model):
    tools = [{"type": "function", "function": WEATHER}]
    schema = {"type": "json_schema", "json_schema": {"name": "x", "schema": WEATHER["parameters"]}}
    checks = {"chat": lambda a: check_chat(a, model, {}),
              "chat, logprobs": lambda a: check_chat(a, model, {"logprobs": True, "top_logprobs": 2}),
              "chat, tools": lambda a: check_chat(a, model, {"tools": tools, "tool_choice": "required", "max_tokens": 300}),
              "chat, stop": lambda a: check_chat(a, model, {"stop": ["e", "o "]}),
              "chat, schema": lambda a: check_chat(a, model, {"response_format": schema}),
              "completions": lambda a: check_completions(a, model),
              "responses": lambda a: check_responses(a, model),
              "messages": lambda a: check_anthropic(a, model),
              "ollama": lambda a: check_ollama(a, model)}
    failed = 0
    for name, check in checks.items():
        try:
            check(Api(url, key))
            print(f"  {name}: ok")
        except (AssertionError, KeyError, IndexError, TypeError, ValueError, OSError) as error:
            failed += 1
            print(f"  {name}: FAILED: {type(error).__name__}: {error}")
    print(f"streams: {len(checks) - failed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main(*sys.argv[1:])
