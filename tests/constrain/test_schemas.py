"""JSON Schemas: what is generated is valid, what is valid is accepted, what is not is refused.

jsonschema is the judge of values; the texts come from walks through masks and from values changed in one place.
"""
import json
import random
import re

import jsonschema
import pytest

import constraints
import schemas
import walks

N_GENERATED = 300
LONG_NUMBER = re.compile(rb"[0-9.]{16}")  # a double does not tell these apart


def validator(schema):
    kind = jsonschema.validators.validator_for(schema if isinstance(schema, dict) else {},
                                               default=jsonschema.Draft202012Validator)
    return kind(schema, format_checker=kind.FORMAT_CHECKER)


def no_duplicates(pairs):
    assert len(dict(pairs)) == len(pairs), "a member is there twice"
    return dict(pairs)


def all_schemas():
    return schemas.BY_HAND + schemas.generated(N_GENERATED)


def test_outputs_are_valid(vocabulary):
    rng = random.Random(1)
    n_ended = 0
    for i, schema in enumerate(all_schemas()):
        grammar = vocabulary.grammar(constraints.SCHEMA, json.dumps(schema), compact=i % 2 == 1)
        judge = validator(schema)
        for _ in range(3):
            text = walks.walk(grammar, rng, limit=150)
            if text is None or LONG_NUMBER.search(text):
                continue
            n_ended += 1
            value = json.loads(text.decode(), object_pairs_hook=no_duplicates)
            errors = [error.message for error in judge.iter_errors(value)]
            assert not errors, (schema, text, errors)
    assert n_ended > 2.5 * len(all_schemas())


def test_values_are_judged_as_by_jsonschema(vocabulary):
    rng = random.Random(2)
    n_valid = n_invalid = 0
    for schema in all_schemas():
        grammar = vocabulary.grammar(constraints.SCHEMA, json.dumps(schema))
        judge = validator(schema)
        for _ in range(2):
            text = walks.walk(grammar, rng, limit=60)
            if text is None or LONG_NUMBER.search(text):
                continue
            for value in walks.mutations(json.loads(text), rng, 8):
                text = json.dumps(value, ensure_ascii=rng.random() < 0.5)
                if "e+" in text or "e-" in text or LONG_NUMBER.search(text.encode()):
                    continue
                accepted = grammar.matches(text)
                if judge.is_valid(value):
                    n_valid += 1
                    # formats are narrower than what jsonschema lets pass, and 7.0 is no way to write an integer
                    assert accepted or '"format"' in json.dumps(schema) or ".0" in text, (schema, text)
                else:
                    n_invalid += 1
                    assert not accepted, (schema, text)
    assert n_valid > 1000 and n_invalid > 1000


@pytest.mark.parametrize("schema, pointer", [
    ({"type": "array", "uniqueItems": True}, "/uniqueItems"),
    ({"properties": {"a": {"minLenght": 1}}}, "/properties/a/minLenght"),
    ({"properties": {"a/b~": {"unevaluatedProperties": False}}}, "/properties/a~1b~0/unevaluatedProperties"),
    ({"items": {"$ref": "other.json"}}, "/items/$ref"),
    ({"$ref": "#/$defs/none"}, "/$ref"),
    ({"type": "string", "format": "iri"}, "/format"),
    ({"type": "string", "pattern": "(a)\\1"}, "/pattern"),
    ({"type": "string", "pattern": "\\bword\\b"}, "/pattern"),
    ({"type": "strin"}, "/type"),
    ({"anyOf": []}, "/anyOf"),
    ({"type": "integer", "minimum": "3"}, "/minimum"),
    ({"not": {"type": "array", "minItems": 2}}, "/not"),
    ({"type": "number", "multipleOf": 123456789012}, "/multipleOf"),
    ({"$defs": {"a": {"$id": "http://x/y"}}, "$ref": "#/$defs/a"}, "/$defs/a/$id"),
    ({"oneOf": [{"type": "array", "minItems": 1}, {"type": "array", "maxItems": 3}]}, "/oneOf"),
])
def test_refusals_name_the_keyword(vocabulary, schema, pointer):
    with pytest.raises(constraints.Refused) as refused:
        vocabulary.grammar(constraints.SCHEMA, json.dumps(schema))
    assert f"schema: {pointer}:" in str(refused.value)
    assert refused.value.status in (constraints.FORMAT, constraints.UNSUPPORTED)


