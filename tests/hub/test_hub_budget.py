"""Memory for requests is given in turn, and given back whatever happens."""

import asyncio

from toastbox.hub.budget import Budget


def test_what_does_not_fit_waits_its_turn() -> None:
    async def run() -> list[str]:
        budget, seen = Budget(100), list[str]()
        first_ends = asyncio.Event()

        async def take(name: str, size: int, until: asyncio.Event | None = None) -> None:
            async with budget.take(size):
                seen.append(name)
                if until:
                    await until.wait()

        tasks = [asyncio.create_task(take("first", 60, first_ends))]
        await asyncio.sleep(0)
        tasks += [asyncio.create_task(take("large", 80)), asyncio.create_task(take("small", 10))]
        await asyncio.sleep(0.01)
        assert seen == ["first"], "a small one does not overtake for ever"
        first_ends.set()
        await asyncio.gather(*tasks)
        return seen

    assert asyncio.run(run()) == ["first", "large", "small"]


def test_more_than_all_is_all() -> None:
    async def run() -> None:
        budget = Budget(100)
        for _ in range(3):
            async with budget.take(1000):
                pass

    asyncio.run(asyncio.wait_for(run(), 5))


def test_who_is_cancelled_while_waiting_takes_nothing() -> None:
    async def run() -> None:
        budget = Budget(100)

        async def take() -> None:
            async with budget.take(100):
                await asyncio.sleep(3600)

        holder = asyncio.create_task(take())
        await asyncio.sleep(0)
        waiting = [asyncio.create_task(take()) for _ in range(3)]
        await asyncio.sleep(0)
        for task in (waiting[0], holder, waiting[1], waiting[2]):
            task.cancel()
        await asyncio.gather(holder, *waiting, return_exceptions=True)
        async with budget.take(100):
            pass

    asyncio.run(asyncio.wait_for(run(), 5))
