"""llm: a model named in extra-openai-models.yaml, as its users add servers."""
import json
import os
import pathlib
import tempfile

home = tempfile.TemporaryDirectory(prefix="nautile-llm-")
os.environ["LLM_USER_PATH"] = home.name
for server in json.loads(os.environ["NAUTILE_CLIENT_SERVERS"]):
    with open(pathlib.Path(home.name) / "extra-openai-models.yaml", "a", encoding="utf-8") as models:
        models.write(f"- model_id: {server['name']}\n  model_name: {server['model']}\n"
                     f"  api_base: {server['url']}/v1\n  api_key_name: nautile\n  supports_schema: true\n  supports_tools: true\n")

import llm  # noqa: E402  it reads its folder when it is imported
from pydantic import BaseModel  # noqa: E402

from features import SCRIPTED, expect, feature, run  # noqa: E402


class User(BaseModel):
    name: str
    age: int


def get_weather(city: str) -> str:
    """How warm it is in a city."""
    return "21 degrees"


def model(server):
    return llm.get_model(server.name)


@feature("prompt")
def prompt(server):
    answer = model(server).prompt("Say hello", max_tokens=24, stream=False, key=server.key)
    assert answer.text() and answer.usage().output > 0
    if server.scripted:
        expect(answer.text(), "Hello there, friend.")


@feature("stream")
def stream(server):
    assert "".join(model(server).prompt("Say hello", max_tokens=24, stream=True, key=server.key))


@feature("schema")
def schema(server):
    answer = model(server).prompt("Describe a user", schema=User, max_tokens=200, stream=False, key=server.key)
    User.model_validate_json(answer.text())


@feature("tools, loop", on=[SCRIPTED])
def tools(server):
    chain = model(server).chain("Compare Oslo and Rome", tools=[get_weather], key=server.key)
    text = chain.text()
    assert text.endswith("Both have 21 degrees."), text


@feature("conversation")
def conversation(server):
    talk = model(server).conversation()
    talk.prompt("Say hello", max_tokens=4, stream=False, key=server.key).text()
    assert talk.prompt("And again", max_tokens=4, stream=False, key=server.key).text() is not None


run("llm")
