"""An honest part of a set that is too large to be drawn whole."""

from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np

from featlib.features.files.dataset import VectorDataset

MAX_LABELS = 10_000  # a column with more is no class but a name


def sample_rows(dataset: VectorDataset, most: int, by: str | None = None, random_state: int = 0) -> np.ndarray:
    """Draws rows at random. Only labels are read, and only their counts are in memory.

    Args:
        dataset: n rows.
        most: how many rows to draw; all where there are fewer.
        by: a label column of which each label gets its share, so that none is over- or under-represented by chance.
            A column of more than 10,000 labels is not used.
        random_state: the seed.

    Returns:
        (min(n, most),) row numbers, ascending.

    Raises:
        FeatlibError: a file is damaged, or has changed since the set was opened.
    """
    if most >= len(dataset):
        return np.arange(len(dataset))
    random = np.random.default_rng(random_state)
    counts = _count(dataset, by) if by is not None else None
    if counts is None:
        return np.sort(random.choice(len(dataset), most, replace=False))
    chosen = {
        label: np.sort(random.choice(counts[label], share, replace=False))
        for label, share in shares(counts, most).items()
    }
    return _find(dataset, str(by), chosen)


def shares(counts: dict[str, int], most: int) -> dict[str, int]:
    """Divides `most` in proportion to the counts; what rounding leaves goes to the largest remainders."""
    labels, total = sorted(counts), sum(counts.values())
    exact = np.array([counts[label] * most / total for label in labels])
    whole = np.floor(exact).astype(int)
    rest = np.argsort(-(exact - whole), kind="stable")[: most - whole.sum()]
    whole[rest] += 1
    return dict(zip(labels, whole.tolist(), strict=True))


def _count(dataset: VectorDataset, by: str) -> Counter[str] | None:
    """How many rows each label has; None where there are too many labels."""
    counts: Counter[str] = Counter()
    for piece in dataset.labels(by):
        counts.update(piece)
        if len(counts) > MAX_LABELS:
            return None
    return counts


def _find(dataset: VectorDataset, by: str, chosen: dict[str, np.ndarray]) -> np.ndarray:
    """The rows that are the chosen occurrences of their labels."""
    rows, start = list[np.ndarray](), 0
    seen: defaultdict[str, int] = defaultdict(int)
    for piece in dataset.labels(by):
        labels = np.array(piece, dtype=object)
        for label in dict.fromkeys(piece):
            own = np.flatnonzero(labels == label)
            wanted = chosen[label] - seen[label]
            rows.append(start + own[wanted[(wanted >= 0) & (wanted < len(own))]])
            seen[label] += len(own)
        start += len(piece)
    return np.sort(np.concatenate(rows))
