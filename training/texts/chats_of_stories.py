"""Chats around stories: real ones with other names in them, and generated ones with questions about them."""

import json
import re

from . import storygen
from .chatbook import R, T, a, chat, choice, load, typed


def rename(t):
    m = {}
    caps = set(re.findall(r"\b[A-Z][a-z]+\b", t))
    for pool, new in (
        (T["girls_in_stories"], T["story_girls"] + T["girls_in_stories"]),
        (T["boys_in_stories"], T["story_boys"] + T["boys_in_stories"]),
    ):
        for n in pool:
            if n in caps:
                c = choice([x for x in new if x not in caps and x not in m.values()])
                m[n] = c
    if not m:
        return t
    return re.sub(r"\b(" + "|".join(map(re.escape, m)) + r")\b", lambda x: m[x.group(1)], t)


def story_prompt(keys, name):
    k = keys[0] if keys else "friend"
    art = a(k) if k not in ("rain", "snow", "mom", "dad", "grandma", "soup", "pizza") else k
    x = R.random()
    if x < 0.45:
        return typed(
            choice(
                [
                    f"Tell me a story about {art}.",
                    f"Write a story about {art}.",
                    f"Tell a story about {art}.",
                    f"Can you tell me a story about {art}?",
                    f"Please tell me a story about {art}.",
                    f"I want a story about {art}.",
                    f"Write a short story about {art}.",
                    f"story about {art}",
                    f"Make up a story about {art}.",
                ]
            )
        )
    if x < 0.58 and len(keys) > 1:
        return typed(
            choice(
                [
                    f"Tell me a story about {a(keys[0])} and {a(keys[1])}.",
                    f"Write a story with {a(keys[0])} and {a(keys[1])}.",
                ]
            )
        )
    if x < 0.66 and len(keys) > 2:
        return f"Write a short story that uses the words {keys[0]}, {keys[1]} and {keys[2]}."
    if x < 0.8 and name:
        return typed(
            choice(
                [
                    f"Tell me a story about {name}.",
                    f"Write a story about a {keys[0] if keys else 'child'} named {name}.",
                    f"Tell me a story about {name} and {art}.",
                ]
            )
        )
    return typed(
        choice(
            [
                "Tell me a story.",
                "Tell me a short story.",
                "Can you tell me a story?",
                "I would like to hear a story.",
                "Write a short story.",
                "Please tell me a bedtime story.",
                "Tell me something nice.",
                "Another story, please.",
                "Tell me a story for children.",
                "Once upon a time...",
                "Tell me a fairy tale.",
            ]
        )
    )


def stories(raw):
    fa = open(raw / "story_aug.jsonl", "w", encoding="utf-8")
    fg = open(raw / "story_gen.jsonl", "w", encoding="utf-8")
    rows = load(raw, "stories")
    for d in rows:
        t = d["t"]
        if t.count(" ") < 40:
            continue
        words = re.findall(r"[a-z]+", t.lower())
        cnt = {k: words.count(k) + words.count(k + "s") for k in T["story_words"]}
        keys = [k for k in sorted(T["story_words"], key=lambda k: -cnt[k]) if cnt[k] > 1][:3]
        R.shuffle(keys) if R.random() < 0.3 else None
        for i in range(5):
            v = rename(t) if i else t
            fa.write(json.dumps({"s": "story_aug", "k": "", "t": v}) + "\n")
            if i < 3 and t[-1] in '.!?"':
                v = rename(t)
                cap = [
                    w
                    for w in re.findall(r"\b[A-Z][a-z]+\b", v)
                    if w in T["story_girls"] + T["story_boys"] + T["girls_in_stories"] + T["boys_in_stories"]
                ]
                chat("story", story_prompt(keys, cap[0] if cap else None), v)
    for i in range(22000):
        s = storygen.make(R)
        fg.write(json.dumps({"s": "story_gen", "k": s["kind"], "t": s["text"]}) + "\n")
    for i in range(9000):
        kind = choice(list(T["story_pets"])) if R.random() < 0.6 else None
        thing = choice(T["story_toys"]) if R.random() < 0.3 else None
        s = storygen.make(R, kind, thing)
        x = R.random()
        if thing and x < 0.6:
            q = (
                typed(
                    choice(
                        [
                            f"Tell me a story about {a(s['kind'])} and {a(thing)}.",
                            f"Write a story about {a(s['kind'])} with {a(thing)}.",
                        ]
                    )
                )
                if s["plot"] in ("lost", "share", "rain", "lie", "lonely")
                else typed(f"Tell me a story about {a(s['kind'])}.")
            )
        elif x < 0.75:
            q = story_prompt([s["kind"]], None)
        elif x < 0.9:
            q = typed(
                choice(
                    [
                        f"Tell me a story about {a(s['kind'])} named {s['hero']}.",
                        f"Tell me a story about {s['hero']} the {s['kind']}.",
                        f"Write a story about {a(s['kind'])} called {s['hero']}.",
                        f"Tell me a story about {a(s['kind'])} and {a(s['fkind'])}.",
                    ]
                )
            )
        else:
            q = story_prompt([], None)
        turns = [q, s["text"]]
        for k in R.sample(list(s["facts"]), R.choice([0, 0, 1, 2, 3])):
            turns += [typed(s["facts"][k][0]), s["facts"][k][1]]
        if len(turns) > 2 and R.random() < 0.2:
            turns += [choice(T["thanks"]), choice(T["thanks_answers"])]
        chat("story_gen", *turns)
    fa.close()
    fg.close()
