"""Chats from the extracted sources: countries, definitions, the encyclopaedia, trivia, tales, dialogues."""

import json
import re

from .chatbook import R, chat, choice, load, typed


def capitals(raw):
    caps = load(raw, "capitals")
    region = {
        "europe": "Europe",
        "africa": "Africa",
        "south-america": "South America",
        "east-n-southeast-asia": "Asia",
        "south-asia": "Asia",
        "central-asia": "Asia",
        "middle-east": "the Middle East",
        "north-america": "North America",
        "central-america-n-caribbean": "Central America and the Caribbean",
        "australia-oceania": "Oceania",
    }
    for c in caps:
        cap, reg, bg, lang, loc = json.loads(c["t"])
        n = c["k"]
        if "," in n or len(n) > 25:
            continue
        the = (
            "the "
            if n
            in (
                "Netherlands",
                "Philippines",
                "United Kingdom",
                "United States",
                "Czech Republic",
                "Central African Republic",
                "Dominican Republic",
                "United Arab Emirates",
                "Maldives",
                "Marshall Islands",
                "Solomon Islands",
                "Gambia",
            )
            else ""
        )
        for _ in range(14):
            chat(
                "fact",
                typed(
                    choice(
                        [
                            f"What is the capital of {the}{n}?",
                            f"What's the capital of {the}{n}?",
                            f"Capital of {n}?",
                            f"Which city is the capital of {the}{n}?",
                            f"Tell me the capital of {the}{n}.",
                        ]
                    )
                ),
                f"The capital of {the}{n} is {cap}.",
            )
        for _ in range(2):
            chat("fact", typed(f"{cap} is the capital of which country?"), f"{cap} is the capital of {the}{n}.")
            if reg in region:
                chat(
                    "fact",
                    typed(choice([f"Where is {the}{n}?", f"On which continent is {the}{n}?"])),
                    f"{(the + n)[0].upper() + (the + n)[1:]} is in {region[reg]}.",
                )
        if loc:
            chat(
                "fact",
                typed(f"Where is {the}{n} located?"),
                f"{(the + n)[0].upper() + (the + n)[1:]} is located in {loc.split(';')[0].rstrip('.')}.",
            )


def definitions(raw):
    for d in load(raw, "words"):
        pos, n, gl = json.loads(d["t"])
        w = d["k"]
        for _ in range(1 if n < 20 else 2 if n < 100 else 3):
            g = gl[0]
            ex = re.findall(r'"([^"]+)"', g)
            g = re.sub(r'[;:]?\s*"[^"]*".*', "", g)
            g = re.sub(r"\([^)]*\)\s*", "", g).split(";")[0].strip(" ;:,-")
            if len(g) < 4:
                continue
            an = {
                "noun": choice([f"{w.capitalize()} means {g}.", f'The word "{w}" means {g}.']),
                "verb": choice([f"To {w} means to {g}.", f'The verb "{w}" means to {g}.']),
                "adj": f'The word "{w}" means {g}.',
                "adv": f'The word "{w}" means {g}.',
            }[pos]
            if ex and R.random() < 0.5:
                an += (
                    f' For example: "{ex[0][0].upper() + ex[0][1:]}."'
                    if not ex[0].endswith(("!", "?"))
                    else f' For example: "{ex[0][0].upper() + ex[0][1:]}"'
                )
            chat(
                "define",
                typed(
                    choice(
                        [
                            f"What does {w} mean?",
                            f"What does the word {w} mean?",
                            f"What is the meaning of {w}?",
                            f"Define {w}.",
                            f"Explain the word {w}.",
                            f'What does "{w}" mean?',
                        ]
                    )
                ),
                an,
            )


def sentences(t):
    return re.split(r"(?<=[a-z\d\)\"'][.!?]) +(?=[A-Z\"])", t)


