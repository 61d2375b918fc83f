"""Masks byte by byte: llguidance is the second opinion, and every token tried alone the third."""
import json
import random

import llguidance
import pytest

import constraints
import schemas

N_SCHEMAS = 300

PATTERNS = [
    "abc", "a*b+c?", "(ab|cd)*", "[a-z]{3,5}", "[^a-z]", "a{0,3}b{2}", "(a|b)*abb", "x(y(z)?)?", "(?:foo|foobar|f)o*",
    "[0-9]+(\\.[0-9]+)?", "[0-9]{2}-[0-9]{2}", "[a-z0-9_]+@[a-z]+\\.com", "[a-z.-]{1,8}", "(a*)*b", "(a|aa){2,4}", "[é-ü]{1,2}",
    "\\x41\\u{e9}", "(a{2,3}){2,3}", "[-a-c]+", "a|", "(|a)b", "[^\\x00-\\x7f]", "\\.\\*\\\\", "(a{1,30}b){1,30}", "z{20,90}",
]

GRAMMARS = [
    'root ::= "a" | "b" root',
    'root ::= expr\nexpr ::= term ([-+*/] term)*\nterm ::= [a-z]+ | [0-9]{1,3} | "(" expr ")"',
    'root ::= list\nlist ::= "[" (item ("," item)*)? "]"\nitem ::= list | [0-9]+',
    'root ::= ("x" | "y"){2,4} "\\n" # comment\n',
    'root ::= pair{1,3}\npair ::= key ":" value ";"\nkey ::= [a-c]+\nvalue ::= "\\"" [^"]{0,4} "\\"" | pair',
    'root ::= a a?\na ::= "(" a ")" | "é" | [^a-z()é]',
]


def random_pattern(rng, depth=3):
    kind = rng.random()
    if depth == 0 or kind < 0.35:
        return rng.choice(["a", "b", "c", "ab", "[a-c]", "[^b]", "é", "[0-9]", "."])
    inner = random_pattern(rng, depth - 1)
    if kind < 0.55:
        return inner + random_pattern(rng, depth - 1)
    if kind < 0.75:
        return f"({inner}|{random_pattern(rng, depth - 1)})"
    low = rng.randint(0, 3)
    return f"({inner})" + rng.choice(["*", "+", "?", f"{{{low},{low + rng.randint(0, 4)}}}", f"{{{low},}}"])


class Oracle:
    """A matcher of llguidance over the 256 bytes."""

    tokenizer = llguidance.LLTokenizer("byte")

    def __init__(self, grammar):
        self.matcher = llguidance.LLMatcher(self.tokenizer, grammar)
        self.refuses = self.matcher.is_error()

    def allowed(self):
        """The bytes that may come next, and whether the text may end."""
        bits = int.from_bytes(self.matcher.compute_bitmask(), "little")
        return {b for b in range(256) if bits >> b & 1}, bool(bits >> self.tokenizer.eos_token & 1)

    def accept(self, byte):
        self.matcher.consume_token(byte)


def compare(grammar, oracle, rng, n_bytes, known=frozenset(), avoided=frozenset(), what=""):
    """Walk both; bytes in `known` may differ, those in `avoided` are not chosen.  Returns the steps made."""
    constraint, text = grammar.start(), b""
    for step in range(n_bytes):
        mine = set(constraint.allowed())
        may_end = bool(mine & set(grammar.vocabulary.stop_ids))
        mine -= set(grammar.vocabulary.stop_ids)
        theirs, they_may_end = oracle.allowed()
        may_differ = known | {ord("0")} if known and text.endswith(b"-") else known
        assert (mine ^ theirs) <= may_differ, (what, text, mine - theirs, theirs - mine)
        assert may_end == they_may_end, text
        both = sorted((mine & theirs) - avoided)
        if not both:
            return step + 1
        byte = rng.choice(both)
        constraint.accept(byte)
        oracle.accept(byte)
        text += bytes([byte])
    return n_bytes


