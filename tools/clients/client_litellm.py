"""litellm: the same server as an OpenAI and as an Anthropic provider."""
import json

import os

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # its price list is not fetched

import litellm  # noqa: E402
from pydantic import BaseModel

from features import SCRIPTED, expect, expect_error, feature, run

litellm.suppress_debug_info = True
WEATHER = {"type": "function", "function": {
    "name": "get_weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}},
                                          "required": ["city"], "additionalProperties": False}}}


class User(BaseModel):
    name: str
    age: int


def options(server, text, **more):
    return {"model": "openai/" + server.model, "api_base": server.v1, "api_key": server.key, "timeout": 120,
            "num_retries": 0, "max_retries": 0, "messages": [{"role": "user", "content": text}], **more}


@feature("completion")
def completion(server):
    answer = litellm.completion(**options(server, "Say hello", max_tokens=24))
    assert answer.choices[0].finish_reason in ("stop", "length") and answer.usage.total_tokens > 0
    if server.scripted:
        expect(answer.choices[0].message.content, "Hello there, friend.")


@feature("stream, usage")
def stream(server):
    chunks = list(litellm.completion(**options(server, "Say hello", max_tokens=16, stream=True,
                                               stream_options={"include_usage": True})))
    built = litellm.stream_chunk_builder(chunks)
    assert built.choices[0].message.content and built.usage.completion_tokens > 0


@feature("json_schema")
def schema(server):
    answer = litellm.completion(**options(server, "Describe a user", max_tokens=200, response_format=User))
    assert User.model_validate_json(answer.choices[0].message.content)


@feature("parallel tools", on=[SCRIPTED])
def tools(server):
    answer = litellm.completion(**options(server, "Compare Oslo and Rome", tools=[WEATHER]))
    calls = answer.choices[0].message.tool_calls
    expect([json.loads(call.function.arguments)["city"] for call in calls], ["Oslo", "Rome"])
    expect(answer.choices[0].finish_reason, "tool_calls")


@feature("reasoning_content", on=[SCRIPTED])
def reasoning(server):
    answer = litellm.completion(**options(server, "Think about two and two", model="openai/" + server.reasoner))
    expect(answer.choices[0].message.reasoning_content, "Two and two are four.")


@feature("deepseek provider", on=[SCRIPTED])
def deepseek(server):
    answer = litellm.completion(**options(server, "Think about two and two", model="deepseek/" + server.reasoner))
    expect((answer.choices[0].message.reasoning_content, answer.choices[0].message.content),
           ("Two and two are four.", "It is 4."))


@feature("anthropic provider")
def anthropic(server):
    answer = litellm.completion(**options(server, "Say hello", max_tokens=16, model="anthropic/" + server.model,
                                          api_base=server.url))
    assert answer.choices[0].message.content


@feature("responses")
def responses(server):
    given = options(server, "Say hello", max_output_tokens=16)
    given["input"] = given.pop("messages")
    del given["num_retries"], given["max_retries"]
    answer = litellm.responses(**given)
    assert answer.usage.output_tokens > 0


@feature("text completion")
def text(server):
    given = options(server, "", max_tokens=4, model="text-completion-openai/" + server.model, prompt="One two")
    del given["messages"]
    assert litellm.text_completion(**given).choices[0].text is not None


@feature("embedding")
def embedding(server):
    given = options(server, "", input=["one", "two"], encoding_format="float")
    del given["messages"]
    answer = litellm.embedding(**given)
    expect(len(answer.data), 2)


@feature("async")
async def asynchronous(server):
    answer = await litellm.acompletion(**options(server, "Say hello", max_tokens=4))
    assert answer.choices


@feature("error classes")
def errors(server):
    expect_error(litellm.BadRequestError, lambda: litellm.completion(**options(server, "x", temperature=3)))
    expect_error(litellm.NotFoundError, lambda: litellm.completion(**options(server, "x", model="openai/none")))
    expect_error(litellm.AuthenticationError, lambda: litellm.completion(
        **options(server, "x", api_key="wrong-key-1")))
    expect_error(litellm.ContextWindowExceededError, lambda: litellm.completion(
        **options(server, "word " * 200_000)))
    if server.scripted:
        expect_error(litellm.RateLimitError, lambda: litellm.completion(**options(server, "Be refused always")))
        expect_error(litellm.InternalServerError, lambda: litellm.completion(**options(server, "Fail now")))


@feature("retry on 429", on=[SCRIPTED])
def retries(server):
    answer = litellm.completion(**options(server, "Be refused once, litellm", num_retries=2))
    expect(answer.choices[0].message.content, "At last.")


run("litellm")
