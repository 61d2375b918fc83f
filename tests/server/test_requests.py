"""What is refused, and how: status, type and the name of the field."""
import json

import pytest

MESSAGES = [{"role": "user", "content": "Hello"}]
CHAT, TEXT = "/v1/chat/completions", "/v1/completions"

OUT_OF_RANGE = [
    ("temperature", -0.1), ("temperature", 2.1), ("temperature", "hot"), ("temperature", [1]),
    ("top_p", -1), ("top_p", 1.1), ("top_k", -1), ("top_k", 1.5), ("min_p", 2), ("repetition_penalty", 0),
    ("presence_penalty", 3), ("frequency_penalty", -2.5), ("n", 0), ("n", 17), ("n", "1"), ("n", True),
    ("max_tokens", 0), ("max_tokens", -5), ("max_tokens", 1e300), ("max_completion_tokens", 0),
    ("seed", 1.5), ("seed", "x"), ("stop", ""), ("stop", ["x"] * 17), ("stop", 5), ("stop", "x" * 2000),
    ("logit_bias", {"x": 1}), ("logit_bias", {"5": 101}), ("logit_bias", {"5": "1"}), ("logit_bias", []),
    ("logprobs", 3), ("top_logprobs", 21), ("top_logprobs", 2), ("stream", "yes"), ("stream_options", {"x": True}),
    ("stream_options", {"include_usage": True}), ("user", 5), ("user", "x" * 600), ("model", 7),
    ("response_format", {"type": "xml"}), ("response_format", {"type": "json_schema"}), ("response_format", "json"),
    ("tools", [{"type": "retrieval"}]), ("tools", [{"type": "function", "function": {"name": "a b"}}]),
    ("tool_choice", "required"), ("tool_choice", {"type": "function", "function": {"name": "f"}}),
    ("parallel_tool_calls", 1), ("functions", [{"name": "f"}]), ("audio", {"voice": "x"}), ("modalities", ["audio"]),
    ("temperatur", 1), ("__proto__", 1),
]


@pytest.mark.parametrize("field,value", OUT_OF_RANGE, ids=str)
def test_field_out_of_range_is_named(server, field, value):
    error = server.refusal(CHAT, {"messages": MESSAGES, "max_tokens": 1, field: value})
    assert error["param"].split("[")[0] == field
    assert error["message"]


@pytest.mark.parametrize("messages,param", [
    ([], "messages"), ("Hello", "messages"), (["Hello"], "messages[0]"), ([{}], "messages[0].role"),
    ([{"role": "robot", "content": "x"}], "messages[0].role"), ([{"role": 5, "content": "x"}], "messages[0].role"),
    ([{"role": "user"}], "messages[0].content"), ([{"role": "user", "content": None}], "messages[0].content"),
    ([{"role": "user", "content": 5}], "messages[0].content"),
    (MESSAGES + [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}],
     "messages[1].content"),
    ([{"role": "assistant", "tool_calls": [{"function": {"name": "f"}}]}], "messages[0].tool_calls"),
    (MESSAGES * 5000, None),
], ids=lambda value: str(value)[:40])
def test_bad_message_is_named(server, messages, param):
    assert server.refusal(CHAT, {"messages": messages})["param"] == param


@pytest.mark.parametrize("body", [
    b"", b"{", b"[]", b"null", b'"x"', b"{\"messages\": 1e999}", b'{"n": 123456789012345678901234567890}',
    b'{"messages": [{"role": "user", "content": "\xff\xfe"}]}',
    b'{"messages": [{"role": "user", "content": "\xed\xa0\x80"}]}',
    b'{"messages": [{"role": "user", "content": "\\ud800"}]}',
    b'{"messages": [{"role": "user", "content": "a\\u0000b"}]}',
    b'{"n": 1, "n": 2}', b"[" * 100000, b'{"a":' * 50000, b'{"messages": ' + b"[" * 200 + b"]" * 200 + b"}",
    b"\x00" * 100, "{\"messages\": \"\u2028\"}".encode("utf-16"),
], ids=lambda body: repr(body[:24]))
def test_body_that_is_no_good_json_is_refused(server, body):
    status, _, text = server.request("POST", CHAT, body)
    assert status == 400
    assert json.loads(text)["error"]["type"] == "invalid_request_error"


def test_missing_fields_are_named(server):
    assert server.refusal(CHAT, {})["code"] == "missing_required_parameter"
    assert server.refusal(CHAT, {"messages": None})["param"] == "messages"
    assert server.refusal(TEXT, {})["param"] == "prompt"
    assert server.refusal("/v1/embeddings", {})["param"] == "input"
    assert server.refusal("/v1/responses", {})["param"] == "input"
    assert server.refusal("/detokenize", {})["param"] == "tokens"
    assert server.refusal("/tokenize", {})["param"] == "content"


@pytest.mark.parametrize("prompt", [[], [[]], ["x", 5], [5, "x"], [-1], [1.5], 7, {"a": 1}, "", ["x"] * 65, [10**8],
                                    [[1], "x", {}]], ids=str)
def test_bad_prompt_is_refused(server, prompt):
    error = server.refusal(TEXT, {"prompt": prompt, "max_tokens": 1})
    assert error["param"] is None or error["param"].startswith("prompt")


@pytest.mark.parametrize("fields,param", [
    ({"best_of": 2}, "best_of"), ({"echo": True, "logprobs": 1}, "echo"), ({"logprobs": 21}, "logprobs"),
    ({"suffix": "x"}, "suffix"), ({"n": 16, "prompt": ["x"] * 5}, "n"), ({"messages": MESSAGES}, "messages"),
])
def test_contradictions_are_named(server, fields, param):
    assert server.refusal(TEXT, {"prompt": "x", "max_tokens": 1, **fields})["param"] == param


def test_null_is_the_same_as_absent(server):
    fields = ["temperature", "top_p", "n", "stop", "seed", "logit_bias", "logprobs", "stream", "stream_options",
              "max_tokens", "max_completion_tokens", "user", "response_format", "tools", "tool_choice", "audio"]
    status, document = server.post(CHAT, {"messages": MESSAGES, **dict.fromkeys(fields)})
    assert status == 200, document


def test_what_only_a_hosted_service_needs_is_accepted(server):
    status, _ = server.post(CHAT, {"messages": MESSAGES, "max_tokens": 1, "store": True, "metadata": {"a": "b"},
                                   "service_tier": "auto", "safety_identifier": "me", "user": "me", "modalities": ["text"]})
    assert status == 200
