"""The cache of understood texts keeps its bound, and what is asked for."""

from models.intent.cache import UnderstandingCache
from models.intent.understanding import Guess, Understanding


def understood(intent):
    return Understanding(intent=intent, confidence=0.9, sure=True, candidates=(Guess(intent, 0.9),))


def test_what_was_asked_for_least_recently_goes_first():
    cache = UnderstandingCache(2)
    cache.put("a", understood("x"))
    cache.put("b", understood("y"))
    assert cache.get("a") == understood("x")
    cache.put("c", understood("z"))
    assert [cache.get(key) is not None for key in "abc"] == [True, False, True]
    assert (cache.hits, cache.misses, len(cache)) == (3, 1, 2)


def test_what_is_put_again_is_fresh():
    cache = UnderstandingCache(2)
    for key in "aba":
        cache.put(key, understood(key))
    cache.put("c", understood("c"))
    assert cache.get("b") is None
    assert cache.get("a") is not None


def test_a_size_of_nothing_turns_it_off():
    cache = UnderstandingCache(0)
    cache.put("a", understood("x"))
    assert cache.get("a") is None
    assert (cache.hits, cache.misses, len(cache)) == (0, 0, 0)
