"""The openai package: chat, completions, responses, embeddings, streams, tools, schemas, errors."""
import json

import openai
from pydantic import BaseModel

from features import SCRIPTED, expect, expect_error, feature, run


class User(BaseModel):
    name: str
    age: int


WEATHER = {"type": "function", "function": {
    "name": "get_weather", "description": "How warm it is in a city", "strict": True,
    "parameters": {"type": "object", "properties": {"city": {"type": "string", "maxLength": 24}},
                   "required": ["city"], "additionalProperties": False}}}


def client(server, **options):
    return openai.OpenAI(**{"base_url": server.v1, "api_key": server.key, "max_retries": 0, "timeout": 120, **options})


def ask(text):
    return [{"role": "user", "content": text}]


@feature("models")
def models(server):
    api = client(server)
    names = [model.id for model in api.models.list()]
    assert server.model in names, names
    expect(api.models.retrieve(server.model).id, server.model)
    expect_error(openai.NotFoundError, lambda: api.models.retrieve("no-such-model"))


@feature("chat")
def chat(server):
    answer = client(server).chat.completions.create(model=server.model, messages=ask("Say hello"), max_tokens=24)
    choice = answer.choices[0]
    assert choice.message.role == "assistant" and choice.finish_reason in ("stop", "length")
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    assert answer.usage.prompt_tokens_details.cached_tokens >= 0 and answer.system_fingerprint
    if server.scripted:
        expect(choice.message.content, "Hello there, friend.")


@feature("chat stream, usage")
def stream(server):
    text, usage, finish = "", None, None
    for chunk in client(server).chat.completions.create(
            model=server.model, messages=ask("Say hello"), max_tokens=24, stream=True, temperature=0,
            stream_options={"include_usage": True}):
        if chunk.usage:
            expect(chunk.choices, [])
            usage = chunk.usage
        for choice in chunk.choices:
            text += choice.delta.content or ""
            finish = choice.finish_reason or finish
    assert finish in ("stop", "length") and usage.completion_tokens > 0
    whole = client(server).chat.completions.create(
        model=server.model, messages=ask("Say hello"), max_tokens=24, temperature=0)
    expect(text, whole.choices[0].message.content)


@feature("stream accumulator")
def accumulator(server):
    with client(server).chat.completions.stream(
            model=server.model, messages=ask("Say hello"), max_tokens=400, temperature=0,
            stream_options={"include_usage": True}) as stream:
        deltas = "".join(event.delta for event in stream if event.type == "content.delta")
        final = stream.get_final_completion()
    expect(final.choices[0].message.content, deltas)
    assert final.usage.completion_tokens > 0


@feature("parse json_schema")
def parse(server):
    for text in ("Describe a user",):
        answer = client(server).chat.completions.parse(
            model=server.model, messages=ask(text), response_format=User, max_tokens=200)
        user = answer.choices[0].message.parsed
        assert isinstance(user, User)
        if server.scripted:
            expect(user, User(name="Ada", age=36))


@feature("json_object")
def json_object(server):
    answer = client(server).chat.completions.create(
        model=server.model, messages=ask("Describe a user as JSON"), max_tokens=200,
        response_format={"type": "json_object"})
    assert isinstance(json.loads(answer.choices[0].message.content), dict)


@feature("tool required")
def tool_required(server):
    answer = client(server).chat.completions.create(
        model=server.model, messages=ask("How warm is it in Oslo?"), tools=[WEATHER], tool_choice="required",
        parallel_tool_calls=False, max_tokens=200)
    choice = answer.choices[0]
    expect(choice.finish_reason, "tool_calls")
    (call,) = choice.message.tool_calls
    expect(call.function.name, "get_weather")
    assert set(json.loads(call.function.arguments)) == {"city"}


