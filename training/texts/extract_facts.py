"""Short texts from the sources: dialogues, questions, words, countries, and the articles of WikiText."""

import json
import os
import re

from .mirror import Writer


def dialogues(mirror, out):
    w = Writer(out, "dialogue")
    repo = "google-research-datasets/dstc8-schema-guided-dialogue"
    files = [(p, s) for p, s, n in mirror.ls(repo) if re.match(r"(train|dev|test)/dialogues_\d+\.json$", p) and n]
    for (p, _), raw in zip(files, mirror.blobs(repo, [s for _, s in files])):
        for d in json.loads(raw):
            turns = [(t["speaker"] == "USER", t["utterance"].strip()) for t in d["turns"]]
            w.put("sgd", json.dumps([u for _, u in turns]))
    repo = "alexa/Topical-Chat"
    for p, s, n in mirror.ls(repo):
        if re.match(r"conversations/(valid|test)_(freq|rare)\.json$", p) and n:
            for d in json.loads(next(mirror.blobs(repo, [s]))).values():
                turns, last = [], None
                for t in d["content"]:
                    m = re.sub(r"\s+", " ", t["message"]).strip()
                    if t["agent"] == last:
                        turns[-1] += " " + m
                    else:
                        turns.append(m)
                    last = t["agent"]
                w.put("topical", json.dumps(turns))
    w.done()


def trivia(mirror, out):
    w = Writer(out, "trivia")
    for p, s, n in mirror.ls("uberspot/OpenTriviaQA"):
        if not p.startswith("categories/"):
            continue
        cat = os.path.basename(p)
        raw = next(mirror.blobs("uberspot/OpenTriviaQA", [s])).decode("utf-8", "replace")
        for blk in raw.split("\n#Q ")[1:]:
            m = re.match(r"(.*?)\n\^ (.*?)\n(.*)", blk, re.S)
            if not m:
                continue
            q, a = re.sub(r"\s+", " ", m.group(1)).strip(), m.group(2).strip()
            opts = re.findall(r"^[A-D] (.*)$", m.group(3), re.M)
            w.put(cat, json.dumps([q, a, opts]))
    w.done()


def words(debian, out):
    w = Writer(out, "words")
    base = debian / "wordnet-base/usr/share/wordnet"
    count = {}
    for line in open(base / "cntlist.rev"):
        f = line.split()
        if len(f) == 3:
            lemma = f[0].split("%")[0]
            count[lemma] = count.get(lemma, 0) + int(f[2])
    for pos in ("noun", "verb", "adj", "adv"):
        off = {}
        for line in open(base / ("data." + pos)):
            if line.startswith("  "):
                continue
            pre, _, gloss = line.partition("|")
            off[pre.split()[0]] = gloss.strip()
        for line in open(base / ("index." + pos)):
            if line.startswith("  "):
                continue
            f = line.split()
            lemma = f[0]
            if not re.fullmatch(r"[a-z]{3,14}", lemma) or count.get(lemma, 0) < 2:
                continue
            gl = [off[o] for o in f if len(o) == 8 and o in off][:2]
            w.put(lemma, json.dumps([pos, count.get(lemma, 0), gl]))
    w.done()


def capitals(mirror, out):
    w = Writer(out, "capitals")
    for p, s, n in mirror.ls("factbook/factbook.json"):
        if not p.endswith(".json") or "/" not in p or p.startswith(("oceans", "antarctica", "world", "meta", "_")):
            continue
        try:
            d = json.loads(mirror.show("factbook/factbook.json", p))
        except Exception:
            continue

        def tx(*path):
            x = d
            for k in path:
                x = x.get(k, {}) if isinstance(x, dict) else {}
            return re.sub(r"<[^>]+>", "", x.get("text", "")) if isinstance(x, dict) else ""

        name = tx("Government", "Country name", "conventional short form") or tx(
            "Government", "Country name", "conventional long form"
        )
        cap = tx("Government", "Capital", "name")
        if not name or name == "none" or not cap or "none" in cap:
            continue
        w.put(
            name,
            json.dumps(
                [
                    cap.split(";")[0].split("(")[0].strip(),
                    p.split("/")[0],
                    tx("Introduction", "Background"),
                    tx("People and Society", "Languages", "Languages") or tx("People and Society", "Languages"),
                    tx("Geography", "Location"),
                ]
            ),
        )
    w.done()


def wikitext(mirror, out):
    for split in ("valid", "test"):
        w = Writer(out, "wikitext_" + split)
        raw = mirror.show("pytorch/examples", f"word_language_model/data/wikitext-2/{split}.txt")
        t = raw
        t = re.sub(r" @([-,.])@ ", r"\1", t)
        t = re.sub(r" ([,.;:!?%)\]])", r"\1", t)
        t = re.sub(r"([(\[]) ", r"\1", t)
        t = re.sub(r" '(s|re|ve|ll|t|d|m)\b", r"'\1", t)
        t = re.sub(r" n't", "n't", t)
        t = re.sub(r'" ([^"\n]*?) "', r'"\1"', t)
        arts, cur = [], None
        for ln in t.split("\n"):
            ln = ln.strip()
            m = re.fullmatch(r"= ([^=]+) =", ln)
            if m:
                cur = [m.group(1), []]
                arts.append(cur)
                continue
            if cur is None or not ln:
                continue
            m = re.fullmatch(r"(?:= )+(.*?)(?: =)+", ln)
            cur[1].append("\n" + m.group(1) if m else ln)
        for title, ls_ in arts:
            w.put(title, "\n".join(ls_).strip())
        w.done()
