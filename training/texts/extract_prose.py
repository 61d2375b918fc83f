"""Prose from the sources: encyclopaedia, novels, children's books, textbooks, stories, fairy tales."""

import csv
import html
import io
import json
import os
import re

from .mirror import Writer


def clean_wiki_line(s):
    s = html.unescape(s)
    s = s.replace("\u00a0", " ").replace("\u200b", "").replace("\ufeff", "")
    s = re.sub(r"<[^>\n]{1,80}>", "", s)
    s = re.sub(r"\s*\(\s*[;,:\s]*\)", "", s)  # emptied brackets
    s = re.sub(r"\(\s*[;,:]\s*", "(", s)
    s = re.sub(r"\s+([,.;:])(?=\s|$)", r"\1", s)
    s = re.sub(r"[ \t]{2,}", " ", s).strip()
    return s


# Titles of lists, years, days and pages about the encyclopaedia itself.
NOT_AN_ARTICLE = re.compile(
    r"(List|Lists|Index|Outline|Timeline|Table) of |.*\(disambiguation\)|\d{1,4}( BC)?s?$|\d+s? in "
    r"|January|February|March \d|April \d|May \d|June \d|July \d|August \d|September|October|November|December"
    r"|Wikipedia:|Template:|Portal:"
)
DOC = re.compile(r'<doc id="(\d+)"[^>]*? title="(.*?)">\n(.*?)</doc>', re.S)


def wiki_articles(raw, minlen, maxlen):
    for m in DOC.finditer(raw):
        title = html.unescape(m.group(2))
        body = m.group(3)
        if NOT_AN_ARTICLE.match(title):
            continue
        lines = body.split("\n")
        if lines and lines[0].strip() == title:
            lines = lines[1:]
        out, size = [], 0
        for ln in lines:
            ln = clean_wiki_line(ln)
            if not ln or "formula_" in ln or "__" in ln or "{" in ln or "|" in ln:
                continue
            if (
                re.fullmatch(r".{1,60}\.", ln)
                and ln.count(" ") < 9
                and not re.search(r" (is|was|are|were|has|had) ", ln)
            ):
                # WikiExtractor's section heading: keep as a short line
                ln = ln[:-1]
                if re.match(
                    r"(References|External links|See also|Notes|Bibliography|Further reading|Sources|Footnotes|Citations|Gallery|Works cited)$",
                    ln,
                    re.I,
                ):
                    break
                out.append("\n" + ln if out else ln)
                size += len(ln) + 2
                continue
            if len(ln) < 40:
                continue
            nonasc = sum(ord(c) > 0x24F for c in ln)
            if nonasc * 12 > len(ln):
                continue
            out.append(ln)
            size += len(ln) + 1
            if size > maxlen:
                break
        while out and len(out[-1].strip()) < 60:
            out.pop()  # no heading at the end
        text = "\n".join(out).strip()
        if len(text) < minlen:
            continue
        yield title, text


def wiki_core(mirror, out):
    w = Writer(out, "wiki")
    rev = "1c0fac92f29f17c1603bfffbe864e0dfdff66897"
    files = [
        (p, s) for p, s, n in mirror.ls("jason-feng/wikiVisual", rev) if re.match(r"text/A[A-D]/wiki_\d\d$", p) and n
    ]
    for (p, _), raw in zip(files, mirror.blobs("jason-feng/wikiVisual", [s for _, s in files])):
        for title, text in wiki_articles(raw.decode("utf-8", "replace"), 400, 10000):
            w.put(title, text)
    w.done()


def wiki_new(mirror, out):
    w = Writer(out, "wiki_new")
    files = [(p, s) for p, s, n in mirror.ls("Vibhas-hs-edu/WikiTasks") if re.match(r"text/AA/wiki_\d\d$", p) and n]
    for (p, _), raw in zip(files, mirror.blobs("Vibhas-hs-edu/WikiTasks", [s for _, s in files])):
        for title, text in wiki_articles(raw.decode("utf-8", "replace"), 300, 2500):
            w.put(title, text)
    w.done()


