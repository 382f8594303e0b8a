"""pydantic-ai: agents over OpenAI's chat and responses and Anthropic's messages."""
from anthropic import AsyncAnthropic
from openai import AsyncOpenAI
from pydantic import BaseModel
from pydantic_ai import Agent, NativeOutput
from pydantic_ai.exceptions import ModelHTTPError
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.providers.openai import OpenAIProvider

from features import SCRIPTED, expect, feature, run


class User(BaseModel):
    name: str
    age: int


def provider(server, **options):
    return OpenAIProvider(openai_client=AsyncOpenAI(
        **{"base_url": server.v1, "api_key": server.key, "max_retries": 0, "timeout": 120, **options}))


def chat(server, **options):
    return OpenAIChatModel(server.model, provider=provider(server, **options))


SETTINGS = {"max_tokens": 200}


@feature("chat")
async def run_chat(server):
    result = await Agent(chat(server), model_settings=SETTINGS).run("Say hello")
    assert result.output
    if server.scripted:
        expect(result.output, "Hello there, friend.")


@feature("stream")
async def stream(server):
    async with Agent(chat(server), model_settings=SETTINGS).run_stream("Say hello") as result:
        assert [text async for text in result.stream_text()]


@feature("output by tool")
async def by_tool(server):
    result = await Agent(chat(server), output_type=User, model_settings=SETTINGS).run("Describe a user")
    assert isinstance(result.output, User)


@feature("output by schema")
async def by_schema(server):
    result = await Agent(chat(server), output_type=NativeOutput(User), model_settings=SETTINGS).run("Describe a user")
    assert isinstance(result.output, User)


@feature("tools, loop", on=[SCRIPTED])
async def tools(server):
    agent, asked = Agent(chat(server)), []

    @agent.tool_plain
    def get_weather(city: str) -> str:
        """How warm it is in a city."""
        asked.append(city)
        return "21 degrees"

    result = await agent.run("Compare Oslo and Rome")
    expect((result.output, sorted(asked)), ("Both have 21 degrees.", ["Oslo", "Rome"]))


@feature("responses")
async def responses(server):
    model = OpenAIResponsesModel(server.model, provider=provider(server))
    assert (await Agent(model, model_settings=SETTINGS).run("Say hello")).output


@feature("anthropic")
async def anthropic(server):
    api = AsyncAnthropic(base_url=server.url, api_key=server.key, max_retries=0, timeout=120)
    model = AnthropicModel(server.model, provider=AnthropicProvider(anthropic_client=api))
    assert (await Agent(model, model_settings=SETTINGS).run("Say hello")).output


@feature("error classes")
async def errors(server):
    try:
        await Agent(chat(server), model_settings={"temperature": 3}).run("x")
    except ModelHTTPError as error:
        expect(error.status_code, 400)
    else:
        raise AssertionError("expected ModelHTTPError, found an answer")


@feature("retry on 429", on=[SCRIPTED])
async def retries(server):
    result = await Agent(chat(server, max_retries=2)).run("Be refused once, pydantic-ai")
    expect(result.output, "At last.")


run("pydantic-ai")
