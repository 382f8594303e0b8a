"""langchain-openai: chat models over chat completions and responses, structured output, tools, embeddings."""
import openai
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAI, OpenAIEmbeddings
from pydantic import BaseModel

from features import SCRIPTED, expect, expect_error, feature, run


class User(BaseModel):
    name: str
    age: int


@tool
def get_weather(city: str) -> str:
    """How warm it is in a city."""
    return "21 degrees"


def model(server, **options):
    return ChatOpenAI(**{"model": server.model, "base_url": server.v1, "api_key": server.key, "max_tokens": 200,
                         "max_retries": 0, "timeout": 120, **options})


@feature("invoke")
def invoke(server):
    answer = model(server).invoke("Say hello")
    assert answer.usage_metadata["output_tokens"] > 0 and answer.response_metadata["finish_reason"]
    if server.scripted:
        expect(answer.content, "Hello there, friend.")


@feature("stream, usage")
def stream(server):
    whole = None
    for chunk in model(server, stream_usage=True).stream("Say hello"):
        whole = chunk if whole is None else whole + chunk
    assert whole.content and whole.usage_metadata["output_tokens"] > 0


@feature("structured output: schema")
def structured(server):
    assert isinstance(model(server).with_structured_output(User, method="json_schema").invoke("Describe a user"), User)


@feature("structured output: tool")
def structured_tool(server):
    chain = model(server).with_structured_output(User, method="function_calling")
    assert isinstance(chain.invoke("Describe a user"), User)


@feature("tools, loop", on=[SCRIPTED])
def tools(server):
    bound = model(server).bind_tools([get_weather])
    talk = [HumanMessage("Compare Oslo and Rome")]
    talk.append(bound.invoke(talk))
    expect([call["args"] for call in talk[-1].tool_calls], [{"city": "Oslo"}, {"city": "Rome"}])
    talk += [ToolMessage(get_weather.invoke(call["args"]), tool_call_id=call["id"]) for call in talk[-1].tool_calls]
    expect(bound.invoke(talk).content, "Both have 21 degrees.")


@feature("tool stream", on=[SCRIPTED])
def tool_stream(server):
    whole = None
    for chunk in model(server).bind_tools([get_weather]).stream("Compare Oslo and Rome"):
        whole = chunk if whole is None else whole + chunk
    expect([call["args"]["city"] for call in whole.tool_calls], ["Oslo", "Rome"])


@feature("logprobs")
def logprobs(server):
    answer = model(server, logprobs=True, top_logprobs=2).invoke("Say hello")
    assert len(answer.response_metadata["logprobs"]["content"][0]["top_logprobs"]) == 2


@feature("responses")
def responses(server):
    assert model(server, use_responses_api=True).invoke("Say hello").text


@feature("batch, async")
async def asynchronous(server):
    answers = await model(server, max_tokens=4).abatch(["Say hello"] * 3)
    expect(len(answers), 3)


@feature("completion model")
def completion(server):
    api = OpenAI(model=server.model, base_url=server.v1, api_key=server.key, max_tokens=4, max_retries=0)
    assert api.invoke("One two") is not None


@feature("embeddings")
def embeddings(server):
    api = OpenAIEmbeddings(model=server.model, base_url=server.v1, api_key=server.key, max_retries=0,
                           check_embedding_ctx_length=False)
    expect(len(api.embed_documents(["one", "two"])), 2)


@feature("error classes")
def errors(server):
    expect_error(openai.BadRequestError, lambda: model(server, temperature=3).invoke("x"))
    expect_error(openai.AuthenticationError, lambda: model(server, api_key="wrong-key-1").invoke("x"))


@feature("retry on 429", on=[SCRIPTED])
def retries(server):
    expect(model(server, max_retries=2).invoke("Be refused once, langchain").content, "At last.")


run("langchain-openai")
