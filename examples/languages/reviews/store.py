"""Transactions over `atoll:state`: read, decide, commit, and begin again if another request was faster."""

from componentize_py_types import Err
from wit_world.exports import reviews
from wit_world.imports import transactions as state

TRIES = 24


async def ask(call):
    """What the store answers; `None` is a conflict. Its other refusals become those of this service's contract."""
    try:
        return await call
    except Err as error:
        match error.value:
            case state.Error_Conflict():
                return None
            case state.Error_Unavailable(why):
                raise Err(reviews.Error_Unavailable(why))
            case other:
                raise Err(reviews.Error_Internal(other.value))


class Transaction:
    """One try: what was read, and what is to be written if nothing of that has changed."""

    def __init__(self):
        self.checks, self.writes = [], []

    async def read(self, *keys: str) -> list[str | None]:
        """Reads keys in one snapshot. The commit demands that none of them has changed since."""
        found = await ask(state.get_many(list(keys)))
        self.checks += [state.Check(key, value.version if value else 0) for key, value in zip(keys, found)]
        return [value and value.value.decode() for value in found]

    def claim(self, key: str):
        """Demands that `key` is absent when the transaction commits. The key is not read now."""
        self.checks.append(state.Check(key, 0))

    def put(self, key: str, value: str):
        self.writes.append(state.Write_Put(state.Put(key, value.encode())))

    def delete(self, key: str):
        self.writes.append(state.Write_Delete(key))


async def transact(decide):
    """Runs `decide` and commits what it wrote; runs it again if something that it read has changed meanwhile.

    There is no pause between two tries: componentize-py has no `asyncio.sleep`. A commit waits for the disk, which
    spreads them.
    """
    for _ in range(TRIES):
        transaction = Transaction()
        answer = await decide(transaction)
        if not transaction.writes or await ask(state.commit(transaction.checks, transaction.writes)) is not None:
            return answer
    raise Err(reviews.Error_Unavailable("what this call changes changes too often"))


async def values(*keys: str) -> list[str | None]:
    """The values of keys in one snapshot."""
    return [value and value.value.decode() for value in await ask(state.get_many(list(keys)))]


async def page(prefix: str, after: str | None, limit: int) -> tuple[list[tuple[str, str]], str | None]:
    """Entries whose keys begin with `prefix`, and the key after which the next page begins."""
    found = await ask(state.scan(prefix, after, limit))
    return [(entry.key, entry.value.decode()) for entry in found.entries], found.next
