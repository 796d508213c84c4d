from __future__ import annotations

import pytest

from include.pgml_engine.cache import ModelCache


def test_a_model_is_loaded_once():
    cache = ModelCache()
    loads = []
    for _ in range(3):
        assert cache.get(7, lambda: (loads.append(7) or "seven", 10)) == "seven"
    assert loads == [7] and cache.held_bytes == 10


def test_the_least_recently_used_goes_first():
    cache = ModelCache(max_models=3)
    for key in (0, 1, 2, 0, 3):
        cache.get(key, lambda: ("model", 1))
    assert sorted(cache._held) == [0, 2, 3] and cache.held_bytes == 3


def test_bytes_are_bounded_too_but_one_model_may_be_larger():
    cache = ModelCache(max_bytes=100)
    for key in range(5):
        cache.get(key, lambda: ("model", 40))
    assert len(cache) == 2 and cache.held_bytes == 80
    cache.get("large", lambda: ("model", 500))
    assert len(cache) == 1 and cache.held_bytes == 500


def test_a_load_that_fails_leaves_the_cache_as_it_was():
    cache = ModelCache()

    def fail():
        raise ValueError

    with pytest.raises(ValueError):
        cache.get(1, fail)
    assert len(cache) == 0 and cache.held_bytes == 0