@pytest.mark.parametrize("schema", [
    False, {"not": {}}, {"type": "string", "minLength": 3, "maxLength": 2}, {"allOf": [{"type": "null"}, {"type": "string"}]},
    {"type": "object", "required": ["a"], "properties": {"a": False}}, {"type": "string", "pattern": "a^"},
    {"$ref": "#/$defs/a", "$defs": {"a": {"type": "array", "items": {"$ref": "#/$defs/a"}, "minItems": 1}}},
    {"type": "integer", "exclusiveMinimum": 3, "exclusiveMaximum": 4},
    {"type": "object", "minProperties": 2, "additionalProperties": False, "properties": {"a": {}}},
])
def test_what_nothing_satisfies_is_refused(vocabulary, schema):
    with pytest.raises(constraints.Refused, match="no text can have this form"):
        vocabulary.grammar(constraints.SCHEMA, json.dumps(schema))


@pytest.mark.parametrize("text", [
    '{"a": 1, "a": 2}', '{"é": 1, "\\u00e9": 2}', '{"x": {"b": 1, "b": 1}}', '{"a": 1, "b": 2, "c": 3, "b": 4}',
])
def test_members_are_there_once(vocabulary, text):
    grammar = vocabulary.grammar(constraints.SCHEMA, '{"type": "object"}')
    assert not grammar.matches(text)
    assert grammar.matches(text.replace('"b": 4', '"d": 4').replace('"a": 2', '"B": 2').replace('"\\u00e9"', '"e"')
                           .replace('"b": 1}}', '"c": 1}}'))


@pytest.mark.parametrize("text, accepted", [
    ('"\\ud83d\\ude00"', True), ('"\\ud83d"', False), ('"\\ude00\\ud83d"', False), ('"\\u000a"', True), ('"\n"', False),
    ('"\\n\\t\\\\\\"\\/"', True), ('"\\x"', False), ('"\\u00E9é"', True), ('"\\u0041"', False), ('"\x7f"', True),
    (b'"\xed\xa0\x80"', False), (b'"\xc0\xaf"', False), (b'"\xf4\x90\x80\x80"', False), (b'"\xe2\x82"', False),
])
def test_characters_of_strings(vocabulary, text, accepted):
    assert vocabulary.grammar(constraints.SCHEMA, '{"type": "string"}').matches(text) is accepted


def test_characters_are_counted_not_bytes(vocabulary):
    grammar = vocabulary.grammar(constraints.SCHEMA, '{"type": "string", "minLength": 2, "maxLength": 2}')
    for text in ('"ab"', '"éß"', '"😀\\ud83d\\ude00"', '"\\n\\u00e9"'):
        assert grammar.matches(text)
    for text in ('"a"', '"abc"', '"😀"', '"\\ud83d\\ude00"'):
        assert not grammar.matches(text)


@pytest.mark.parametrize("text, accepted", [
    ('{"a":1}', True), ('{"a": 1}', True), ('{\n  "a": 1\n}', True), ('{\n\t"a": 1\n}', True), ('{ "a":1 }', True),
    ('{  "a":1}', False), ('{"a" :1}', False), ('{"a":  1}', False), (' {"a":1}', False), ('{"a":1}\n', False),
    ('{\n\n"a":1}', False), ('{\n' + 41 * " " + '"a":1}', False), ('{"a":\n1}', False),
])
def test_whitespace_is_bounded(vocabulary, text, accepted):
    schema = '{"type": "object", "properties": {"a": {"type": "integer"}}, "additionalProperties": false}'
    assert vocabulary.grammar(constraints.SCHEMA, schema).matches(text) is accepted
    assert vocabulary.grammar(constraints.SCHEMA, schema, compact=True).matches(text) is (text == '{"a":1}')


def test_large_counts_and_recursion_stay_small(vocabulary):
    for schema in ({"type": "string", "maxLength": 1000000}, {"type": "array", "maxItems": 1000000, "items": {}},
                   {"type": "string", "pattern": "^[a-z]+$", "maxLength": 100000},
                   {"type": "string", "pattern": "^(a{1,500}b{1,500}){1,500}$"}):
        grammar = vocabulary.grammar(constraints.SCHEMA, json.dumps(schema))
        assert walks.walk(grammar, random.Random(3), limit=2000) is not None
    deep = vocabulary.grammar(constraints.SCHEMA, '{"type": "array", "items": {"$ref": "#"}}')
    assert deep.matches("[" * 5000 + "]" * 5000)
