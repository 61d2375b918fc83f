"""Schemas for the tests: a list made by hand, and a generator with a seed.

All of them stay within what docs/constrained-output.md promises, so none may be refused.
"""
import random

BY_HAND = [
    True,
    {},
    {"type": "null"},
    {"type": "boolean"},
    {"type": "integer"},
    {"type": "number"},
    {"type": "string"},
    {"type": ["integer", "null"]},
    {"const": "a \"quoted\"\\ text\n"},
    {"const": {"a": [1, {"b": None}], "c": "d"}},
    {"enum": ["red", "green", 3, None, True, [1, 2], {"x": 1}]},
    {"enum": [1, 1.5, -2e30, 0.001]},
    {"minimum": -3.25, "exclusiveMaximum": 17, "type": "number"},
    {"type": "integer", "minimum": -1234, "maximum": 98765},
    {"type": "integer", "exclusiveMinimum": 0, "multipleOf": 7},
    {"type": "number", "multipleOf": 0.5, "minimum": 0},
    {"type": "integer", "multipleOf": 3, "not": {"multipleOf": 2}},
    {"type": "number", "not": {"enum": [0, 1, 2.5]}},
    {"type": "string", "minLength": 2, "maxLength": 5},
    {"type": "string", "maxLength": 5000},
    {"type": "string", "pattern": "^[a-z]{2,4}-[0-9]+$"},
    {"type": "string", "pattern": "b+c"},
    {"type": "string", "pattern": "^(?=.*[A-Z])(?=.*[0-9])[A-Za-z0-9]{6,12}$"},
    {"type": "string", "pattern": "^(?!admin$)[a-z]{1,8}$"},
    {"type": "string", "pattern": "a|b$", "minLength": 3, "maxLength": 9},
    {"type": "string", "not": {"enum": ["x", "y"]}, "maxLength": 2},
    {"type": "string", "format": "date"},
    {"type": "string", "format": "date-time"},
    {"type": "string", "format": "time"},
    {"type": "string", "format": "uuid"},
    {"type": "string", "format": "ipv4"},
    {"type": "string", "format": "ipv6"},
    {"type": "string", "format": "email", "maxLength": 60},
    {"type": "string", "format": "hostname"},
    {"type": "string", "format": "duration"},
    {"type": "string", "format": "uri", "maxLength": 80},
    {"type": "array", "items": {"type": "boolean"}, "minItems": 2, "maxItems": 4},
    {"type": "array", "prefixItems": [{"type": "integer"}, {"type": "string", "maxLength": 3}], "items": False},
    {"type": "array", "prefixItems": [{"type": "integer"}], "items": {"type": "null"}, "maxItems": 3},
    {"type": "array", "items": {"type": "integer", "minimum": 0, "maximum": 9}, "contains": {"const": 5},
     "maxItems": 5},
    {"type": "array", "items": {"enum": [1, 2, 3]}, "contains": {"const": 2}, "minContains": 2, "maxContains": 3,
     "maxItems": 6},
    {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "string"}}, "required": ["b"],
     "additionalProperties": False},
    {"type": "object", "properties": {"a": {}, "b": {}, "c": {}}, "minProperties": 2, "maxProperties": 2,
     "additionalProperties": False},
    {"type": "object", "additionalProperties": {"type": "integer"}, "minProperties": 1, "maxProperties": 3},
    {"type": "object", "patternProperties": {"^n_": {"type": "number"}, "^s_": {"type": "string"}},
     "additionalProperties": False},
    {"type": "object", "patternProperties": {"a": {"minimum": 5}, "b$": {"type": "integer"}}, "maxProperties": 3},
    {"type": "object", "propertyNames": {"pattern": "^[a-z]{1,3}$"}, "additionalProperties": {"type": "null"}},
    {"type": "object", "required": ["x", "y"], "additionalProperties": {"type": "boolean"}, "maxProperties": 3},
    {"type": "object", "properties": {"na\"me": {"type": "null"}, "größe": {"type": "null"}, "t\tb": {"type": "null"}},
     "required": ["na\"me", "größe", "t\tb"], "additionalProperties": False},
    {"anyOf": [{"type": "string", "maxLength": 4}, {"type": "integer"}]},
    {"type": "object", "properties": {"a": {"type": "integer"}}, "anyOf": [{"required": ["a"]}, {"required": ["b"]}],
     "additionalProperties": False, "patternProperties": {"^b$": {"type": "null"}}},
    {"oneOf": [{"type": "integer"}, {"type": "number", "minimum": 2}]},
    {"oneOf": [{"type": "string", "maxLength": 3}, {"type": "string", "pattern": "^[ab]*$", "maxLength": 6}]},
    {"oneOf": [{"type": "object", "properties": {"kind": {"const": "a"}, "n": {"type": "integer"}},
                "required": ["kind", "n"], "additionalProperties": False},
               {"type": "object", "properties": {"kind": {"const": "b"}, "s": {"type": "string"}},
                "required": ["kind"], "additionalProperties": False}]},
    {"allOf": [{"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]},
               {"properties": {"a": {"minimum": 3}, "b": {"type": "null"}}, "maxProperties": 2}]},
    {"type": "object", "properties": {"k": {"enum": [1, 2]}, "v": {"type": "string"}, "w": {"type": "null"}},
     "required": ["k"], "additionalProperties": False,
     "if": {"properties": {"k": {"const": 1}}}, "then": {"required": ["v"]}, "else": {"required": ["w"]}},
    {"type": "object", "properties": {"a": {"type": "null"}, "b": {"type": "null"}, "c": {"type": "null"}},
     "dependentRequired": {"a": ["b"]}, "additionalProperties": False},
    {"not": {"type": ["object", "array", "string"]}},
    {"$ref": "#/$defs/list", "$defs": {"list": {
        "type": "object", "properties": {"value": {"type": "integer"},
                                         "next": {"anyOf": [{"$ref": "#/$defs/list"}, {"type": "null"}]}},
        "required": ["value", "next"], "additionalProperties": False}}},
    {"$ref": "#tree", "$defs": {"t": {"$anchor": "tree", "type": "array", "items": {"$ref": "#/$defs/t"},
                                      "maxItems": 3}}},
    {"$schema": "http://json-schema.org/draft-07/schema#", "type": "array",
     "items": [{"type": "integer"}, {"type": "null"}], "additionalItems": False, "minItems": 1},
    {"$schema": "http://json-schema.org/draft-07/schema#", "type": "object",
     "properties": {"a": {"type": "null"}, "b": {"type": "null"}}, "dependencies": {"a": ["b"]},
     "additionalProperties": False},
]


