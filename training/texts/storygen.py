"""A small generator of children's stories (own text, no outside data).

Each story comes with facts about itself, so that a chat can ask for a story about something and then ask about it.  A
plot is a function of the scene -- hero h, friend f, thing t (tc with its colour), outing o, home p, ... -- that gives
(paragraphs, moral, facts); a fact is a question and its answer.
"""

from .chatbook import T, a


class Who:
    def __init__(self, r, kind=None, not_name=()):
        if kind is None:
            kind = r.choice(["girl", "boy"]) if r.random() < 0.5 else r.choice(list(T["story_pets"]))
        self.kind = kind
        while True:
            if kind == "girl":
                self.name, g = r.choice(T["story_girls"]), "f"
            elif kind == "boy":
                self.name, g = r.choice(T["story_boys"]), "m"
            else:
                self.name, g = r.choice(T["story_pets"][kind]), r.choice("mf")
            if self.name not in not_name:
                break
        self.he, self.him, self.his = ("he", "him", "his") if g == "m" else ("she", "her", "her")
        self.He, self.His = self.he.capitalize(), self.his.capitalize()
        self.trait = r.choice(T["story_traits"])
        self.human = kind in ("girl", "boy")


def lost(choice, h, f, o, t, tc, intro, fint, day, bye, **_):
    where = choice(
        [
            "under a bush",
            "behind a big rock",
            "in a tall tree",
            "next to the pond",
            "under the bed",
            "inside an old boot",
        ]
    )
    paragraphs = [
        intro + f" {h.He} had {a(tc)} and took it everywhere.",
        f"{day} {h.name} went to {o} to play. "
        + choice(
            [
                f"When it was time to go home, the {t} was gone!",
                f"{h.He} put the {t} down to watch a butterfly, and when {h.he} looked back, it was gone.",
            ]
        ),
        f'"Oh no! Where is my {t}?" '
        + choice([f"cried {h.name}.", f"said {h.name}, and {h.his} eyes filled with tears."])
        + f" {h.He} looked left and right, but {h.he} could not find it.",
        f"Then {h.name} met {fint}. "
        + choice([f'"Why are you sad?" asked {f.name}.', f'"What is wrong?" asked {f.name}.'])
        + f' "I lost my {t}," said {h.name}. "I will help you look," said {f.name}.',
        f"They searched together for a long time. At last {f.name} found the {t} {where}. "
        + choice([f"{h.name} jumped for joy.", f"{h.name} was so happy."])
        + f' "Thank you, {f.name}!" {h.he} said.',
        bye,
    ]
    return (
        paragraphs,
        "It is good to help others.",
        {
            "lost": (f"What did {h.name} lose?", f"{h.name} lost {h.his} {t}."),
            "where": (f"Where was the {t}?", f"The {t} was {where}."),
            "helper": (f"Who helped {h.name}?", f"{f.name} the {f.kind} helped {h.name}."),
        },
    )


def share(choice, h, f, o, fam, t, tc, intro, fint, day, bye, **_):
    paragraphs = [
        intro + f" {h.He} loved {h.his} {tc} very much.",
        f"{day} {h.name} was playing with the {t} at {o} when {fint} came by. "
        + f'"Can I play too?" asked {f.name}.',
        f'"No, it is mine!" said {h.name}. {f.name} felt sad and sat down alone.',
        f"After a while, {h.name} saw that playing alone was not much fun. {h.He} remembered what {h.his} {fam} always said: "
        + choice(['"Sharing makes us happy."', '"Things are more fun when you share."']),
        f'{h.name} walked over to {f.name}. "I am sorry," {h.he} said. "Let us play together." {f.name} smiled, and they took turns with the {t} until the sun went down.',
        bye,
    ]
    return (
        paragraphs,
        "Sharing is kind, and it makes everyone happy.",
        {
            "what": (
                f"What did {h.name} not want to share?",
                f"At first, {h.name} did not want to share {h.his} {t}.",
            ),
            "friend": ("Who wanted to play?", f"{f.name} the {f.kind} wanted to play."),
        },
    )


