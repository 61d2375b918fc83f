"""JSON, schemas and function calls: what comes out follows the form, or the request is refused."""
import json

import pydantic
import pytest

CHAT = "/v1/chat/completions"
ASK = [{"role": "user", "content": "What is the weather in Paris?"}]
WEATHER = {"type": "object", "properties": {"city": {"type": "string", "enum": ["Paris", "Rome"]},
                                            "days": {"type": "integer", "minimum": 1, "maximum": 9}},
           "required": ["city", "days"], "additionalProperties": False}
TOOL = {"type": "function", "function": {"name": "get_weather", "description": "The weather.", "parameters": WEATHER}}
OTHER = {"type": "function", "function": {"name": "get_time"}}


class Weather(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", strict=True)
    city: str
    days: int = pydantic.Field(ge=1, le=9)


def schema_format(schema, **options):
    return {"type": "json_schema", "json_schema": {"name": "weather", "schema": schema, **options}}


def ask(client, **options):
    return client.chat.completions.create(**{"model": "default", "messages": ASK, "max_tokens": 200, "seed": 1, **options})


@pytest.mark.parametrize("seed", range(8))
def test_schema_is_followed(client, seed):
    choice = ask(client, response_format=schema_format(WEATHER, strict=True), seed=seed).choices[0]
    assert choice.finish_reason == "stop"
    weather = Weather.model_validate_json(choice.message.content)
    assert weather.city in ("Paris", "Rome")


def test_streams_and_choices_follow_the_schema(client):
    chunks = ask(client, response_format=schema_format(WEATHER), n=3, stream=True)
    texts = ["", "", ""]
    for chunk in chunks:
        for choice in chunk.choices:
            texts[choice.index] += choice.delta.content or ""
    for text in texts:
        Weather.model_validate_json(text)


def test_official_client_parses_into_a_class(client):
    class City(pydantic.BaseModel):
        city: str = pydantic.Field(max_length=8)

    reply = client.chat.completions.parse(model="default", messages=ASK, max_tokens=100, response_format=City)
    assert isinstance(reply.choices[0].message.parsed, City)


def test_json_mode_is_an_object(client):
    for seed in range(3):
        choice = ask(client, response_format={"type": "json_object"}, seed=seed, max_tokens=100).choices[0]
        assert choice.finish_reason == "stop"
        assert isinstance(json.loads(choice.message.content), dict)


@pytest.mark.parametrize("max_tokens", [40, 47, 61])
def test_answer_is_closed_before_its_tokens_run_out(client, max_tokens):
    """The schemas have no end of their own: without the limit the small model would go on and on."""
    class Notes(pydantic.BaseModel):
        model_config = pydantic.ConfigDict(extra="forbid")
        title: str
        notes: list[str]

    for seed in range(3):
        reply = client.chat.completions.parse(model="default", messages=ASK, max_tokens=max_tokens, seed=seed,
                                              response_format=Notes, temperature=1.5)
        assert reply.choices[0].finish_reason == "stop"
        assert isinstance(reply.choices[0].message.parsed, Notes)
        assert reply.usage.completion_tokens <= max_tokens
    choice = ask(client, response_format={"type": "json_object"}, max_tokens=max_tokens, temperature=1.5).choices[0]
    assert choice.finish_reason == "stop" and isinstance(json.loads(choice.message.content), dict)


def test_too_few_tokens_are_told(client):
    choice = ask(client, response_format=schema_format(WEATHER), max_tokens=3).choices[0]
    assert choice.finish_reason == "length" and choice.message.content.startswith("{")


@pytest.mark.parametrize("tool_choice", ["required", "auto"])
def test_calls_are_closed_before_their_tokens_run_out(client, tool_choice):
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
    for seed in range(3):
        choice = ask(client, tools=[tool], tool_choice=tool_choice, max_tokens=50, seed=seed,
                     temperature=1.5).choices[0]
        for call in choice.message.tool_calls or []:
            assert isinstance(json.loads(call.function.arguments), dict)
        assert choice.finish_reason == "tool_calls" or tool_choice == "auto"


def test_completions_and_responses_take_schemas(client, server):
    reply = client.completions.create(model="default", prompt="x", max_tokens=100,
                                      extra_body={"response_format": schema_format(WEATHER)})
    Weather.model_validate_json(reply.choices[0].text)
    reply = client.responses.create(model="default", input="x", max_output_tokens=100,
                                    text={"format": {"type": "json_schema", "name": "w", "schema": WEATHER}})
    Weather.model_validate_json(reply.output_text)
    assert reply.text.format.type == "json_schema"


@pytest.mark.parametrize("schema,word", [
    ({"type": "strin"}, "type"), ({"type": "object", "properties": {"a": {"pattern": "(a)\\1", "type": "string"}}}, "pattern"),
    ({"$ref": "#/nowhere"}, "$ref"), ({"type": "string", "minLength": -1}, "minLength"), ({"type": "array", "uniqueItems": True}, "uniqueItems"),
], ids=str)
def test_schema_that_cannot_be_honoured_is_refused_by_keyword(server, schema, word):
    error = server.refusal(CHAT, {"messages": ASK, "response_format": schema_format(schema)})
    assert error["param"] == "response_format"
    assert error["code"] == "invalid_json_schema"
    assert word in error["message"]
    tool = {"type": "function", "function": {"name": "f", "parameters": schema}}
    assert server.refusal(CHAT, {"messages": ASK, "tools": [tool]})["param"] == "tools"


@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "get_weather"}}])
def test_required_call(client, choice):
    reply = ask(client, tools=[TOOL], tool_choice=choice, parallel_tool_calls=False).choices[0]
    assert reply.finish_reason == "tool_calls"
    assert reply.message.content is None
    call, = reply.message.tool_calls
    assert (call.type, call.function.name) == ("function", "get_weather")
    assert call.id.startswith("call_")
    Weather.model_validate_json(call.function.arguments)