def unwrap(text):
    """join hard-wrapped lines into paragraphs"""
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\t", " ")
    paras = re.split(r"\n[ ]*\n+", text)
    out = []
    for p in paras:
        lines = [l.rstrip() for l in p.split("\n") if l.strip()]
        if not lines:
            continue
        if len(lines) > 1 and sum(len(l) for l in lines) / len(lines) < 45 and len(lines) < 60:
            out.append("\n".join(l.strip() for l in lines))  # verse or list
        else:
            out.append(re.sub(r"\s+", " ", " ".join(l.strip() for l in lines)))
    t = "\n\n".join(out)
    t = re.sub(r"\[(Illustration|Footnote|Transcriber)[^\]]*\]", "", t, flags=re.I)
    t = t.replace("\u00a0", " ").replace("--", " -- ") if t.count("--") > 5 else t
    t = re.sub(r"_([^_\n]{1,80})_", r"\1", t)
    t = re.sub(r" +-- +", " -- ", t)
    return t


def strip_pg(text):
    m = re.search(r"\*\*\* ?START OF (?:THIS|THE) PROJECT GUTENBERG.*?\*\*\*", text, re.S)
    if m:
        text = text[m.end() :]
    else:
        m = re.search(r"\*END\*?THE SMALL PRINT.*?\*END\*", text, re.S)
        if m:
            text = text[m.end() :]
    m = re.search(
        r"\*\*\* ?END OF (?:THIS|THE) PROJECT GUTENBERG|End of (?:the )?Project Gutenberg|End of The Project Gutenberg",
        text,
        re.I,
    )
    if m:
        text = text[: m.start()]
    head = text[:3000]
    m = None
    for m in re.finditer(
        r"(Produced by|Transcribed (?:by|from)|Distributed Proofread|HTML version|E-text prepared|pgdp\.net|Gutenberg).*?\n\s*\n",
        head,
        re.S,
    ):
        pass
    if m:
        text = text[m.end() :]
    return text


def children(mirror, out):
    w = Writer(out, "children")
    for d in sorted(mirror.matching("GITenberg+*")):
        name = os.path.basename(d).replace("+", "/", 1)
        files = {p: (s, n) for p, s, n in mirror.ls(name) if n}
        m = re.search(r"_(\d+)$", name)
        if not m:
            continue
        no = m.group(1)
        pick = next((p for p in (f"{no}-0.txt", f"{no}.txt", f"{no}-8.txt", f"{no}-0.txt.utf8") if p in files), None)
        if pick is None:
            c = [p for p in files if p.endswith(".txt") and "/" not in p and files[p][1] > 20000]
            if not c:
                print("no text:", name)
                continue
            pick = c[0]
        raw = next(mirror.blobs(name, [files[pick][0]]))
        try:
            t = raw.decode("utf-8")
        except UnicodeDecodeError:
            t = raw.decode("latin-1")
        t = unwrap(strip_pg(t.replace("\r\n", "\n"))).strip()
        if len(t) < 10000:
            print("short:", name, len(t))
            continue
        w.put(re.sub(r"_\d+$", "", name.split("/")[1]).replace("-", " "), t)
    w.done()


def novels(mirror, out):
    w = Writer(out, "novels")
    seen = set()
    for repo in (
        "computationalstylistics/100_english_novels",
        "computationalstylistics/A_Small_Collection_of_British_Fiction",
    ):
        files = [(p, s) for p, s, n in mirror.ls(repo) if p.startswith("corpus/") and p.endswith(".txt") and n]
        for (p, _), raw in zip(files, mirror.blobs(repo, [s for _, s in files])):
            key = os.path.basename(p)[:-4]
            k2 = "_".join(key.split("_")[:2]).lower()
            if k2 in seen:
                continue
            seen.add(k2)
            t = unwrap(raw.decode("utf-8", "replace")).strip()
            w.put(key, t)
    repo = "COST-ELTeC/ELTeC-eng"
    files = [(p, s) for p, s, n in mirror.ls(repo) if re.match(r"level1/.*\.xml$", p) and n]
    for (p, _), raw in zip(files, mirror.blobs(repo, [s for _, s in files])):
        x = raw.decode("utf-8", "replace")
        t = re.search(r"<title[^>]*>(.*?)(?:: ELTeC|</title>)", x, re.S)
        title = re.sub(r"\s+", " ", t.group(1)).strip() if t else p
        m = re.search(r"<body.*?</body>", x, re.S)
        if not m:
            continue
        paras = [
            re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", "", a))).strip()
            for a in re.findall(r"<(?:p|l|head)\b[^>]*>(.*?)</(?:p|l|head)>", m.group(0), re.S)
        ]
        t = "\n\n".join(a for a in paras if a)
        w.put("ELTeC " + title, t)
    w.done()


