"""The model class `upg` in lm-evaluation-harness.  Run by `make ecosystem`, which installs the package."""
import math
import types

import lm_eval
import pytest
from lm_eval.api.registry import get_model

import upg
import upg.lm_eval  # noqa: F401  (registers the model)

TEXT = "Once upon a time there was a little turtle named Shelly."


def request(*arguments):
    return types.SimpleNamespace(args=arguments)


@pytest.fixture(scope="module")
def model():
    return get_model("upg")(threads=1, ctx=64)


def test_a_continuation_has_the_likelihood_of_its_tokens(model):
    (likelihood, greedy), (other, other_greedy) = model.loglikelihood(
        [request("Once upon a", " time"), request("Once upon a ", "xylophone")])
    assert -1 < likelihood <= 0 and greedy
    assert other < -5 and not other_greedy


def test_a_whole_text_has_the_likelihood_that_evaluate_gives(model):
    total, = model.loglikelihood_rolling([request(TEXT)])
    first, _ = model.loglikelihood([request("", TEXT[:4])])[0]
    result = upg.evaluate(model.model, TEXT)
    ids = model.model.tokenizer.encode(TEXT)
    with_prefix = model.model.logits([model.prefix_id, *ids[:-1]])
    expected = sum(float(row[i] - row.max() - math.log(sum(map(math.exp, row - row.max()))))
                   for row, i in zip(with_prefix, ids))
    assert total == pytest.approx(expected, abs=1e-3)
    assert first < 0 and result["tokens"] == len(ids) - 1


def test_answers_stop_where_they_are_told_to(model):
    answer, = model.generate_until([request("Once upon a time", {"until": ["."], "max_gen_toks": 30})])
    assert answer and "." not in answer


def test_a_task_of_a_file_is_evaluated(model, tmp_path):
    (tmp_path / "lines.jsonl").write_text("".join(
        f'{{"question": "{question}", "choices": ["{good}", "{bad}"], "label": 0}}\n' for question, good, bad in
        [("Once upon a", "time", "xylophone"), ("She was very", "happy", "parliament"),
         ("They played in the", "park", "quantum")]))
    task = {"task": "lines", "dataset_path": "json", "dataset_kwargs": {"data_files": str(tmp_path / "lines.jsonl")},
            "test_split": "train", "output_type": "multiple_choice", "doc_to_text": "{{question}}",
            "doc_to_choice": "{{choices}}", "doc_to_target": "{{label}}", "metric_list": [{"metric": "acc"}]}
    results = lm_eval.simple_evaluate(model=model, tasks=[task], bootstrap_iters=0)
    assert results["results"]["lines"]["acc,none"] == 1.0
