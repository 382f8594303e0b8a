"""openai-agents: runs with tools and typed answers, over responses and chat completions."""
from agents import (Agent, ModelSettings, OpenAIChatCompletionsModel, OpenAIResponsesModel, Runner, function_tool,
                    set_tracing_disabled)
from openai import AsyncOpenAI
from pydantic import BaseModel

from features import SCRIPTED, expect, feature, run

set_tracing_disabled(True)


class User(BaseModel):
    name: str
    age: int


@function_tool
def get_weather(city: str) -> str:
    """How warm it is in a city."""
    return "21 degrees"


def agent(server, kind, **options):
    api = AsyncOpenAI(base_url=server.v1, api_key=server.key, max_retries=0, timeout=120)
    return Agent(name="assistant", instructions="Be kind.", model=kind(model=server.model, openai_client=api),
                 **{"model_settings": ModelSettings(max_tokens=400, temperature=0), **options})


KINDS = {"chat": OpenAIChatCompletionsModel, "responses": OpenAIResponsesModel}
for name, kind in KINDS.items():

    @feature(f"run ({name})")
    async def plain(server, kind=kind):
        result = await Runner.run(agent(server, kind), "Say hello")
        assert result.final_output
        if server.scripted:
            expect(result.final_output, "Hello there, friend.")

    @feature(f"typed output ({name})")
    async def typed(server, kind=kind):
        result = await Runner.run(agent(server, kind, output_type=User), "Describe a user")
        assert isinstance(result.final_output, User)

    @feature(f"tools, loop ({name})", on=[SCRIPTED])
    async def tools(server, kind=kind):
        result = await Runner.run(agent(server, kind, tools=[get_weather]), "Compare Oslo and Rome")
        expect(result.final_output, "Both have 21 degrees.")

    @feature(f"stream ({name})")
    async def stream(server, kind=kind):
        result = Runner.run_streamed(agent(server, kind), "Say hello")
        assert [event async for event in result.stream_events()]
        assert result.final_output


run("openai-agents")
