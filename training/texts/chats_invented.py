"""Chats made from small tables: small talk, animals, opposites, lists, spelling, counting, sums."""

from .chatbook import R, T, a, chat, choice, plural, typed

NUMBERS = T["numbers"]


def smalltalk():
    for _ in range(3000):
        chat("talk", choice(T["greetings"]), choice(T["greeting_answers"]))
    for _ in range(1500):
        chat("talk", choice(T["how_are_you"]), choice(T["how_are_you_answers"]))
    for _ in range(2200):
        chat("talk", typed(choice(T["who_are_you"])), choice(T["who_are_you_answers"]))
    for _ in range(1800):
        chat("talk", typed(choice(T["what_can_you_do"])), choice(T["what_can_you_do_answers"]))
    for _ in range(600):
        chat("talk", choice(T["thanks"]), choice(T["thanks_answers"]))
    for _ in range(600):
        chat("talk", choice(T["goodbyes"]), choice(T["goodbye_answers"]))
    for _ in range(9000):
        q, an = choice(T["small_talk"])
        chat("talk", typed(choice(q)), choice(an))
    for _ in range(2500):  # several turns
        t = [choice(T["greetings"]), choice(T["greeting_answers"])]
        for q, an in R.sample(
            [
                (T["how_are_you"], T["how_are_you_answers"]),
                (T["who_are_you"], T["who_are_you_answers"]),
                (T["what_can_you_do"], T["what_can_you_do_answers"]),
                choice(T["small_talk"]),
                choice(T["small_talk"]),
            ],
            R.randint(1, 3),
        ):
            t += [typed(choice(q)), choice(an)]
        if R.random() < 0.6:
            t += [choice(T["thanks"]), choice(T["thanks_answers"])]
        if R.random() < 0.5:
            t += [choice(T["goodbyes"]), choice(T["goodbye_answers"])]
        chat("talk", *t)
    for _ in range(900):
        j = choice(T["jokes"])
        chat(
            "talk",
            typed(
                choice(
                    [
                        "Tell me a joke.",
                        "Do you know a joke?",
                        "Make me laugh.",
                        "Tell me something funny.",
                        "Another joke, please.",
                    ]
                )
            ),
            choice(["Sure! ", "Here is one. ", "", "I know one! "]) + j[0] + " " + j[1],
        )


def animals():
    names = list(T["animals"])
    for _ in range(8000):
        n = choice(names)
        g, legs, snd, baby, home, food, size, text = T["animals"][n]
        P = plural(n)
        k = R.randrange(9)
        if k == 0:
            chat(
                "fact",
                typed(f"How many legs does {a(n)} have?"),
                f"{a(n).capitalize()} has {'no' if legs == 0 else NUMBERS[legs]} legs.",
            )
        elif k == 1 and snd:
            chat(
                "fact",
                typed(choice([f"What sound does {a(n)} make?", f"What does {a(n)} say?"])),
                f"{a(n).capitalize()} says: {snd}",
            )
        elif k == 2:
            chat(
                "fact",
                typed(choice([f"What is a baby {n} called?", f"What do you call a baby {n}?"])),
                f"A baby {n} is called {a(baby)}.",
            )
        elif k == 3:
            chat(
                "fact",
                typed(choice([f"Where do {P} live?", f"Where does {a(n)} live?"])),
                f"{P.capitalize()} live {home}.",
            )
        elif k == 4:
            chat(
                "fact",
                typed(choice([f"What do {P} eat?", f"What does {a(n)} eat?"])),
                f"{P.capitalize()} eat {food}.",
            )
        elif k == 5:
            chat(
                "fact",
                typed(
                    choice(
                        [
                            f"What is {a(n)}?",
                            f"Tell me about {P}.",
                            f"What are {P}?",
                            f"Tell me something about {P}.",
                            f"What do you know about {P}?",
                            f"Describe {a(n)}.",
                        ]
                    )
                ),
                text,
            )
        elif k == 6:
            m = choice(names)
            s2 = T["animals"][m][6]
            if m == n or s2 == size:
                continue
            big, small = (n, m) if size > s2 else (m, n)
            if R.random() < 0.5:
                chat(
                    "fact",
                    typed(f"Which is bigger, {a(n)} or {a(m)}?"),
                    f"{a(big).capitalize()} is bigger than {a(small)}.",
                )
            else:
                chat(
                    "fact",
                    typed(f"Which is smaller, {a(n)} or {a(m)}?"),
                    f"{a(small).capitalize()} is smaller than {a(big)}.",
                )
        elif k == 7:
            g2 = choice(["mammal", "bird", "fish", "insect", "reptile"])
            yes = g == g2
            art = a(g2) if g2 != "fish" else "a fish"
            chat(
                "fact",
                typed(f"Is {a(n)} {art}?"),
                (
                    f"Yes, {a(n)} is {art}."
                    if yes
                    else f"No, {a(n)} is not {art}. It is {a(g) if g != 'fish' else 'a fish'}."
                ),
            )
        else:
            chat(
                "fact",
                typed(choice([f"What is the plural of {n}?", f"How do you write more than one {n}?"])),
                f"The plural of {n} is {plural(n)}.",
            )