def textbooks(mirror, out):
    w = Writer(out, "textbooks")
    for d in sorted(mirror.matching("openstax+osbooks-*")):
        name = os.path.basename(d).replace("+", "/", 1)
        lic = mirror.show(name, "LICENSE")[:200]
        if "NonCommercial" in lic or "Attribution" not in lic:
            continue
        files = [(p, s) for p, s, n in mirror.ls(name) if p.endswith("index.cnxml") and n]
        for (p, _), raw in zip(files, mirror.blobs(name, [s for _, s in files])):
            x = raw.decode("utf-8", "replace")
            x = re.sub(r"<(?:m:)?math\b.*?</(?:m:)?math>", "MATHGAP", x, flags=re.S)
            x = re.sub(r"<(metadata|exercise|table|figure|glossary)\b.*?</\1>", "", x, flags=re.S)
            t = re.search(r"<title>(.*?)</title>", x, re.S)
            title = html.unescape(re.sub(r"<[^>]+>", "", t.group(1))) if t else ""
            paras = []
            for a in re.findall(r"<(?:para|title|item)\b[^>]*>(.*?)</(?:para|title|item)>", x, re.S):
                a = re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", "", a))).strip()
                if not a or "MATHGAP" in a or "Figure" in a and len(a) < 80:
                    continue
                paras.append(a)
            t = "\n".join(paras)
            if len(t) > 800:
                w.put(os.path.basename(d).split("osbooks-")[1] + "/" + title, t)
    w.done()


def tidy_story(t):
    t = (
        t.replace("\u201c", '"')
        .replace("\u201d", '"')
        .replace("\u2019", "'")
        .replace("\u2018", "'")
        .replace("\r", "")
    )
    t = re.sub(r"\n\s*\n+", "\n", t)
    t = re.sub(r"[ \t]+", " ", t)
    t = "\n\n".join(l.strip() for l in t.split("\n") if l.strip())
    return t.strip()


def stories(mirror, out):
    w = Writer(out, "stories")
    seen = set()
    a = mirror.show(
        "gusjengis/toy-RNN", "data/tinystories_sample.txt", "e4c7ff8bba4ff7989e69a3a816ebe4b14813b41e"
    ).split("<|endoftext|>")[:-1]
    b = mirror.show("mines-opt-ml/decoding-gpt", "data/tinystories_10k.txt")
    b = re.split(r"<\|endoftext\|>|\n\n\n+", b)
    for src in (a, b):
        for t in src:
            t = tidy_story(t)
            if len(t) < 150:
                continue
            if t[-1] not in ".!?\"'":
                t = t[: max(t.rfind("."), t.rfind("!"), t.rfind('"')) + 1]
            if t[:100] in seen or len(t) < 150:
                continue
            if len(t) > 6000:
                continue
            seen.add(t[:100])
            w.put("", t)
    w.done()


def held_out_stories(mirror, out):
    w = Writer(out, "stories_val")
    t = mirror.show("yuninxia/moe-routing-bench", "data/tinystories_val.txt").split("Once upon a time")
    for x in t[1:]:
        x = tidy_story("Once upon a time" + x)
        if len(x) > 150:
            w.put("", x)
    w.done()


def fairy_tales(mirror, out):
    w = Writer(out, "fairy")
    qa = Writer(out, "fairy_qa")
    for p, sha, n in mirror.ls("uci-soe/FairytaleQAData"):
        m = re.match(r"data-by-origin/section-stories/(.*?)/(.*)-story\.csv$", p)
        if not m or not n:
            continue
        rows = list(csv.DictReader(io.StringIO(mirror.show("uci-soe/FairytaleQAData", p))))
        secs = [re.sub(r"\s+", " ", r.get("text") or "").strip() for r in rows]
        secs = [s for s in secs if s]
        title = m.group(2).replace("-", " ")
        if not secs:
            continue
        w.put(title, "\n\n".join(secs))
        q = mirror.show(
            "uci-soe/FairytaleQAData", f"data-by-origin/questions/{m.group(1)}/{m.group(2)}-questions.csv"
        )
        for r in csv.DictReader(io.StringIO(q)):
            s = (r.get("cor_section") or r.get("section") or "").strip().split(",")[0]
            question, ans = (r.get("question") or "").strip(), (r.get("answer1") or r.get("answer") or "").strip()
            if not question or not ans or not s.isdigit() or not 1 <= int(s) <= len(secs):
                continue
            qa.put(title, json.dumps([secs[int(s) - 1], question, ans]))
    w.done()
    qa.done()