def test_streamed_calls_are_the_same(client):
    options = {"tools": [TOOL], "tool_choice": "required", "parallel_tool_calls": False, "temperature": 0}
    whole = ask(client, **options).choices[0].message.tool_calls[0].function
    parts = [c.choices[0] for c in ask(client, stream=True, **options)]
    calls = [call for part in parts for call in part.delta.tool_calls or []]
    assert calls[0].id and calls[0].function.name == whole.name
    assert all(call.index == 0 for call in calls)
    assert "".join(call.function.arguments for call in calls) == whole.arguments
    assert len(calls) > 1
    assert parts[-1].finish_reason == "tool_calls"


def test_several_calls(client):
    for seed in range(3):
        calls = ask(client, tools=[TOOL, OTHER], tool_choice="required", seed=seed, max_tokens=400).choices[0].message
        for call in calls.tool_calls:
            assert call.function.name in ("get_weather", "get_time")


def test_tools_that_are_not_called_leave_the_text_alone(client):
    plain = ask(client, temperature=0).choices[0].message.content
    assert ask(client, temperature=0, tools=[TOOL], tool_choice="none").choices[0].message.content == plain
    auto = ask(client, temperature=0, tools=[TOOL], max_tokens=20).choices[0]
    assert auto.message.content or auto.message.tool_calls


def test_references_in_parameters_lead_where_they_did(client):
    parameters = {"$defs": {"city": {"type": "string", "enum": ["Oslo"]}}, "type": "object", "required": ["where"],
                  "properties": {"where": {"$ref": "#/$defs/city"}}, "additionalProperties": False}
    reply = ask(client, tools=[{"type": "function", "function": {"name": "go", "parameters": parameters}}],
                tool_choice="required", parallel_tool_calls=False)
    assert json.loads(reply.choices[0].message.tool_calls[0].function.arguments) == {"where": "Oslo"}


def test_a_result_goes_back(client):
    call = ask(client, tools=[TOOL], tool_choice="required", parallel_tool_calls=False).choices[0].message
    reply = ask(client, tools=[TOOL], max_tokens=20, messages=ASK + [
        call.model_dump(exclude_none=True), {"role": "tool", "tool_call_id": call.tool_calls[0].id, "content": "Rain."}])
    assert reply.usage.prompt_tokens > 30


def test_format_and_tools_exclude_each_other(server):
    assert server.refusal(CHAT, {"messages": ASK, "tools": [TOOL], "response_format": {"type": "json_object"}})


def test_calls_in_responses(client):
    tool = {"type": "function", "name": "get_weather", "parameters": WEATHER, "strict": True}
    options = {"model": "default", "input": "Weather?", "tools": [tool], "tool_choice": "required", "temperature": 0,
               "parallel_tool_calls": False, "max_output_tokens": 100}
    call, = client.responses.create(**options).output
    assert (call.type, call.name, call.status) == ("function_call", "get_weather", "completed")
    Weather.model_validate_json(call.arguments)
    events = list(client.responses.create(stream=True, **options))
    deltas = [e.delta for e in events if e.type == "response.function_call_arguments.delta"]
    assert "".join(deltas) == call.arguments
    assert events[-1].type == "response.completed"
    assert events[-1].response.output[0].arguments == call.arguments
    again = client.responses.create(model="default", max_output_tokens=10, input=[
        {"role": "user", "content": "Weather?"}, call.model_dump(),
        {"type": "function_call_output", "call_id": call.call_id, "output": "Rain."}])
    assert again.output_text