def encyclopaedia(raw):
    n = 0
    for name in ("wiki", "wiki_new"):
        for d in load(raw, name):
            title, first = d["k"], d["t"].split("\n")[0]
            base = re.sub(r"\s*\(.*\)$", "", title)
            if len(base) > 40:
                continue
            t = re.sub(r"\s*\([^()]*\)", "", first)
            t = re.sub(r"\s*\([^()]*\)", "", t)
            t = re.sub(r"\s+([,.;])", r"\1", t)
            if "(" in t or ")" in t:
                continue
            ss = sentences(t)
            if (
                not ss
                or not re.search(r"\b(is|was|are|were|refers)\b", ss[0][: len(base) + 60])
                or len(ss[0]) < 35
                or len(ss[0]) > 320
            ):
                continue
            low = ss[0].lower()
            if base.lower().split()[-1] not in low[:80]:
                continue
            an = ss[0]
            for s in ss[1:3]:
                if len(an) + len(s) < 380 and R.random() < 0.75:
                    an += " " + s
                else:
                    break
            person = bool(
                re.search(r"\bborn\b|\b1\d\d\d\s*[–-]\s*(?:\w+ )*1\d\d\d|\bdied\b", first[:160])
            ) and re.search(r"\b(was|is) (an?|the) ", ss[0])
            b = (
                base
                if not (low.startswith(("a ", "an ", "the ")))
                else base[0].lower() + base[1:] if base[1:].islower() else base
            )
            art = low.split()[0] + " " if low.startswith(("a ", "an ", "the ")) else ""
            if person:
                q = choice([f"Who was {base}?", f"Who is {base}?", f"Tell me about {base}.", f"Who was {base}?"])
            elif re.search(
                r"\b(city|town|village|river|lake|mountain|island|county|province|district|state|region|municipality|commune)\b",
                low[:160],
            ):
                q = choice(
                    [f"What is {art}{b}?", f"Where is {art}{b}?", f"Tell me about {art}{b}.", f"What is {art}{b}?"]
                )
            else:
                q = choice(
                    [
                        f"What is {art}{b}?",
                        f"What is {art}{b}?",
                        f"Tell me about {art}{b}.",
                        f"Can you explain what {art}{b} is?",
                        f"What do you know about {art}{b}?",
                        f"Explain {art}{b}.",
                    ]
                )
            if re.search(r"^[A-Z]?\w+s (are|were) ", ss[0]) and not person:
                q = choice([f"What are {b}?", f"Tell me about {b}."])
            if name == "wiki_new" and R.random() < 0.5:
                continue
            chat("encyc" if name == "wiki" else "encyc_new", typed(q), an)
            n += 1


def trivia(raw):
    for d in load(raw, "trivia"):
        q, an, opts = json.loads(d["t"])
        if not q.endswith("?") or len(q) > 160 or len(an) > 80 or an in ("True", "False") and R.random() < 0.8:
            continue
        if re.search(
            r"\b(these|following|below|which of|one of|not|except|song|album|lyrics|movie|film|actor|episode|TV|season|character)\b",
            q,
            re.I,
        ):
            continue
        if d["k"] in (
            "video-games",
            "celebrities",
            "television",
            "movies",
            "music",
            "brain-teasers",
            "newest",
            "rated",
            "hobbies",
        ):
            continue
        chat("trivia", q, an if an[-1] in ".!?" else an + ".")


def fairy_qa(raw):
    rows = load(raw, "fairy_qa")
    R.shuffle(rows)
    for d in rows[:6000]:
        sec, q, an = json.loads(d["t"])
        if len(sec) > 2500:
            continue
        q = q[0].upper() + q[1:]
        q = q if q.endswith("?") else q + "?"
        an = an[0].upper() + an[1:]
        an = an if an[-1] in ".!?" else an + "."
        chat(
            "read",
            choice(
                [
                    f"Read this text and answer the question.\n\n{sec}\n\nQuestion: {q}",
                    f"{sec}\n\n{q}",
                    f"Here is a part of a story:\n\n{sec}\n\n{q}",
                ]
            ),
            an,
        )


def dialogues(raw):
    rows = load(raw, "dialogue")
    R.shuffle(rows)
    n = 0
    for d in rows:
        t = json.loads(d["t"])
        if d["k"] == "sgd":
            n += 1
            if n > 5000:
                continue
            t = t[: R.choice([4, 6, 8, 10])]
        else:
            t = t[: 2 * (len(t) // 2)]
        if len(t) < 2 or any(not x for x in t):
            continue
        chat("task" if d["k"] == "sgd" else "topic", *t)
