"""Texts made by walking through masks at random."""

CLOSERS = (b'"', b"}", b"]")
RARE = (b"\\", b"\n", b"\t", b"e", b"E")


def walk(grammar, rng, limit=300):
    """A text of the grammar, or None if it did not end within 20 limits.  Beyond the limit it is closed."""
    tokens, stops = grammar.vocabulary.tokens, grammar.vocabulary.stop_ids
    constraint, text = grammar.start(), b""
    while len(text) < 20 * limit:
        allowed = constraint.allowed()
        may_end = constraint.at_end()
        assert allowed, f"a dead end behind {text!r}"
        assert (may_end > 0) == any(i in stops for i in allowed)
        allowed = [i for i in allowed if i not in stops]
        assert (may_end == 2) == (not allowed)
        if may_end == 2 or (may_end and (rng.random() < 0.3 or len(text) > limit)):
            return text
        closing = [i for i in allowed if tokens[i] in CLOSERS]
        usual = [i for i in allowed if tokens[i] not in RARE and tokens[i] < b"\x80"]
        if len(text) > limit and closing and rng.random() < 0.9:
            allowed = closing
        elif usual and rng.random() < 0.9:
            allowed = usual
        token = rng.choice(allowed)
        constraint.accept(token)
        text += tokens[token]
    return None


def mutations(value, rng, n):
    """Values that differ from a JSON value in one place; the order of members stays."""
    for _ in range(n):
        yield mutate(value, rng)


def other_value(rng):
    return rng.choice([None, True, 0, 7, -3, 2.5, "", "x", "zz9", [], [1], {}, {"zz": 1}])


def mutate(value, rng):
    if rng.random() < 0.25:
        return other_value(rng)
    if isinstance(value, dict):
        changed, kind = dict(value), rng.random()
        if changed and kind < 0.6:
            name = rng.choice(list(changed))
            changed[name] = mutate(changed[name], rng)
        elif changed and kind < 0.8:
            del changed[rng.choice(list(changed))]
        else:
            changed["zz"] = other_value(rng)
        return changed
    if isinstance(value, list):
        changed = list(value)
        if changed and rng.random() < 0.6:
            i = rng.randrange(len(changed))
            changed[i] = mutate(changed[i], rng)
        elif changed and rng.random() < 0.5:
            changed.pop()
        else:
            changed.append(other_value(rng))
        return changed
    if isinstance(value, bool) or value is None:
        return other_value(rng)
    if isinstance(value, int):
        return value + rng.choice([-1, 1, 2, 1000, -1000])
    if isinstance(value, float):
        return value + rng.choice([0.5, -0.25, 100])
    return rng.choice([value[:-1], value + "a", value + "Ü", value[1:], value.upper(), ""])