def afraid(choice, h, f, o, fam, intro, day, bye, **_):
    fear = choice(["the dark", "the deep water", "loud thunder", "climbing high", "the big slide", "the old bridge"])
    paragraphs = [
        intro + f" {h.He} was {h.trait}, but {h.he} was afraid of {fear}.",
        f'{day} {h.his} friend {f.name} the {f.kind} came to visit. "Come with me to {o}," said {f.name}. But {h.name} shook {h.his} head. "I am scared of {fear}," {h.he} whispered.',
        (
            f'"It is okay to be scared," said {f.name}. "I was scared too. Take a deep breath and hold my hand."'
            if h.human and f.human
            else f'"It is okay to be scared," said {f.name}. "I was scared too. Take a deep breath and stay close to me."'
        ),
        f"{h.name} took one small step. Then {h.he} took another. "
        + choice(["Nothing bad happened.", f"{h.His} heart was beating fast, but {h.he} did not stop."])
        + f' "I did it!" {h.he} shouted.',
        f'{h.His} {fam} was very proud. "You were so brave today," said {h.his} {fam}.',
        bye,
    ]
    return (
        paragraphs,
        "Being brave means trying even when you are scared.",
        {
            "fear": (f"What was {h.name} afraid of?", f"{h.name} was afraid of {fear}."),
            "friend": (f"Who helped {h.name} to be brave?", f"{h.name}'s friend {f.name} helped."),
        },
    )


def help_out(choice, h, f, o, food, intro, fint, day, bye, **_):
    trap = choice(
        ["stuck in the mud", "caught in a net", "stuck in a hole", "stuck between two rocks", "tangled in a rope"]
    )
    tool = choice(["a long stick", "a strong rope", "both hands" if h.human else "all its might", "a big branch"])
    paragraphs = [
        intro + f" Everyone knew that {h.name} was very {h.trait}.",
        f"{day} {h.name} was walking to {o} when {h.he} heard a small voice. " + '"Help! Help!"',
        f"{h.name} followed the sound and found {fint}. The poor {f.kind} was {trap}.",
        f'"Do not worry," said {h.name}. "I will get you out." {h.He} '
        + (
            f"took {tool} and pulled and pulled."
            if tool.startswith("a") and "might" not in tool
            else "pulled and pulled."
        )
        + " At first nothing moved. Then, pop! "
        + f"{f.name} was free.",
        f'"Thank you for saving me," said {f.name}. "Here, please take some of my {food}." They sat down in the grass and ate the {food} together.',
        bye,
    ]
    return (
        paragraphs,
        "When someone needs help, stop and help them.",
        {
            "trap": (f"What happened to {f.name}?", f"{f.name} was {trap}."),
            "food": ("What did they eat?", f"They ate {food} together."),
        },
    )


def rain(choice, h, f, o, tc, intro, fint, day, bye, **_):
    shelter = choice(["a cave", "an old barn", "a hollow tree", "a big leaf", "a little wooden hut"])
    paragraphs = [
        intro + f" {h.He} liked to play outside with {h.his} {tc}.",
        f"{day} dark clouds came over {o}. Soon the rain began to fall, and the wind blew hard. {h.name} was far from home.",
        f"{h.name} ran and ran until {h.he} saw {shelter}. Inside sat {fint}, cold and wet.",
        f'"May I stay here too?" asked {h.name}. "Of course," said {f.name}. "There is room for two." They sat close together and told each other stories.',
        choice(
            [
                "After some time, the rain stopped and a rainbow came out.",
                "When the storm was over, the sun came out and everything was shining.",
            ]
        )
        + f" {h.name} and {f.name} jumped in the puddles and laughed.",
        bye,
    ]
    return (
        paragraphs,
        "A hard time is easier with a friend.",
        {
            "shelter": (f"Where did {h.name} hide from the rain?", f"{h.name} hid in {shelter}."),
            "who": (f"Who did {h.name} meet?", f"{h.name} met {f.name}, {a(f.kind)}."),
        },
    )


