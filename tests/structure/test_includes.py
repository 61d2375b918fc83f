"""The tree keeps its rules, and each rule notices when it is broken."""
import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(__file__))
import rules

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))

# rule, files of a tree that breaks it, a part of the message
BROKEN = [
    (rules.includes_follow_the_layers, {"src/base/a.c": '#include "model/model.h"\n'}, "base may not include"),
    (rules.includes_follow_the_layers, {"src/server/a.c": '#include "engine/engine.h"\n'}, "may not include"),
    (rules.includes_follow_the_layers, {"src/cli/a.c": '#include <base/error.h>\n'}, "cli may not include"),
    (rules.includes_follow_the_layers, {"src/engine/a.c": '#include "base/none.h"\n'}, "does not exist"),
    (rules.includes_follow_the_layers, {"src/engine/a.c": '#include "other.h"\n'}, "no header of this tree"),
    (rules.includes_follow_the_layers, {"src/attic/a.c": "int x;\n"}, "has no line"),
    (rules.instruction_sets_stay_in_their_files, {"src/codec/a.c": "#include <immintrin.h>\n"}, "belongs into"),
    (rules.library_never_prints_or_exits, {"src/model/a.c": "void f(void)\n{\n    exit(1);\n}\n"}, "a.c:3:"),
    (rules.library_never_prints_or_exits, {"src/text/a.c": 'f() { fprintf(stderr, "x"); }\n'}, "does not print"),
    (rules.files_are_small, {"big.bin": "x" * (rules.MAX_FILE_BYTES + 1)}, "at most"),
    (rules.long_files_say_why, {"src/base/a.c": "/* a.c */\n" + "int x;\n" * 801}, "lines; split"),
    (rules.no_paths_of_a_machine, {"docs/a.md": "see /" + "home/someone/x\n"}, "somebody's machine"),
    (rules.no_debts, {"src/base/a.c": "/* TO" + "DO: later */\n"}, "known limits"),
    (rules.architecture_names_every_room, {"docs/architecture.md": "\n", "src/base/a.c": "\n"}, "does not name"),
    (rules.architecture_names_every_room, {"docs/architecture.md": "    src/gone/  x\n"}, "does not exist"),
    (rules.links_lead_somewhere, {"docs/a.md": "see [it](b.md)\n"}, "does not exist"),
]

# What looks like a violation and is none.
FINE = [
    (rules.instruction_sets_stay_in_their_files, {"src/codec/viterbi_avx2.c": "#include <immintrin.h>\n"}),
    (rules.includes_follow_the_layers,
     {"src/engine/a.c": '#include "engine/a.h"\n#include "a.h"\n#include <math.h>\n', "src/engine/a.h": "\n"}),
    (rules.library_never_prints_or_exits,
     {"src/base/a.c": '/* never exit() */\nchar *s = "printf()";\nint n = snprintf(s, 1, "");\n'}),
    (rules.library_never_prints_or_exits, {"src/cli/a.c": "f() { exit(2); }\n"}),
    (rules.long_files_say_why, {"src/base/a.c": "/* Long because it is a table. */\n" + "int x;\n" * 900}),
    (rules.links_lead_somewhere, {"docs/a.md": "[x](a.md#part) [y](https://example.org)\n"}),
]


def make_tree(folder, files):
    for path, text in files.items():
        full = folder / path
        full.parent.mkdir(parents=True, exist_ok=True)
        full.write_text(text)
    return rules.Tree(str(folder), list(files))


@pytest.mark.parametrize("rule", rules.RULES, ids=lambda rule: rule.__name__)
def test_tree_keeps_the_rule(rule):
    violations = list(rule(rules.Tree(ROOT)))
    assert not violations, "\n".join(violations)


@pytest.mark.parametrize("rule, files, message", BROKEN, ids=[f"{r.__name__}-{i}" for i, (r, *_) in enumerate(BROKEN)])
def test_rule_notices_a_violation(tmp_path, rule, files, message):
    violations = list(rule(make_tree(tmp_path, files)))
    assert len(violations) == 1 and message in violations[0]


@pytest.mark.parametrize("rule, files", FINE, ids=[f"{r.__name__}-{i}" for i, (r, *_) in enumerate(FINE)])
def test_rule_lets_the_allowed_pass(tmp_path, rule, files):
    assert not list(rule(make_tree(tmp_path, files)))