def test_patterns_against_llguidance(vocabulary):
    rng = random.Random(4)
    generated = [random_pattern(rng) for _ in range(150)]
    # a dot of Rust's regular expressions lets \r and the line ends of Unicode pass
    same = [(pattern, pattern) for pattern in PATTERNS]
    same += [(pattern, pattern.replace(".", "[^\\n\\r\\u{2028}\\u{2029}]")) for pattern in generated]
    for pattern, plain in same:
        grammar = vocabulary.grammar(constraints.REGEX, pattern)
        for _ in range(3):
            oracle = Oracle(llguidance.LLMatcher.grammar_from_regex(plain))
            assert not oracle.refuses, (pattern, oracle.matcher.get_error())
            compare(grammar, oracle, rng, 40, what=pattern)


@pytest.mark.parametrize("text", GRAMMARS)
def test_grammars_against_llguidance(vocabulary, text):
    rng = random.Random(5)
    grammar = vocabulary.grammar(constraints.GBNF, text)
    for _ in range(10):
        oracle = Oracle(llguidance.LLMatcher.grammar_from_lark(llguidance.gbnf_to_lark.gbnf_to_lark(text)))
        assert not oracle.refuses, oracle.matcher.get_error()
        compare(grammar, oracle, rng, 40)


def comparable(schema):
    """Formats differ in how narrow they are, fractions in trailing zeros, free members in being there once."""
    text = json.dumps(schema)
    return not any(part in text for part in ('"format"', '"multipleOf"', '"patternProperties"', '"number", "', "3.0"))


def test_schemas_against_llguidance(vocabulary):
    """JSON without spaces.  Known to differ: DEL as it is; escapes; -0 within limits; exponents, which end at 307."""
    rng = random.Random(6)
    settings = {"whitespace_flexible": False, "item_separator": ",", "key_separator": ":"}
    n_compared = n_steps = 0
    generator = schemas.Generator(7)
    while n_compared < N_SCHEMAS:
        schema = generator.schema()
        if not comparable(schema):
            continue
        theirs = llguidance.LLMatcher.grammar_from_json_schema(schema, overrides=settings)
        if Oracle(theirs).refuses:
            continue
        grammar = vocabulary.grammar(constraints.SCHEMA, json.dumps(schema), compact=True)
        n_compared += 1
        for _ in range(2):
            n_steps += compare(grammar, Oracle(theirs), rng, 100, what=schema, known={0x7F, ord("\\")},
                               avoided={0x7F, ord("\\"), ord("e"), ord("E")})
    assert n_steps > 10 * N_SCHEMAS


@pytest.mark.parametrize("kind, text, sample", [
    (constraints.REGEX, "[a-z]{3,20}( [0-9]+)*", "hello 12 3"),
    (constraints.REGEX, "(?!.*bad)[a-z ]+", "so ba go"),
    (constraints.GBNF, GRAMMARS[1], "(ab+12*(x))-y"),
    (constraints.SCHEMA, "{}", '{"a": [1, "x", {"a": null}], "b": 1.5e3}'),
    (constraints.SCHEMA, '{"type": "object", "propertyNames": {"enum": ["a", "b"]}}', '{"b": 1, "a": {}}'),
    (constraints.SCHEMA, '{"items": {"type": "string", "minLength": 19, "maxLength": 40}}', '["' + 30 * "a" + '"]'),
    (constraints.SCHEMA, '{"type": "string", "pattern": "^(a{30}|b)+$", "maxLength": 70}', '"' + 60 * "a" + 'bb"'),
])
@pytest.mark.parametrize("name", ["vocabulary", "longer_vocabulary"])
def test_masks_are_what_can_be_accepted(request, name, kind, text, sample):
    vocabulary = request.getfixturevalue(name)
    constraint = vocabulary.grammar(kind, text).start()
    for character in sample:
        accepted = []
        for token in range(len(vocabulary.tokens)):
            try:
                constraint.accept(token)
            except constraints.Refused:
                continue
            constraint.rollback(1)
            accepted.append(token)
        assert constraint.allowed() == accepted
        constraint.accept_text(character)
    assert constraint.at_end() > 0