def lie(choice, h, fam, t, intro, day, **_):
    broke = choice(["vase", "window", "blue plate", "lamp", "clock", "glass bowl"])
    paragraphs = [
        intro + f" {h.He} loved to run and jump in the house.",
        f"{day} {h.name} was playing with {h.his} {t} inside. Crash! The {broke} fell down and broke into many pieces.",
        f'{h.name} was afraid. When {h.his} {fam} came and asked, "Who broke the {broke}?" {h.name} said, "It was not me."',
        f'But {h.name} felt bad. {h.His} tummy hurt, and {h.he} could not play. At last {h.he} went to {h.his} {fam} and said, "I am sorry. I broke the {broke}, and I did not tell the truth."',
        f'{h.His} {fam} hugged {h.him}. "Thank you for telling the truth," {h.his} {fam} said. "A {broke} can be fixed. The truth is much more important." They cleaned up together, and {h.name} felt much better.',
    ]
    return (
        paragraphs,
        "Always tell the truth.",
        {
            "broke": (f"What did {h.name} break?", f"{h.name} broke the {broke}."),
            "why": (f"Why did {h.name} feel bad?", f"{h.name} felt bad because {h.he} did not tell the truth."),
        },
    )


def learn(choice, h, f, fam, intro, day, bye, **_):
    skill = choice(
        [
            "swim",
            "ride a bike" if h.human else "fly a kite",
            "whistle",
            "dance",
            "draw a star",
            "sing",
            "climb the big tree",
            "read",
            "jump rope",
        ]
    )
    paragraphs = [
        intro + f" More than anything, {h.he} wanted to learn to {skill}.",
        f'{day} {h.name} tried for the first time. It did not work. {h.He} tried again, and it still did not work. "I will never learn to {skill}," {h.he} sighed.',
        f'{f.name} the {f.kind} was watching. "I could not {skill} at first either," said {f.name}. "You have to practice a little every day."',
        f"So {h.name} practiced every day. On Monday it was hard. On Wednesday it was a bit easier. And on Sunday, {h.name} could {skill}!",
        f'"Look at me!" {h.he} called. {h.His} {fam} clapped and cheered.',
        bye,
    ]
    return (
        paragraphs,
        "If you keep trying, you will get better.",
        {
            "skill": (f"What did {h.name} want to learn?", f"{h.name} wanted to learn to {skill}."),
            "how": (f"How did {h.name} learn it?", f"{h.name} practiced every day."),
        },
    )


def treasure(choice, h, f, o, food, intro, day, bye, **_):
    tr = choice(T["story_treasure"])
    prize = choice(
        [
            "a box full of colorful stones",
            "a garden full of flowers",
            "a hidden waterfall",
            "a room full of books",
            "a friendly old owl who told stories",
            "a tree with golden apples",
        ]
    )
    paragraphs = [
        intro + f" {h.He} was very curious and asked many questions.",
        f'{day} {h.name} was at {o} when {h.he} found {tr}. "What could this be?" {h.he} wondered.',
        f'{h.He} showed it to {h.his} friend {f.name}, {a(f.kind)}. "Let us find out!" said {f.name}. They packed some {food} and set off.',
        f'They crossed a bridge, walked through tall grass, and climbed over a hill. {f.name} got tired, but {h.name} said, "Just a little more. We can do it together."',
        f'At last they found {prize}. Their eyes grew wide. "This is the best day ever," said {f.name}. They looked at everything, and then they walked home before it got dark.',
        bye,
    ]
    return (
        paragraphs,
        "Curiosity and friendship lead to wonderful things.",
        {
            "found": (f"What did {h.name} find?", f"{h.name} found {tr}."),
            "end": ("What was at the end of the trip?", f"They found {prize}."),
        },
    )


def lonely(h, f, o, food, t, intro, day, **_):
    paragraphs = [
        intro + f" {h.name} was new there and had no friends yet.",
        f"{day} {h.name} sat alone at {o} and watched the others play. {h.He} wanted to join, but {h.he} was too shy to ask.",
        f'{f.name} the {f.kind} saw {h.name} and came over. "Hello! My name is {f.name}. Do you want to play with my {t}?"',
        f'{h.name} smiled. "Yes, please," {h.he} said. They played with the {t} all afternoon, and {f.name} shared some {food} too.',
        f'When it was time to go home, {f.name} said, "See you tomorrow!" {h.name} felt warm inside. {h.He} was not lonely anymore.',
    ]
    return (
        paragraphs,
        "A few kind words can make a new friend.",
        {
            "why": (f"Why was {h.name} alone?", f"{h.name} was new there and had no friends yet."),
            "what": ("What did they play with?", f"They played with {f.name}'s {t}."),
        },
    )


