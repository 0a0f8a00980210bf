"""What every `LanguageModel` must do, as tests: the real one and the fake inherit `LanguageModelSuite` and pass it.

A subclass gives the fixture `model`: one that was not loaded yet and, asked anything, answers with several words.
"""

import contextlib

from parley_agent.engines import LanguageModel
from parley_agent.history import ChatMessage

QUESTION = (ChatMessage("system", "You are a helpful assistant."), ChatMessage("user", "Count from one to nine."))


class LanguageModelSuite:
    """Inherit, and give `model`."""

    async def test_a_reply_streams_text_and_ends_once_with_what_it_cost(self, model: LanguageModel) -> None:
        chunks = [chunk async for chunk in model.reply(QUESTION)]

        assert len([chunk for chunk in chunks if chunk.text]) > 1
        assert [chunk.ended for chunk in chunks[:-1]] == [None] * (len(chunks) - 1)
        assert chunks[-1].ended in {"stop", "length"}
        assert chunks[-1].usage.input_tokens > 0
        assert chunks[-1].usage.output_tokens > 0

    async def test_a_reply_that_is_closed_leaves_the_model_free_for_the_next(self, model: LanguageModel) -> None:
        async with contextlib.aclosing(model.reply(QUESTION)) as chunks:
            first = await anext(chunks)

        again = [chunk async for chunk in model.reply(QUESTION)]

        assert first.text
        assert again[-1].ended is not None

    async def test_warming_makes_it_resident(self, model: LanguageModel) -> None:
        await model.warm(QUESTION[:1])

        residency = await model.residency()

        assert residency is not None
        assert residency.model == model.name
        assert residency.size_bytes > 0
        assert residency.context_length > 0