def test_rollback_and_fork(vocabulary):
    grammar = vocabulary.grammar(constraints.SCHEMA, '{"type": "object"}')
    constraint = grammar.start()
    masks = []
    for byte in b'{"a": 1, "b':
        masks.append(constraint.mask())
        constraint.accept(byte)
    copy = constraint.fork()
    copy.accept_text('": 2}')
    assert copy.at_end() == 2 and constraint.at_end() == 0
    copy.accept(grammar.vocabulary.stop_ids[0])
    assert copy.mask() == 0
    with pytest.raises(constraints.Refused):
        copy.accept(ord("x"))
    for mask in reversed(masks):
        constraint.rollback(1)
        assert constraint.mask() == mask
    with pytest.raises(constraints.Refused):
        constraint.rollback(1)


@pytest.mark.parametrize("kind, text, message", [
    (constraints.REGEX, "(", ") is missing"), (constraints.REGEX, "a**", "repeated"), (constraints.REGEX, "[b-a]", "range"),
    (constraints.REGEX, "(?<=a)b", "look-behind"), (constraints.REGEX, "(a)\\1", "back-references"),
    (constraints.REGEX, "x^", "beginning"), (constraints.REGEX, "[", "] is missing"), (constraints.REGEX, "\\", "backslash"),
    (constraints.REGEX, "(" * 300 + ")" * 300, "nest"), (constraints.REGEX, b"\xff", "UTF-8"),
    (constraints.REGEX, "[^\\s\\S]", "no text"),
    (constraints.GBNF, "root ::= root \"a\" | \"b\"", "begins with itself"), (constraints.GBNF, "root ::= x", "no rule 'x'"),
    (constraints.GBNF, "root ::= a b\na ::= \"\" | \"x\"\nb ::= a root \"q\" | \"z\"", "begins with itself"),
    (constraints.GBNF, "x ::= \"a\"", "no rule 'root'"), (constraints.GBNF, "root ::= \"a", "does not end"),
    (constraints.GBNF, "root ::= \"a\" root", "no text"), (constraints.GBNF, "root ::= \"a\"\nroot ::= \"b\"", "before"),
    (constraints.GBNF, "root ::= <|none|>", "control token"), (constraints.GBNF, "root ::= <|end|>", "ends an answer"),
    (constraints.GBNF, "\n".join(f"{chr(97 + i)} ::= {chr(98 + i)} {chr(98 + i)}" for i in range(24))
     + "\ny ::= \"ab\"\nroot ::= a", "too large"),
    (constraints.SCHEMA, "[1]", "object, true or false"), (constraints.SCHEMA, '{"a": 1, "a": 2}', "duplicate"),
    (constraints.SCHEMA, "{", "JSON"), (constraints.SCHEMA, "", "JSON"),
])
def test_refusals(vocabulary, kind, text, message):
    with pytest.raises(constraints.Refused) as refused:
        vocabulary.grammar(kind, text)
    assert message in str(refused.value)


@pytest.mark.parametrize("name", ["<|call|>", "<[257]>"])
def test_control_tokens_by_name(vocabulary, name):
    grammar = vocabulary.grammar(constraints.GBNF, f'root ::= "a" {name} "b"')
    call = vocabulary.tokens.index(b"<|call|>")
    constraint = grammar.start()
    constraint.accept(ord("a"))
    assert constraint.allowed() == [call]
    constraint.accept(call)
    constraint.accept_text("b")
    assert constraint.at_end() == 2
    assert not grammar.matches("a<|call|>b")  # its spelling is not the token
    assert not grammar.matches(b"a\xff257]b")
    assert call not in vocabulary.grammar(constraints.SCHEMA, '{"type": "string"}').start().allowed()
