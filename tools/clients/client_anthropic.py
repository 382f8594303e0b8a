"""The anthropic package: messages, streams, thinking, tools, token counts, errors."""
import anthropic

from features import SCRIPTED, expect, expect_error, feature, run

WEATHER = {"name": "get_weather", "description": "How warm it is in a city",
           "input_schema": {"type": "object", "properties": {"city": {"type": "string", "maxLength": 24}},
                            "required": ["city"], "additionalProperties": False}}


def client(server, **options):
    return anthropic.Anthropic(**{"base_url": server.url, "api_key": server.key, "max_retries": 0, "timeout": 120,
                                  **options})


def ask(text):
    return [{"role": "user", "content": text}]


@feature("messages")
def messages(server):
    answer = client(server).messages.create(model=server.model, system="Be kind.", max_tokens=24,
                                            messages=ask("Say hello"))
    assert answer.stop_reason in ("end_turn", "max_tokens") and answer.usage.output_tokens > 0
    expect((answer.role, answer.content[0].type), ("assistant", "text"))
    if server.scripted:
        expect(answer.content[0].text, "Hello there, friend.")


@feature("stream accumulator")
def stream(server):
    with client(server).messages.stream(model=server.model, max_tokens=24, messages=ask("Say hello")) as stream:
        text = "".join(stream.text_stream)
        final = stream.get_final_message()
    expect(final.content[0].text, text)
    assert final.usage.output_tokens > 0 and final.stop_reason in ("end_turn", "max_tokens")


@feature("raw events")
def events(server):
    kinds = [event.type for event in client(server).messages.create(
        model=server.model, max_tokens=4, messages=ask("Say hello"), stream=True)]
    kinds = [kind for kind in kinds if kind != "ping"]
    expect(kinds[:2], ["message_start", "content_block_start"])
    expect(kinds[-3:], ["content_block_stop", "message_delta", "message_stop"])


@feature("thinking", on=[SCRIPTED])
def thinking(server):
    with client(server).messages.stream(
            model=server.reasoner, max_tokens=4096, messages=ask("Think about two and two"),
            thinking={"type": "enabled", "budget_tokens": 1024}) as stream:
        final = stream.get_final_message()
    expect([block.type for block in final.content], ["thinking", "text"])
    expect((final.content[0].thinking, final.content[1].text), ("Two and two are four.", "It is 4."))


@feature("tool required")
def tool_required(server):
    answer = client(server).messages.create(
        model=server.model, max_tokens=200, messages=ask("How warm is it in Oslo?"), tools=[WEATHER],
        tool_choice={"type": "any", "disable_parallel_tool_use": True})
    expect(answer.stop_reason, "tool_use")
    (block,) = [block for block in answer.content if block.type == "tool_use"]
    expect((block.name, set(block.input)), ("get_weather", {"city"}))


@feature("parallel tools, loop", on=[SCRIPTED])
def parallel(server):
    talk = ask("Compare Oslo and Rome")
    with client(server).messages.stream(model=server.model, max_tokens=1024, messages=talk, tools=[WEATHER]) as stream:
        first = stream.get_final_message()
    calls = [block for block in first.content if block.type == "tool_use"]
    expect([call.input["city"] for call in calls], ["Oslo", "Rome"])
    talk.append({"role": "assistant", "content": [block.model_dump(exclude_none=True) for block in first.content]})
    talk.append({"role": "user", "content": [
        {"type": "tool_result", "tool_use_id": call.id, "content": "21 degrees"} for call in calls]})
    answer = client(server).messages.create(model=server.model, max_tokens=1024, messages=talk, tools=[WEATHER])
    expect(answer.content[0].text, "Both have 21 degrees.")


@feature("stop_sequences", on=[SCRIPTED])
def stops(server):
    answer = client(server).messages.create(model=server.model, max_tokens=99, messages=ask("Count to six"),
                                            stop_sequences=["4"])
    expect((answer.stop_reason, answer.stop_sequence, answer.content[0].text), ("stop_sequence", "4", "1, 2, 3, "))


@feature("count_tokens")
def count(server):
    counted = client(server).messages.count_tokens(model=server.model, messages=ask("Say hello"))
    answer = client(server).messages.create(model=server.model, max_tokens=1, messages=ask("Say hello"))
    used = answer.usage.input_tokens + (answer.usage.cache_read_input_tokens or 0)
    expect(counted.input_tokens, used)


@feature("async")
async def asynchronous(server):
    async with anthropic.AsyncAnthropic(base_url=server.url, api_key=server.key, max_retries=0, timeout=120) as api:
        answer = await api.messages.create(model=server.model, max_tokens=4, messages=ask("Say hello"))
        assert answer.content
        async with api.messages.stream(model=server.model, max_tokens=4, messages=ask("Say hello")) as stream:
            assert await stream.get_final_message()


@feature("error classes")
def errors(server):
    def create(api=None, **options):
        return lambda: (api or client(server)).messages.create(
            **{"model": server.model, "max_tokens": 9, "messages": ask("x"), **options})

    error = expect_error(anthropic.BadRequestError, create(extra_body={"temperature": 3}))
    assert "temperature" in str(error) and error.body["error"]["type"] == "invalid_request_error"
    expect_error(anthropic.NotFoundError, create(model="no-such-model"))
    expect_error(anthropic.AuthenticationError, create(client(server, api_key="wrong-key-1")))
    if server.scripted:
        expect_error(anthropic.InternalServerError, create(messages=ask("Fail now")))
        expect_error(anthropic.RateLimitError, create(messages=ask("Be refused always")))


@feature("retry on 429", on=[SCRIPTED])
def retries(server):
    answer = client(server, max_retries=2).messages.create(
        model=server.model, max_tokens=99, messages=ask("Be refused once, anthropic"))
    expect(answer.content[0].text, "At last.")


run("anthropic")
