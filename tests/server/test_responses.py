"""/v1/responses through the official client, and a second client over chat completions."""
import langchain_openai
from langchain_core.messages import HumanMessage

OPTIONS = {"model": "default", "input": "Tell me a story about a dog.", "temperature": 0, "max_output_tokens": 16}


def test_answer_is_that_of_chat_completions(client):
    reply = client.responses.create(instructions="You tell stories.", **OPTIONS)
    chat = client.chat.completions.create(model="default", temperature=0, max_tokens=16, messages=[
        {"role": "system", "content": "You tell stories."}, {"role": "user", "content": OPTIONS["input"]}])
    assert reply.output_text == chat.choices[0].message.content
    assert reply.usage.input_tokens == chat.usage.prompt_tokens
    assert reply.usage.output_tokens == 16
    assert (reply.status, reply.incomplete_details.reason) == ("incomplete", "max_output_tokens")
    assert reply.id.startswith("resp_")
    message, = reply.output
    assert (message.type, message.role, message.content[0].type) == ("message", "assistant", "output_text")


def test_events_come_in_order(client):
    events = list(client.responses.create(stream=True, **OPTIONS))
    kinds = [event.type for event in events]
    deltas = [event for event in events if event.type == "response.output_text.delta"]
    assert kinds[:4] == ["response.created", "response.in_progress", "response.output_item.added",
                         "response.content_part.added"]
    assert kinds[4:4 + len(deltas)] == ["response.output_text.delta"] * len(deltas)
    assert kinds[-4:] == ["response.output_text.done", "response.content_part.done", "response.output_item.done",
                          "response.incomplete"]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    text = "".join(event.delta for event in deltas)
    assert text == client.responses.create(**OPTIONS).output_text
    assert events[-1].response.output_text == text
    assert {event.item_id for event in deltas} == {events[-1].response.output[0].id}


def test_accumulating_stream_of_the_client(client):
    with client.responses.stream(**{**OPTIONS, "input": "Hello", "max_output_tokens": 100}) as stream:
        for _ in stream:
            pass
        final = stream.get_final_response()
    assert final.status == "completed"
    assert final.output_text


def test_conversation_as_items(client):
    reply = client.responses.create(**{**OPTIONS, "input": [
        {"role": "developer", "content": "You tell stories."},
        {"role": "user", "content": [{"type": "input_text", "text": "Hello"}]},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Hi!", "annotations": []}]},
        {"role": "user", "content": "Tell me a story about a dog."}]})
    assert reply.output_text


def test_what_needs_a_store_is_refused(server):
    for field, value in (("previous_response_id", "resp_1"), ("background", True), ("truncation", "auto"),
                         ("conversation", "c"), ("include", ["file_search_call.results"]),
                         ("tools", [{"type": "web_search"}])):
        error = server.refusal("/v1/responses", {"input": "x", field: value})
        assert error["param"].split("[")[0] == field


def test_langchain(server):
    chat = langchain_openai.ChatOpenAI(model="default", base_url=server.url + "/v1", api_key="none", temperature=0,
                                       max_completion_tokens=16, stream_usage=True)
    reply = chat.invoke([HumanMessage("Hello")])
    assert reply.content
    parts = list(chat.stream([HumanMessage("Hello")]))
    assert "".join(part.content for part in parts) == reply.content
    assert sum(part.usage_metadata["output_tokens"] for part in parts if part.usage_metadata) == (
        reply.usage_metadata["output_tokens"])
    tool = {"type": "function", "function": {"name": "go", "parameters": {
        "type": "object", "properties": {"x": {"enum": [1, 2]}}, "required": ["x"], "additionalProperties": False}}}
    call, = chat.bind_tools([tool], tool_choice="go").bind(max_completion_tokens=100).invoke("Go!").tool_calls
    assert call["name"] == "go" and call["args"]["x"] in (1, 2)
    vectors = langchain_openai.OpenAIEmbeddings(model="default", base_url=server.url + "/v1", api_key="none",
                                                check_embedding_ctx_length=False).embed_documents(["a", "b"])
    assert len(vectors) == 2
