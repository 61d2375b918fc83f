"""Answers of a certain form: JSON Schema, pydantic, patterns, grammars."""
import asyncio
import json
import re

import pydantic
import pytest

import upg

SCHEMA = {"type": "object", "properties": {"name": {"type": "string", "maxLength": 12}, "age": {"type": "integer", "minimum": 0, "maximum": 99},
                                           "colour": {"enum": ["red", "green"]}},
          "required": ["name", "age", "colour"], "additionalProperties": False}


class Animal(pydantic.BaseModel):
    name: str = pydantic.Field(max_length=12)
    legs: int = pydantic.Field(ge=0, le=8)


def test_json_of_a_schema_becomes_an_object(model):
    for seed in range(3):
        answer = model.chat("Describe a cat.", json_schema=SCHEMA, seed=seed, max_tokens=200)
        assert answer.finish_reason == "stop" and answer.parsed == json.loads(answer.text)
        assert set(answer.parsed) == {"name", "age", "colour"} and answer.parsed["colour"] in ("red", "green")


def test_a_pydantic_class_becomes_an_instance(model):
    answer = model.generate("A dog: ", json_schema=Animal, seed=1, max_tokens=200)
    assert isinstance(answer.parsed, Animal) and 0 <= answer.parsed.legs <= 8
    first, second = asyncio.run(twice(model))
    assert isinstance(first.parsed, Animal) and first.text == second.text


async def twice(model):
    return await asyncio.gather(model.agenerate("A dog: ", json_schema=Animal, seed=1, max_tokens=200),
                                model.agenerate("A dog: ", json_schema=Animal, seed=1, max_tokens=200))


def test_patterns_and_grammars(model):
    answer = model.generate("Call me at ", regex=r"\d{3}-\d{4}", seed=1)
    assert re.fullmatch(r"\d{3}-\d{4}", answer.text) and answer.parsed is None
    answer = model.generate("Is it so? ", grammar='root ::= "yes" | "no" | "may" "be"+', seed=1, max_tokens=20)
    assert re.fullmatch("yes|no|may(be)*b?", answer.text)


def test_a_session_and_a_batch_keep_a_form(model):
    answer = model.session().generate("A cat: ", json_schema=Animal, seed=2, max_tokens=200)
    assert isinstance(answer.parsed, Animal)
    answers = model.batch(["A cat: ", "A dog: "], regex="(meow|woof)", greedy=True)
    assert {answer.text for answer in answers} <= {"meow", "woof"}


def test_an_answer_that_was_cut_short_has_no_object(model):
    answer = model.generate("A cat: ", json_schema=SCHEMA, max_tokens=2)
    assert answer.finish_reason == "length" and answer.parsed is None


@pytest.mark.parametrize("form, error", [
    ({"json_schema": "{"}, upg.FormatError), ({"json_schema": {"type": "thing"}}, upg.Error),
    ({"json_schema": 5}, TypeError), ({"regex": "("}, upg.Error), ({"regex": 5}, TypeError),
    ({"grammar": "root ::= nothing"}, upg.Error), ({"regex": "a", "grammar": "b"}, upg.ArgumentError)])
def test_forms_that_are_none(model, form, error):
    for source in (model, model.session()):
        with pytest.raises(error):
            source.generate("a", **form)