@feature("parallel tools, loop", on=[SCRIPTED])
def parallel(server):
    api, messages = client(server), ask("Compare Oslo and Rome")
    message = api.chat.completions.create(model=server.model, messages=messages, tools=[WEATHER]).choices[0].message
    expect(message.content, "I will look.")
    expect([json.loads(call.function.arguments)["city"] for call in message.tool_calls], ["Oslo", "Rome"])
    assert len({call.id for call in message.tool_calls}) == 2
    messages.append(message.model_dump(exclude_none=True))
    messages += [{"role": "tool", "tool_call_id": call.id, "content": "21 degrees"} for call in message.tool_calls]
    answer = api.chat.completions.create(model=server.model, messages=messages, tools=[WEATHER])
    expect(answer.choices[0].message.content, "Both have 21 degrees.")
    expect(answer.choices[0].finish_reason, "stop")


@feature("tool stream", on=[SCRIPTED])
def tool_stream(server):
    with client(server).chat.completions.stream(
            model=server.model, messages=ask("Compare Oslo and Rome"), tools=[WEATHER]) as stream:
        done = [event.arguments for event in stream if event.type == "tool_calls.function.arguments.done"]
        final = stream.get_final_completion().choices[0]
    expect([json.loads(arguments)["city"] for arguments in done], ["Oslo", "Rome"])
    expect(final.finish_reason, "tool_calls")
    expect(final.message.tool_calls[1].function.parsed_arguments, {"city": "Rome"})


@feature("reasoning", on=[SCRIPTED])
def reasoning(server):
    answer = client(server).chat.completions.create(model=server.reasoner, messages=ask("Think about two and two"))
    expect(answer.choices[0].message.content, "It is 4.")
    expect(answer.choices[0].message.reasoning_content, "Two and two are four.")
    assert answer.usage.completion_tokens_details.reasoning_tokens > 0


@feature("logprobs")
def logprobs(server):
    answer = client(server).chat.completions.create(
        model=server.model, messages=ask("Say hello"), max_tokens=8, logprobs=True, top_logprobs=3)
    content = answer.choices[0].logprobs.content
    expect("".join(token.token for token in content), answer.choices[0].message.content)
    for token in content:
        assert token.logprob <= 0 and len(token.top_logprobs) == 3
        expect(bytes(token.bytes).decode(errors="replace"), token.token)


@feature("n, seed, stop")
def sampling(server):
    api = client(server)
    answers = [api.chat.completions.create(
        model=server.model, messages=ask("Pick a colour"), n=3, seed=7, temperature=1, max_tokens=8)
        for _ in range(2)]
    texts = [[choice.message.content for choice in answer.choices] for answer in answers]
    expect(texts[0], texts[1])
    expect([choice.index for choice in answers[0].choices], [0, 1, 2])
    if server.scripted:
        expect(texts[0], ["red", "green", "blue"])
        stopped = api.chat.completions.create(
            model=server.model, messages=ask("Count to six"), stop=["4", "7"]).choices[0]
        expect((stopped.message.content, stopped.finish_reason), ("1, 2, 3, ", "stop"))


@feature("completions, echo")
def completions(server):
    api = client(server)
    answer = api.completions.create(model=server.model, prompt=["One two", "Three"], max_tokens=4, echo=True,
                                    logprobs=2, temperature=0)
    expect([choice.index for choice in answer.choices], [0, 1])
    for choice, prompt in zip(answer.choices, ("One two", "Three")):
        assert choice.text.startswith(prompt)
        expect("".join(choice.logprobs.tokens), choice.text)
        assert choice.logprobs.token_logprobs[0] is None and choice.logprobs.text_offset[0] == 0
    text = "".join(chunk.choices[0].text for chunk in api.completions.create(
        model=server.model, prompt="One two", max_tokens=4, temperature=0, stream=True))
    expect("One two" + text, answer.choices[0].text)


