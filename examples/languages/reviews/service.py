"""The service `reviews` in Python: the contract `shop:reviews`. There is no HTTP here: the host makes HTTP from typed
routes. It calls `products`, which is JavaScript, and `users`, which is Rust, by their contracts.

State, as keys of the service's own bucket:
- `review/PRODUCT/ID` holds a review.
- `by/PRODUCT/USER` holds the id of the user's review of the product.
- `rating/PRODUCT` holds how many reviews there are, and the sum of their stars.

Keys that belong together change in one commit.
"""

import asyncio
import json
import os
import time

import store
from componentize_py_types import Err
from wit_world import exports
from wit_world.exports import reviews
from wit_world.imports import products, users

MAX_PAGE, PAGE, LONGEST_TEXT = 100, 50, 2000
# How many reviews one commit removes, each with two keys: the host bounds the writes of a commit.
REMOVED_AT_ONCE = 50
# 2026-01-01T00:00:00Z: a start later than 1970 leaves room for more years in the same bits.
EPOCH_MS = 1_767_225_600_000


def invalid(*errors: tuple[str, str]) -> Err:
    return Err(reviews.Error_Invalid([reviews.FieldError(pointer, detail) for pointer, detail in errors]))


def unavailable(why: str) -> Err:
    return Err(reviews.Error_Unavailable(why))


def new_id() -> int:
    """Grows with time. The random bits are the host's: those of `random` are the component's."""
    milliseconds = max(0, time.time_ns() // 1_000_000 - EPOCH_MS)
    return max(1, (milliseconds << 20 | int.from_bytes(os.urandom(4)) >> 12) & (2**63 - 1))


def review_key(product: int, id: int) -> str:
    return f"review/{product:020}/{id:020}"


def by_key(product: int, user: int) -> str:
    return f"by/{product:020}/{user:020}"


def rating_key(product: int) -> str:
    return f"rating/{product:020}"


def review(product: int, id: int, stored: str) -> reviews.Review:
    fields = json.loads(stored)
    return reviews.Review(id, product, fields["user"], fields["stars"], fields["text"])


async def of_neighbour(name: str, call, absent):
    """What a neighbour answers. Its `not-found` becomes `absent`, and all else `unavailable`."""
    try:
        return await call
    except Err as error:
        if type(error.value).__name__ == "Error_NotFound":
            raise absent
        why = getattr(error.value, "value", type(error.value).__name__)
        raise unavailable(f"{name}: {why}")


async def demand_product(product: int):
    await of_neighbour("products", products.get(product), Err(reviews.Error_NotFound()))


def accepted(given: reviews.NewReview) -> str:
    """The text as it is stored. Raises `invalid` with every field that breaks a rule."""
    text, errors = given.text.strip(), []
    if not 1 <= given.stars <= 5:
        errors.append(("/stars", "must be 1 to 5"))
    if not 1 <= len(text) <= LONGEST_TEXT:
        errors.append(("/text", f"must be 1 to {LONGEST_TEXT} characters"))
    if errors:
        raise invalid(*errors)
    return text


class Reviews(exports.Reviews):
    async def add(self, product: int, review: reviews.NewReview) -> reviews.Review:
        text = accepted(review)
        user, stars = review.user, review.stars
        no_user = invalid(("/user", "is no user of the shop"))
        # Both at once: neither waits for the other.
        await asyncio.gather(demand_product(product), of_neighbour("users", users.get(user), no_user))

        async def decide(transaction: store.Transaction) -> int:
            before, rating = await transaction.read(by_key(product, user), rating_key(product))
            if before:
                raise Err(reviews.Error_Conflict("the user has a review of this product"))
            id = new_id()
            transaction.claim(review_key(product, id))
            transaction.put(review_key(product, id), json.dumps({"user": user, "stars": stars, "text": text}))
            transaction.put(by_key(product, user), str(id))
            sums = json.loads(rating) if rating else {"count": 0, "stars": 0}
            sums = {"count": sums["count"] + 1, "stars": sums["stars"] + stars}
            transaction.put(rating_key(product), json.dumps(sums))
            return id

        return reviews.Review(await store.transact(decide), product, user, stars, text)

    async def list(self, product: int, limit: int | None, cursor: str | None) -> reviews.ReviewPage:
        limit = PAGE if limit is None else limit
        if not 1 <= limit <= MAX_PAGE:
            raise invalid(("/limit", f"must be a whole number from 1 to {MAX_PAGE}"))
        if cursor is not None and not (cursor.isascii() and cursor.isdigit() and len(cursor) <= 20):
            raise invalid(("/cursor", "is not a cursor of this list"))
        await demand_product(product)
        prefix = f"review/{product:020}/"
        after = None if cursor is None else review_key(product, int(cursor))
        entries, following = await store.page(prefix, after, limit)
        items = [review(product, int(key.removeprefix(prefix)), value) for key, value in entries]
        return reviews.ReviewPage(items, following and str(int(following.removeprefix(prefix))))

    async def summary(self, product: int) -> reviews.Rating:
        await demand_product(product)
        [stored] = await store.values(rating_key(product))
        if not stored:
            return reviews.Rating(0, 0.0)
        sums = json.loads(stored)
        return reviews.Rating(sums["count"], sums["stars"] / sums["count"])

    async def forget(self, product: int) -> None:
        async def decide(transaction: store.Transaction) -> bool:
            # The rating changes with each review: with it checked, no review is written while these are removed.
            [rating] = await transaction.read(rating_key(product))
            if not rating:
                return False
            prefix, sums = f"review/{product:020}/", json.loads(rating)
            entries, following = await store.page(prefix, None, REMOVED_AT_ONCE)
            for key, value in entries:
                fields = json.loads(value)
                transaction.delete(key)
                transaction.delete(by_key(product, fields["user"]))
                sums = {"count": sums["count"] - 1, "stars": sums["stars"] - fields["stars"]}
            if following is None:
                transaction.delete(rating_key(product))
            else:
                transaction.put(rating_key(product), json.dumps(sums))
            return following is not None

        while await store.transact(decide):
            pass