def race(h, f, o, food, tc, intro, day, **_):
    paragraphs = [
        intro + f" {h.He} loved to run.",
        f'{day} there was a big race at {o}. {f.name}, {a(f.kind)}, said, "I am the fastest. You cannot win!" {h.name} only smiled and said, "I will do my best."',
        f"Ready, set, go! {f.name} ran ahead very fast. But soon {f.name} stopped to rest and to eat some {food}. {h.name} did not stop. {h.He} kept going, step by step.",
        f"When {f.name} looked up, {h.name} was already close to the end. {f.name} ran as fast as {f.he} could, but it was too late. {h.name} won the race!",
        f'"Well done," said {f.name}. "You never gave up." {h.name} gave {f.him} half of the prize, which was {a(tc)}. They both laughed.',
    ]
    return (
        paragraphs,
        "Slow and steady wins the race.",
        {
            "won": ("Who won the race?", f"{h.name} won the race."),
            "why": (f"Why did {f.name} lose?", f"{f.name} stopped to rest and to eat {food}."),
        },
    )


def party(h, f, fam, food, intro, day, **_):
    paragraphs = [
        intro + f" {h.He} liked to make {food}.",
        f"{day} {h.name} wanted to make a surprise for {h.his} {fam}. It was {h.his} {fam}'s birthday!",
        f"{h.name} asked {f.name} the {f.kind} to help. {f.name} brought flour, and {h.name} brought milk and sugar. They mixed everything in a big bowl. Soon there was flour on the floor, on the table, and on their noses!",
        f'"What a mess!" laughed {f.name}. But they cleaned the kitchen, and the {food} smelled wonderful.',
        f'When {h.his} {fam} came in, everyone shouted, "Surprise!" {h.His} {fam} was so happy. They ate the {food}, sang songs, and danced until bedtime.',
    ]
    return (
        paragraphs,
        "Doing something nice for others makes you happy too.",
        {
            "made": (f"What did {h.name} make?", f"{h.name} made {food}."),
            "whose": ("Whose birthday was it?", f"It was the birthday of {h.name}'s {fam}."),
        },
    )


def seed(choice, h, f, intro, day, **_):
    plant = choice(["sunflower", "apple tree", "pumpkin", "rose bush", "bean plant", "strawberry plant"])
    paragraphs = [
        intro + f" {h.He} had a small garden.",
        f'{day} {h.name} found a tiny seed. "What will you be?" {h.he} asked. {h.He} put the seed in the ground and gave it water.',
        f'Every day {h.name} looked at the ground, but nothing happened. "It is not growing," {h.he} told {f.name} the {f.kind}. "You must wait," said {f.name}. "Good things take time."',
        f"So {h.name} waited and watered, and watered and waited. Then one morning there was a small green leaf. The leaf grew and grew, and it became a beautiful {plant}!",
        f"{h.name} was very proud. {h.He} showed the {plant} to everyone in the village.",
    ]
    return (
        paragraphs,
        "Be patient, because good things take time.",
        {
            "grew": ("What grew from the seed?", f"A beautiful {plant} grew from the seed."),
            "how": (f"What did {h.name} do every day?", f"{h.name} gave the seed water every day."),
        },
    )


def star(h, f, o, intro, **_):
    paragraphs = [
        intro + f" Every night {h.he} looked at the stars.",
        f"One night {h.name} saw a small star fall from the sky. It landed near {o}. {h.name} ran to find it.",
        f'The little star was crying. "I fell down, and I cannot get back home," it said. "Do not be sad," said {h.name}. "We will find a way."',
        f'{h.name} asked {f.name} the {f.kind} for help. {f.name} had an idea. "Let us climb to the top of the hill and throw the star up with a big blanket!" One, two, three, and up it flew, higher and higher.',
        f'The star was home again. It twinkled and said, "Thank you, my friends." Every night after that, the star shone just a little brighter for {h.name} and {f.name}.',
    ]
    return (
        paragraphs,
        "Even small friends can do big things.",
        {
            "what": (f"What did {h.name} find?", f"{h.name} found a little star that fell from the sky."),
            "how": (
                "How did the star get home?",
                "They threw it up into the sky with a big blanket from the top of the hill.",
            ),
        },
    )