@feature("embeddings")
def embeddings(server):
    api = client(server)
    floats = api.embeddings.create(model=server.model, input=["one", "two"], encoding_format="float")
    packed = api.embeddings.create(model=server.model, input=["one", "two"])  # base64 on the wire
    expect([item.index for item in packed.data], [0, 1])
    for a, b in zip(floats.data, packed.data):
        assert len(a.embedding) == len(b.embedding) > 0
        assert all(abs(x - y) <= 1e-6 * max(1, abs(x)) for x, y in zip(a.embedding, b.embedding))
    assert packed.usage.prompt_tokens > 0


@feature("responses")
def responses(server):
    answer = client(server).responses.create(model=server.model, input="Say hello", max_output_tokens=24)
    assert answer.status in ("completed", "incomplete") and answer.usage.output_tokens > 0
    if server.scripted:
        expect(answer.output_text, "Hello there, friend.")


@feature("responses stream")
def responses_stream(server):
    with client(server).responses.stream(
            model=server.model, input=ask("Say hello"), instructions="Be kind.", max_output_tokens=400,
            temperature=0) as stream:
        deltas = "".join(event.delta for event in stream if event.type == "response.output_text.delta")
        final = stream.get_final_response()
    expect(final.output_text, deltas)


@feature("responses parse, tools")
def responses_parse(server):
    answer = client(server).responses.parse(model=server.model, input="Describe a user", text_format=User,
                                            max_output_tokens=200)
    assert isinstance(answer.output_parsed, User)
    tool = {"type": "function", **{k: v for k, v in WEATHER["function"].items()}}
    called = client(server).responses.create(
        model=server.model, input="How warm is it in Oslo?", tools=[tool], tool_choice="required",
        parallel_tool_calls=False, max_output_tokens=200)
    (call,) = [item for item in called.output if item.type == "function_call"]
    assert set(json.loads(call.arguments)) == {"city"}
    if server.scripted:
        after = client(server).responses.create(
            model=server.model, tools=[tool], input=[
                *ask("How warm is it in Oslo?"),
                {"type": "function_call", "call_id": call.call_id, "name": call.name, "arguments": call.arguments},
                {"type": "function_call_output", "call_id": call.call_id, "output": "21 degrees"}])
        expect(after.output_text, "It is 21 degrees in Oslo.")


@feature("async")
async def asynchronous(server):
    async with openai.AsyncOpenAI(base_url=server.v1, api_key=server.key, max_retries=0, timeout=120) as api:
        answer = await api.chat.completions.create(model=server.model, messages=ask("Say hello"), max_tokens=4)
        assert answer.choices[0].message.content is not None
        stream = await api.chat.completions.create(model=server.model, messages=ask("Say hello"), max_tokens=4,
                                                   stream=True)
        assert [chunk async for chunk in stream]


@feature("error classes")
def errors(server):
    api = client(server)

    def create(**options):
        return lambda: api.chat.completions.create(**{"model": server.model, "messages": ask("x"), **options})

    error = expect_error(openai.BadRequestError, create(temperature=3))
    expect((error.param, error.type), ("temperature", "invalid_request_error"))
    error = expect_error(openai.NotFoundError, create(model="no-such-model"))
    expect((error.param, error.code), ("model", "model_not_found"))
    error = expect_error(openai.AuthenticationError, lambda: client(server, api_key="wrong-key-1").models.list())
    expect(error.code, "invalid_api_key")
    too_long = expect_error(openai.BadRequestError, create(messages=ask("word " * 200_000)))
    expect(too_long.code, "context_length_exceeded")
    if server.scripted:
        expect_error(openai.InternalServerError, create(messages=ask("Fail now")))
        full = expect_error(openai.RateLimitError, create(messages=ask("Be refused always")))
        assert int(full.response.headers["retry-after"]) >= 1
        with_stream = expect_error(openai.APIError, lambda: list(create(messages=ask("Fail now"), stream=True)()))
        assert "script" in str(with_stream)


@feature("retry on 429", on=[SCRIPTED])
def retries(server):
    answer = client(server, max_retries=2).chat.completions.create(
        model=server.model, messages=ask("Be refused once, openai"))
    expect(answer.choices[0].message.content, "At last.")


run("openai")
