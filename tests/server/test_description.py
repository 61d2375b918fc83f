"""Every field of every request against the description that the server itself gives: what it excludes is refused, and
nothing is answered by anything but success or a refusal."""
import http.client
import json

import jsonschema
import pytest

VALUES = [None, True, False, 0, 1, -1, 0.5, 1e308, -1e308, 2**53, 2**63, -2**63 - 1, 10**25, "", "x", "\u0000",
          "\U0001f600", "x" * 2000, [], [1], [-1], [[]], ["a"], [""], [None], [{}], [{"role": "user", "content": 1}], {},
          {"type": "x"}, {"type": "text"}, {"type": "json_schema"}, {"1": 101}, {"a": {"b": [{}]}}]
BODIES = {
    "/v1/chat/completions": {"messages": [{"role": "user", "content": "a"}], "max_tokens": 1},
    "/v1/completions": {"prompt": "a", "max_tokens": 1},
    "/v1/responses": {"input": "a", "max_output_tokens": 1},
    "/v1/embeddings": {"input": "a"},
    "/tokenize": {"content": "a"},
    "/detokenize": {"tokens": [1]},
}


def values_for(schema):
    """All, and what is just within and just outside the limits."""
    limits = [(schema["minimum"], -1)] if "minimum" in schema else []
    limits += [(schema["maximum"], 1)] if "maximum" in schema else []
    return VALUES + [value for limit, step in limits for value in (limit, limit + step)]


@pytest.mark.parametrize("path", BODIES)
def test_values_that_the_description_excludes_are_refused(server, path):
    document = json.loads(server.get("/openapi.json")[2])
    properties = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]["properties"]
    connection = http.client.HTTPConnection(server.host, server.port, timeout=60)
    n_refused = n_excluded = 0
    for name, schema in properties.items():
        is_valid = jsonschema.Draft202012Validator(schema).is_valid
        for value in values_for(schema):
            body = {**BODIES[path], name: value}
            if name in ("max_tokens", "max_completion_tokens", "max_output_tokens") and is_valid(value) and value != 1:
                continue  # long answers say nothing about fields
            connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
            reply = connection.getresponse()
            text = reply.read()
            assert reply.status in (200, 400) or (name == "model" and reply.status == 404), (body, reply.status, text)
            n_refused += reply.status == 400
            if not is_valid(value):
                n_excluded += 1
                assert reply.status == 400, (name, value, text)
                assert json.loads(text)["error"]["message"], body
    assert n_refused >= n_excluded > len(properties)
    connection.close()
