"""The ollama package: list, chat, generate, streams, tools, structured answers, errors."""
import json

import ollama

from features import SCRIPTED, expect, expect_error, feature, run

SCHEMA = {"type": "object", "properties": {"name": {"type": "string", "maxLength": 24}, "age": {"type": "integer"}},
          "required": ["name", "age"], "additionalProperties": False}
WEATHER = {"type": "function", "function": {
    "name": "get_weather", "description": "How warm it is in a city",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}}


def client(server):
    return ollama.Client(host=server.url, headers={"Authorization": f"Bearer {server.key}"}, timeout=120)


def ask(text):
    return [{"role": "user", "content": text}]


@feature("list, show")
def models(server):
    assert server.model in [model.model for model in client(server).list().models]
    client(server).show(server.model)


@feature("chat")
def chat(server):
    answer = client(server).chat(server.model, messages=ask("Say hello"), options={"num_predict": 24})
    assert answer.done and answer.eval_count > 0 and answer.prompt_eval_count > 0
    if server.scripted:
        expect(answer.message.content, "Hello there, friend.")


@feature("chat stream")
def stream(server):
    options = {"num_predict": 16, "temperature": 0}
    parts = list(client(server).chat(server.model, messages=ask("Say hello"), options=options, stream=True))
    whole = client(server).chat(server.model, messages=ask("Say hello"), options=options)
    expect("".join(part.message.content or "" for part in parts), whole.message.content)
    expect([part.done for part in parts][-2:], [False, True])
    assert parts[-1].eval_count > 0 and parts[-1].done_reason in ("stop", "length")


@feature("generate")
def generate(server):
    answer = client(server).generate(server.model, prompt="Say hello", options={"num_predict": 16})
    assert answer.done and answer.response
    parts = list(client(server).generate(server.model, prompt="Say hello", stream=True, options={"num_predict": 4}))
    assert parts[-1].done


@feature("format: a schema")
def structured(server):
    answer = client(server).chat(server.model, messages=ask("Describe a user"), format=SCHEMA,
                                 options={"num_predict": 200})
    expect(set(json.loads(answer.message.content)), {"name", "age"})


@feature("tools", on=[SCRIPTED])
def tools(server):
    answer = client(server).chat(server.model, messages=ask("Compare Oslo and Rome"), tools=[WEATHER])
    expect([call.function.arguments["city"] for call in answer.message.tool_calls], ["Oslo", "Rome"])


@feature("thinking", on=[SCRIPTED])
def thinking(server):
    answer = client(server).chat(server.reasoner, messages=ask("Think about two and two"), think=True)
    expect((answer.message.thinking, answer.message.content), ("Two and two are four.", "It is 4."))


@feature("async")
async def asynchronous(server):
    api = ollama.AsyncClient(host=server.url, headers={"Authorization": f"Bearer {server.key}"}, timeout=120)
    answer = await api.chat(server.model, messages=ask("Say hello"), options={"num_predict": 4})
    assert answer.done


@feature("error classes")
def errors(server):
    error = expect_error(ollama.ResponseError, lambda: client(server).chat("no-such-model", messages=ask("x")))
    expect(error.status_code, 404)
    error = expect_error(ollama.ResponseError, lambda: client(server).chat(
        server.model, messages=ask("x"), options={"temperature": -5}))
    expect(error.status_code, 400)


run("ollama")
