"""The two models: their shapes, the settings that trained them, and what they read."""

HEAD_DIM, CONTEXT, ROPE_THETA, NORM_EPS = 64, 2048, 250000.0, 1e-5

# batch: tokens a step; micro: rows at a time; learning rates of Muon (matrices) and AdamW (embedding, head, norms)
SIZES = {
    "tiny": {
        "layers": 6, "hidden": 512, "inter": 1792, "heads": 8, "kv": 2, "tied": True,
        "batch": 98 * 2048, "micro": 98, "muon_lr": 4.0e-3, "adam_lr": 3.0e-3, "weight_decay": 0.1,
    },
    "small": {
        "layers": 10, "hidden": 768, "inter": 2688, "heads": 12, "kv": 3, "tied": False,
        "batch": 128 * 2048, "micro": 64, "muon_lr": 3.0e-3, "adam_lr": 2.0e-3, "weight_decay": 0.1,
    },
}  # fmt: skip

# Share of the tokens by source: in the first part and in the last quarter of the time.  The real stories are few (0.9 M
# tokens): a run that showed them about 27 times made held-out stories worse, so they stay at a few per cent.
MIX = {
    "tiny": (
        {"wiki": 0.34, "wiki_new": 0.03, "novels": 0.24, "children": 0.13, "textbooks": 0.02, "fairy": 0.012,
         "stories": 0.006, "story_aug": 0.008, "story_gen": 0.04, "chats": 0.17, "chat_story": 0.006},
        {"wiki": 0.18, "wiki_new": 0.01, "novels": 0.10, "children": 0.11, "textbooks": 0.01, "fairy": 0.015,
         "stories": 0.006, "story_aug": 0.010, "story_gen": 0.07, "chats": 0.48, "chat_story": 0.010},
    ),
    "small": (
        {"wiki": 0.50, "wiki_new": 0.05, "novels": 0.22, "children": 0.07, "textbooks": 0.025, "fairy": 0.007,
         "stories": 0.004, "story_aug": 0.008, "story_gen": 0.012, "chats": 0.098, "chat_story": 0.006},
        {"wiki": 0.42, "wiki_new": 0.04, "novels": 0.14, "children": 0.08, "textbooks": 0.03, "fairy": 0.01,
         "stories": 0.004, "story_aug": 0.008, "story_gen": 0.02, "chats": 0.24, "chat_story": 0.008},
    ),
}  # fmt: skip
LAST_PART = 0.25  # of the time
