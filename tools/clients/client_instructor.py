"""instructor: typed answers by tools, JSON and JSON Schema, streamed partials."""
import instructor
import openai
from pydantic import BaseModel

from features import expect, feature, run


class User(BaseModel):
    name: str
    age: int


def client(server, mode):
    api = openai.OpenAI(base_url=server.v1, api_key=server.key, max_retries=0, timeout=120)
    return instructor.from_openai(api, mode=mode)


def create(server, mode, **options):
    user = client(server, mode).chat.completions.create(
        model=server.model, response_model=User, max_retries=1, max_tokens=200,
        messages=[{"role": "user", "content": "Describe a user"}], **options)
    assert isinstance(user, User)
    if server.scripted:
        expect((user.name, user.age), ("Ada", 36))  # its class is a copy


@feature("tools")
def tools(server):
    create(server, instructor.Mode.TOOLS)


@feature("json_schema")
def schema(server):
    create(server, instructor.Mode.JSON_SCHEMA)


@feature("partial stream")
def partial(server):
    last = None
    for last in client(server, instructor.Mode.TOOLS).chat.completions.create_partial(
            model=server.model, response_model=User, max_tokens=200,
            messages=[{"role": "user", "content": "Describe a user"}]):
        pass
    assert last.name is not None and last.age is not None


run("instructor")