def opposites():
    for _ in range(2500):
        x, y = choice(T["opposites"]).split()
        if R.random() < 0.5 and x != "old":
            x, y = y, x
        chat(
            "fact",
            typed(
                choice(
                    [
                        f"What is the opposite of {x}?",
                        f"What is the opposite of '{x}'?",
                        f"Tell me the opposite of {x}.",
                        f"Opposite of {x}?",
                    ]
                )
            ),
            choice([f"The opposite of {x} is {y}.", f"The opposite of {x} is {y}."]),
        )


def colors():
    for _ in range(1500):
        o, c = choice(list(T["colors_of_things"].items()))
        chat(
            "fact",
            typed(choice([f"What color is {o}?", f"Which color is {o}?", f"What colour is {o}?"])),
            f"{o[0].upper() + o[1:]} is {c}.",
        )


def lists():
    for _ in range(3000):
        k = choice(list(T["lists"]))
        n = R.randint(2, 5)
        xs = R.sample(T["lists"][k], min(n, len(T["lists"][k])))
        w = NUMBERS[len(xs)] if R.random() < 0.7 else str(len(xs))
        items = [x if k in ("colors", "sports", "countries", "planets", "metals") else x for x in xs]
        q = typed(
            choice(
                [
                    f"Name {w} {k}.",
                    f"List {w} {k}.",
                    f"Give me {w} {k}.",
                    f"Can you name {w} {k}?",
                    f"Tell me {w} {k}.",
                ]
            )
        )
        if R.random() < 0.4:
            chat("fact", q, "\n".join(f"{i + 1}. {x.capitalize()}" for i, x in enumerate(items)))
        else:
            chat(
                "fact",
                q,
                (
                    (", ".join(items[:-1]) + " and " + items[-1] + ".").capitalize()
                    if k not in ("countries", "planets")
                    else ", ".join(items[:-1]) + " and " + items[-1] + "."
                ),
            )


def facts():
    for _ in range(6000):
        q, an = choice(T["facts"])
        chat("fact", typed(choice(q)), an)


def words():
    words = sorted(
        {w for l in T["lists"].values() for w in l if w.islower()}
        | set(T["animals"])
        | set("house tree water school friend happy garden table apple window".split())
    )
    for _ in range(3000):
        w = choice(words)
        k = R.randrange(5)
        if k == 0:
            chat(
                "fact",
                typed(choice([f"How do you spell {w}?", f"Spell the word {w}.", f"Spell {w}."])),
                "-".join(w.upper()) + ".",
            )
        elif k == 1:
            chat("fact", typed(f"How many letters are in the word {w}?"), f"The word {w} has {len(w)} letters.")
        elif k == 2:
            chat("fact", typed(f"What is the first letter of {w}?"), f"The first letter of {w} is {w[0].upper()}.")
        elif k == 3:
            chat(
                "fact",
                choice([f"Repeat the word {w}.", f"Say {w}.", f"Please say the word {w}."]),
                w.capitalize() + ".",
            )
        else:
            xs = R.sample(words, R.randint(2, 4))
            s = ", ".join(xs)
            chat("fact", f"Repeat these words: {s}", s)