# The names that a story may ask for; some plots go by two.
PLOTS = {
    "lost": lost,
    "share": share,
    "afraid": afraid,
    "help": help_out,
    "rain": rain,
    "lie": lie,
    "learn": learn,
    "treasure": treasure,
    "lonely": lonely,
    "race": race,
    "party": party,
    "seed": seed,
    "storm": rain,
    "stuck": help_out,
    "moon": treasure,
    "bake": party,
    "star": star,
    "kindness": lonely,
}


def make(r, kind=None, thing=None, plot=None):
    """A story from random numbers r; kind of hero, thing and plot may be given."""
    h = Who(r, kind)
    f = Who(r, None, (h.name,))
    p = r.choice(T["story_places"])
    o = r.choice(T["story_outings"])
    w = r.choice(T["story_weather"])
    c = r.choice(T["story_colors"])
    fam = r.choice(T["story_family"])
    food = r.choice(T["story_foods"])
    t = thing or r.choice(T["story_toys"])
    tc = t if t.split()[0] in T["story_colors"] or " " in t else c + " " + t
    choice = r.choice
    size = (
        choice(["little", "small", "young", "tiny"])
        if h.kind not in ("elephant", "whale")
        else choice(["big", "young"])
    )
    intro = choice(
        [
            f"Once upon a time, there was a {size} {h.kind} named {h.name}. {h.name} lived {p}.",
            f"Once upon a time, a {size} {h.kind} called {h.name} lived {p}.",
            f"{h.name} was {a(h.trait)} {size} {h.kind} who lived {p}.",
            f"There once was a {size} {h.kind} named {h.name}. {h.He} lived {p}.",
            f"Long ago, {p}, there lived {a(h.trait)} {h.kind} named {h.name}.",
        ]
    )
    fint = f"{a(f.kind)} named {f.name}"
    day = choice([f"One {w} day,", f"One {w} morning,", "One day,", f"On a {w} afternoon,", "Early one morning,"])
    bye = choice(
        [
            f"From that day on, {h.name} and {f.name} were best friends.",
            f"{h.name} and {f.name} played together every day after that.",
            f"That night, {h.name} fell asleep with a big smile.",
            f"And {h.name} never forgot that {w} day.",
            f"{h.name} went home happy, and {h.his} {fam} gave {h.him} a warm hug.",
        ]
    )
    plot = plot or choice(list(PLOTS))
    scene = {
        "choice": choice,
        "h": h,
        "f": f,
        "p": p,
        "o": o,
        "w": w,
        "fam": fam,
        "food": food,
        "t": t,
        "tc": tc,
        "intro": intro,
        "fint": fint,
        "day": day,
        "bye": bye,
    }
    paragraphs, moral, facts = PLOTS[plot](**scene)
    if r.random() < 0.35:
        paragraphs.append(
            choice(
                [
                    f"{moral}",
                    f"The moral of the story is: {moral[0].lower() + moral[1:]}",
                    f"{h.name} learned something important that day. {moral}",
                ]
            )
        )
    if r.random() < 0.15:
        paragraphs.append("The end.")
    facts["name"] = (
        choice([f"What was the name of the {h.kind}?", "Who is the story about?", f"What is the {h.kind} called?"]),
        f"The story is about {h.name}, {a(h.kind)}.",
    )
    facts["home"] = (f"Where did {h.name} live?", f"{h.name} lived {p}.")
    facts["moral"] = (
        choice(
            ["What is the moral of the story?", "What can we learn from this story?", f"What did {h.name} learn?"]
        ),
        moral,
    )
    return {
        "text": "\n\n".join(paragraphs),
        "hero": h.name,
        "kind": h.kind,
        "friend": f.name,
        "fkind": f.kind,
        "thing": t,
        "place": o,
        "plot": plot,
        "facts": facts,
    }
