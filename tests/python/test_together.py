"""Many requests at once: threads, batches and asyncio share the steps of one engine."""
import asyncio
import gc
import os

import pytest

import upg

PROMPTS = ["Once upon a time", "The little dog", "One day, Lily", "There was a boat"]


@pytest.fixture(scope="module")
def alone(model):
    """What each prompt gives by itself."""
    return [model.generate(prompt, greedy=True, max_tokens=12).ids for prompt in PROMPTS]


def open_files():
    gc.collect()
    return len(os.listdir("/proc/self/fd"))


def test_a_batch_gives_what_each_gives_alone(model, alone):
    assert [answer.ids for answer in model.batch(PROMPTS, greedy=True, max_tokens=12)] == alone
    assert model.batch([]) == []


def test_a_batch_longer_than_the_queue(model):
    answers = model.batch([[1]] * 400, max_tokens=1, greedy=True, ignore_stop_ids=True)
    assert len(answers) == 400 and len({answer.ids[0] for answer in answers}) == 1


def test_a_batch_with_a_bad_prompt_starts_nothing(model):
    with pytest.raises(TypeError):
        model.batch(["Once", 5])


def test_a_prompt_that_begins_alike_is_not_computed_again(model):
    beginning = list(range(100, 300))
    model.generate(beginning, max_tokens=1)
    assert model.generate(beginning + [5], max_tokens=1).cached_tokens >= 128


def test_tasks_give_what_each_gives_alone(model, alone):
    async def main():
        return await asyncio.gather(*[model.agenerate(prompt, greedy=True, max_tokens=12) for prompt in PROMPTS])

    files = open_files()
    assert [answer.ids for answer in asyncio.run(main())] == alone
    assert open_files() == files


def test_an_async_stream_is_the_text_in_pieces(model):
    whole = model.chat("Tell me a story about a dog.", greedy=True, max_tokens=120)

    async def main():
        stream = await model.achat("Tell me a story about a dog.", greedy=True, max_tokens=120, stream=True)
        pieces = [piece async for piece in stream]
        return pieces, await stream.result()

    pieces, answer = asyncio.run(main())
    assert len(pieces) > 1  # what came while the loop had no time is one piece
    assert "".join(pieces) == answer.text == whole.text


def test_the_loop_runs_meanwhile(model):
    async def main():
        turns = 0
        task = asyncio.ensure_future(model.agenerate("Once", max_tokens=50, ignore_stop_ids=True))
        while not task.done():
            turns += 1
            await asyncio.sleep(0)
        return turns

    assert asyncio.run(main()) > 50


def test_a_cancelled_task_cancels_its_request(model):
    async def main():
        task = asyncio.ensure_future(model.agenerate("Once", ignore_stop_ids=True))
        await asyncio.sleep(0)  # the task has begun, and waits for its answer
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        async with await model.agenerate("Once", ignore_stop_ids=True, stream=True) as stream:
            await stream.__anext__()
        with pytest.raises(RuntimeError, match="closed"):
            await stream.result()

    files = open_files()
    asyncio.run(main())
    assert open_files() == files


def test_dropped_streams_and_refused_requests_leave_no_pipe(model):
    async def drop():
        async for _ in await model.agenerate("Once", ignore_stop_ids=True, stream=True):
            break

    async def refuse():
        with pytest.raises(upg.ArgumentError, match="temperature"):
            await model.agenerate("Once", temperature=-1)

    async def keep():
        return await model.agenerate("Once", ignore_stop_ids=True, stream=True)

    files = open_files()
    for leave in (drop, refuse, keep):  # within its loop, never begun, and when the loop is closed
        asyncio.run(leave())
        assert open_files() == files, leave


def test_an_error_comes_to_the_task(model):
    async def main():
        with pytest.raises(upg.ArgumentError, match="temperature"):
            await model.agenerate("Once", temperature=-1)
        return await model.agenerate("Once", max_tokens=2, ignore_stop_ids=True)

    files = open_files()
    assert asyncio.run(main()).completion_tokens == 2
    assert open_files() == files