def counting():
    for _ in range(700):
        n = R.randint(3, 20)
        f = R.randint(1, 3) if n > 5 else 1
        chat(
            "fact",
            typed(
                choice([f"Count from {f} to {n}.", f"Can you count from {f} to {n}?"])
                if f > 1
                else choice([f"Count to {n}.", f"Can you count to {NUMBERS[n]}?", f"Count from 1 to {n}."])
            ),
            ", ".join(map(str, range(f, n + 1))) + ".",
        )


def sums():
    for _ in range(14000):
        op = choice("++++---**/")
        if op == "*":
            x, y = R.randint(0, 12), R.randint(0, 12)
            z = x * y
            sym = choice(["*", "x", "times"])
        elif op == "+":
            x, y = (
                (R.randint(0, 20), R.randint(0, 20)) if R.random() < 0.75 else (R.randint(0, 100), R.randint(0, 100))
            )
            z = x + y
            sym = choice(["+", "+", "plus"])
        elif op == "-":
            x, y = sorted(
                (R.randint(0, 20), R.randint(0, 20)) if R.random() < 0.75 else (R.randint(0, 100), R.randint(0, 100)),
                reverse=True,
            )
            z = x - y
            sym = choice(["-", "-", "minus"])
        else:
            y = R.randint(1, 10)
            z = R.randint(1, 10)
            x = y * z
            sym = choice(["/", "divided by"])
        e = f"{x} {sym} {y}"
        chat(
            "math",
            typed(
                choice(
                    [
                        f"What is {e}?",
                        f"{e} = ?",
                        f"How much is {e}?",
                        f"Calculate {e}.",
                        f"{e}",
                        f"Can you tell me what {e} is?",
                        f"what's {e}?",
                    ]
                )
            ),
            (
                choice([f"{e} = {z}.", f"{e} is {z}.", f"The answer is {z}."])
                if not sym.isalpha() and sym != "divided by"
                else choice([f"{e} is {z}.", f"The answer is {z}."])
            ),
        )


def word_problems():
    for _ in range(4000):
        n = choice(T["story_girls"] + T["story_boys"])
        o = plural(choice("apple ball book pencil cookie toy egg stone flower coin sweet cake shell".split()))
        x, y = R.randint(2, 12), R.randint(1, 10)
        he = "she" if n in T["story_girls"] else "he"
        if R.random() < 0.5:
            chat(
                "math",
                f"{n} has {x} {o}. {he.capitalize()} gets {y} more. How many {o} does {n} have now?",
                f"{n} had {x} {o} and got {y} more. {x} + {y} = {x + y}. So {n} has {x + y} {o} now.",
            )
        else:
            y = min(y, x)
            chat(
                "math",
                f"{n} has {x} {o}. {he.capitalize()} gives away {y}. How many {o} are left?",
                f"{n} had {x} {o} and gave away {y}. {x} - {y} = {x - y}. So {x - y} {o} are left.",
            )


def comparisons():
    for _ in range(2500):
        x, y = R.randint(0, 100), R.randint(0, 100)
        if x == y:
            continue
        if R.random() < 0.5:
            chat("math", typed(f"Which number is bigger, {x} or {y}?"), f"{max(x, y)} is bigger than {min(x, y)}.")
        else:
            chat("math", typed(f"What number comes after {x}?"), f"The number after {x} is {x + 1}.")


def tables():
    for part in (animals, opposites, colors, lists, facts, words, counting, sums, word_problems, comparisons):
        part()
