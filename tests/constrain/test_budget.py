"""Texts that must end within a number of tokens: whatever is drawn, they are complete and valid."""
import json
import random
import re

import jsonschema
import pytest

import constraints
import schemas

MORE = (0, 1, 2, 5, 12, 40)  # tokens beyond what the shortest text takes
LONG_NUMBER = re.compile(rb"[0-9.]{16}")  # a double does not tell these apart


def validator(schema):
    kind = jsonschema.validators.validator_for(schema if isinstance(schema, dict) else {},
                                               default=jsonschema.Draft202012Validator)
    return kind(schema, format_checker=kind.FORMAT_CHECKER)


def draw(grammar, rng, n_tokens):
    """A text drawn at random, longer tokens and openers preferred; None if it was cut at n_tokens."""
    tokens, stops = grammar.vocabulary.tokens, grammar.vocabulary.stop_ids
    constraint, text = grammar.start(), b""
    for n_left in range(n_tokens, 0, -1):
        if constraint.at_end() == 2:
            return text
        allowed = constraint.allowed(n_left)
        assert allowed, (text, n_left)
        token = rng.choice(allowed)
        for _ in range(2):
            other = rng.choice(allowed)
            if len(tokens[other]) > len(tokens[token]) or tokens[other] in (b"{", b"[", b",", b'"'):
                token = other
        if token in stops:
            return text
        constraint.accept(token)
        text += tokens[token]
    return text if constraint.at_end() else None


@pytest.mark.parametrize("name", ["vocabulary", "longer_vocabulary"])
def test_any_budget_from_the_least_on_is_enough(request, name):
    vocabulary = request.getfixturevalue(name)
    rng = random.Random(8)
    for i, schema in enumerate(schemas.BY_HAND + schemas.generated(300)):
        grammar = vocabulary.grammar(constraints.SCHEMA, json.dumps(schema), compact=i % 3 == 0)
        least = grammar.start().n_needed()
        assert least is not None, schema
        judge = validator(schema)
        for more in MORE:
            text = draw(grammar, rng, least + more)
            assert text is not None, (schema, least, more)
            if LONG_NUMBER.search(text):
                continue
            errors = [error.message for error in judge.iter_errors(json.loads(text))]
            assert not errors, (schema, text, errors)