class Generator:
    """Random schemas of bounded depth."""

    NAMES = ["a", "b", "id", "name", "größe", "x y", "a/b", "n_1", "tags", "q\"q"]
    PATTERNS = ["^[a-z]+$", "^[A-Z][a-z]{0,3}$", "[0-9]", "^x", "y$", "^(foo|bar)[0-9]{1,2}$", "^\\w{2}\\.\\w$",
                "^[^a-z]{1,4}$", "^$|^[0-9]{3}$", "é|ü"]
    FORMATS = ["date", "time", "date-time", "uuid", "ipv4", "ipv6", "duration"]

    def __init__(self, seed):
        self.random = random.Random(seed)

    def maybe(self, p):
        return self.random.random() < p

    def schema(self, depth=3):
        kinds = [self.integer, self.number, self.string, self.literal, self.simple]
        if depth > 0:
            kinds += [self.array, self.object, self.object, self.choice]
        return self.random.choice(kinds)(depth)

    def simple(self, _depth):
        return self.random.choice([{"type": "null"}, {"type": "boolean"}, {"type": ["string", "null"]}, {"type": "integer"}])

    def limits(self, schema, low, high):
        if self.maybe(0.5):
            schema[self.random.choice(["minimum", "exclusiveMinimum"])] = low
        if self.maybe(0.5):
            schema[self.random.choice(["maximum", "exclusiveMaximum"])] = high
        return schema

    def integer(self, _depth):
        low = self.random.randint(-10**self.random.randint(0, 6), 10**self.random.randint(0, 4))
        schema = self.limits({"type": "integer"}, low, low + self.random.randint(20, 10**self.random.randint(2, 7)))
        if self.maybe(0.3):
            schema["multipleOf"] = self.random.choice([2, 3, 5, 7, 10])
        return schema

    def number(self, _depth):
        low = round(self.random.uniform(-1000, 1000), self.random.randint(0, 3))
        schema = self.limits({"type": "number"}, low, round(low + self.random.uniform(1, 500), 2))
        if self.maybe(0.2):
            schema["multipleOf"] = self.random.choice([1, 2, 0.5, 0.25])
        return schema

    def string(self, _depth):
        schema, kind = {"type": "string"}, self.random.random()
        if kind < 0.35:
            schema["pattern"] = self.random.choice(self.PATTERNS)
        elif kind < 0.5:
            schema["format"] = self.random.choice(self.FORMATS)
        if kind >= 0.5 or self.maybe(0.3) and "format" not in schema:
            schema["maxLength"] = self.random.randint(5, 60)
        if kind > 0.8:
            schema["minLength"] = self.random.randint(0, 5)
        return schema

    def value(self, depth=2):
        r = self.random
        kinds = [lambda: r.choice(["x", "yes", "ünï", "a\"b", ""]), lambda: r.randint(-50, 50), lambda: r.random() < 0.5,
                 lambda: None, lambda: r.choice([0.5, -1.25, 3.0])]
        if depth > 0:
            kinds += [lambda: [self.value(depth - 1) for _ in range(r.randint(0, 2))],
                      lambda: {n: self.value(depth - 1) for n in r.sample(self.NAMES, r.randint(0, 2))}]
        return r.choice(kinds)()

    def literal(self, _depth):
        if self.maybe(0.4):
            return {"const": self.value()}
        return {"enum": [self.value(1) for _ in range(self.random.randint(1, 5))]}

    def array(self, depth):
        schema = {"type": "array", "items": self.schema(depth - 1)}
        if self.maybe(0.3):
            schema["prefixItems"] = [self.schema(depth - 1) for _ in range(self.random.randint(1, 2))]
        if self.maybe(0.4):
            schema["minItems"] = self.random.randint(0, 2)
        schema["maxItems"] = self.random.randint(2, 4)
        return schema

    def object(self, depth):
        names = self.random.sample(self.NAMES, self.random.randint(0, 4))
        schema = {"type": "object", "properties": {n: self.schema(depth - 1) for n in names}}
        required = [n for n in names if self.maybe(0.5)]
        if required:
            schema["required"] = required
        kind = self.random.random()
        if kind < 0.6:
            schema["additionalProperties"] = False
        elif kind < 0.8:
            schema["additionalProperties"] = self.schema(0)
        if self.maybe(0.15):
            schema["patternProperties"] = {self.random.choice(["^z", "_[0-9]$"]): self.schema(0)}
        if kind >= 0.6 or self.maybe(0.2):
            schema["maxProperties"] = max(len(required), 1) + self.random.randint(0, 2)
        return schema

    def choice(self, depth):
        kind = self.random.random()
        if kind < 0.5:
            return {"anyOf": [self.schema(depth - 1) for _ in range(self.random.randint(1, 3))]}
        if kind < 0.75:
            return {"oneOf": [self.string(0), self.integer(0), self.simple(0)][:self.random.randint(1, 2)]}
        base = self.object(depth)
        base["allOf"] = [{"properties": {"id": {"type": ["integer", "string"], "maxLength": 10}}}]
        return base


def generated(n, seed=20261125):
    generator = Generator(seed)
    return [generator.schema() for _ in range(n)]
