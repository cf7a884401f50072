from concurrent.futures import ThreadPoolExecutor

from featlib.lru import ByteLRU


def test_the_least_recently_used_value_is_dropped_first():
    cache = ByteLRU(max_bytes=20)
    cache.put("a", "A", 10)
    cache.put("b", "B", 10)
    assert cache.get("a") == "A"
    cache.put("c", "C", 10)
    assert len(cache) == 2
    assert cache.get("b") is None
    assert (cache.get("a"), cache.get("c")) == ("A", "C")


def test_replacing_a_value_replaces_its_bytes():
    cache = ByteLRU(max_bytes=20)
    cache.put("a", "A", 15)
    cache.put("a", "a", 5)
    cache.put("b", "B", 15)
    assert cache.nbytes == 20
    assert (cache.get("a"), cache.get("b")) == ("a", "B")


def test_the_newest_value_stays_even_if_it_is_too_large():
    cache = ByteLRU(max_bytes=20)
    cache.put("a", "A", 10)
    cache.put("large", "L", 100)
    assert cache.get("large") == "L"
    assert cache.get("a") is None
    cache.put("b", "B", 10)
    assert cache.get("large") is None
    assert cache.nbytes == 10


def test_threads_keep_the_count_of_bytes_right():
    cache = ByteLRU(max_bytes=1000)

    def use(worker):
        for i in range(2000):
            cache.put((worker * i) % 37, i, i % 91)
            cache.get(i % 37)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(use, range(1, 9)))
    assert cache.nbytes <= 1000
    cache.put("last", None, 1001)
    assert (len(cache), cache.nbytes) == (1, 1001)
