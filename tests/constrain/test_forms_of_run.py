"""upg run with a form, on the model inside the program."""
import json
import re

import jsonschema
import pytest

SCHEMA = {"type": "object",
          "properties": {"name": {"type": "string", "maxLength": 20}, "age": {"type": "integer", "minimum": 0, "maximum": 120},
                         "tags": {"type": "array", "items": {"enum": ["a", "b"]}, "maxItems": 3}},
          "required": ["name", "age", "tags"], "additionalProperties": False}


@pytest.mark.parametrize("seed", range(4))
def test_json_schema(upg, tmp_path, seed):
    file = tmp_path / "schema.json"
    file.write_text(json.dumps(SCHEMA))
    run = upg("run", "-p", "A person: ", "--json-schema", file, "--seed", seed, "--temperature", 1.5, "--json")
    assert run.returncode == 0, run.stderr
    answer = json.loads(run.stdout)
    assert answer["finish_reason"] == "stop"
    jsonschema.validate(json.loads(answer["text"]), SCHEMA)


def test_regex(upg):
    run = upg("run", "-p", "The time is ", "--regex", "([01][0-9]|2[0-3]):[0-5][0-9]", "--greedy", "-q")
    assert run.returncode == 0, run.stderr
    assert re.fullmatch("([01][0-9]|2[0-3]):[0-5][0-9]", run.stdout)


def test_grammar(upg, tmp_path):
    file = tmp_path / "list.gbnf"
    file.write_text('root ::= "[" item ("," item){0,3} "]"\nitem ::= [0-9]{1,2} | root\n')
    run = upg("run", "-p", "Numbers: ", "--grammar", file, "-n", 100, "--seed", 1, "--json")
    assert run.returncode == 0, run.stderr
    answer = json.loads(run.stdout)
    assert answer["finish_reason"] == "stop"
    assert re.fullmatch(r"\[[\[\]0-9,]+\]", answer["text"])


@pytest.mark.parametrize("n_tokens", [40, 50, 70])
def test_answers_end_in_time(upg, tmp_path, n_tokens):
    """Without a limit of its own the text would be filled up with words."""
    schema = {"type": "array", "items": {"type": "object", "required": ["a"], "properties": {"a": {"type": "string"}}}}
    file = tmp_path / "schema.json"
    file.write_text(json.dumps(schema))
    run = upg("run", "-p", "Words: ", "--json-schema", file, "-n", n_tokens, "--seed", 3, "--temperature", 1.5,
              "--json")
    assert run.returncode == 0, run.stderr
    answer = json.loads(run.stdout)
    assert answer["finish_reason"] == "stop"
    jsonschema.validate(json.loads(answer["text"]), schema)


def test_too_few_tokens_give_a_beginning(upg, tmp_path):
    file = tmp_path / "schema.json"
    file.write_text(json.dumps(SCHEMA))
    run = upg("run", "-p", "A person: ", "--json-schema", file, "-n", 3, "--seed", 1, "--json")
    answer = json.loads(run.stdout)
    assert answer["finish_reason"] == "length" and answer["text"].startswith("{")


@pytest.mark.parametrize("arguments, status, message", [
    (["--regex", "("], 3, "regular expression: at byte 1"),
    (["--regex", "a", "--grammar", "x"], 2, "exclude each other"),
    (["--json-schema", "absent.json"], 1, "absent.json: cannot open"),
    (["--json-schema", "SCHEMA"], 3, "schema: /properties/a/uniqueItems"),
])
def test_refusals(upg, tmp_path, arguments, status, message):
    file = tmp_path / "schema.json"
    file.write_text('{"properties": {"a": {"type": "array", "uniqueItems": true}}}')
    run = upg("run", "-p", "x", *[file if a == "SCHEMA" else a for a in arguments], cwd=tmp_path)
    assert run.returncode == status, run.stderr
    assert message in run.stderr and run.stdout == ""
