"""`logs.cluster` with `method="kmeans"`: a few groups of similar lines.

Each distinct masked line becomes a vector of fixed size by the hashing trick (Weinberger et al.,
2009): every word adds to the place that its CRC-32 names, whatever words there are. Vectors of
unit length are grouped by Lloyd's algorithm with careful seeding (k-means++, Arthur and
Vassilvitskii, 2007), lines weighted by how often they occur. The number of groups is the one with
the best simplified silhouette (Hruschka et al., 2004) among a few. Nothing is random from call to
call.
"""

from collections import defaultdict
from collections.abc import Sequence
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from sensorium.capabilities.logs.engine import Group, Reading, answer, extent, read
from sensorium.capabilities.logs.masking import WILDCARD, spelled
from sensorium.capabilities.logs.patterns import SHOWN, Pattern, canonical, pattern_id
from sensorium.capabilities.logs.schema import ClusterRequest, ClusterResponse
from sensorium.core.operation import WorkContext

Vectors = NDArray[np.float32]

DIMENSIONS = 256
FITTED = 2_000
"""At most so many distinct lines, the most frequent ones, decide where the centres are."""
ROUNDS = 12
BLOCK = 4_000
CANDIDATES = (1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 32)
GOOD_SINGLE = 0.15
"""Below this silhouette no division is better than none."""


def vectorise(texts: Sequence[str]) -> Vectors:
    """Hashed word counts of shape (len(texts), DIMENSIONS), each row of unit length (or zero)."""
    vectors = np.zeros((len(texts), DIMENSIONS), dtype=np.float32)
    for row, text in zip(vectors, texts, strict=True):
        for word in text.split():
            row[crc32(word.encode()) % DIMENSIONS] += 1.0
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    np.divide(vectors, norms, out=vectors, where=norms > 0)
    return vectors


def _seed(points: Vectors, weights: NDArray[np.float64], k: int) -> Vectors:
    """k points far from one another, the heaviest first."""
    chosen = [int(np.argmax(weights))]
    distance = ((points - points[chosen[0]]) ** 2).sum(axis=1)
    while len(chosen) < k:
        chosen.append(int(np.argmax(distance * np.sqrt(weights))))
        distance = np.minimum(distance, ((points - points[chosen[-1]]) ** 2).sum(axis=1))
    centres: Vectors = points[chosen]
    return centres


def _distances(points: Vectors, centres: Vectors) -> Vectors:
    """Squared distances of shape (points, centres)."""
    squares = (points**2).sum(axis=1)[:, None] + (centres**2).sum(axis=1)[None, :]
    distances: Vectors = np.maximum(squares - 2.0 * points @ centres.T, 0.0).astype(np.float32)
    return distances


def _fit(
    points: Vectors, weights: NDArray[np.float64], k: int, context: WorkContext
) -> tuple[Vectors, float]:
    """Centres of k groups, and the weighted simplified silhouette of the division."""
    centres = _seed(points, weights, k)
    distances = _distances(points, centres)
    for _ in range(ROUNDS):
        context.check()
        nearest = distances.argmin(axis=1)
        sums = np.zeros_like(centres, dtype=np.float64)
        np.add.at(sums, nearest, points * weights[:, None])
        mass = np.bincount(nearest, weights=weights, minlength=k)
        moved = np.where(mass[:, None] > 0, sums / np.maximum(mass, 1e-9)[:, None], centres)
        if np.allclose(moved, centres, atol=1e-5):
            break
        centres = moved.astype(np.float32)
        distances = _distances(points, centres)
    if k == 1:
        return centres, GOOD_SINGLE
    two = np.sqrt(np.partition(distances, 1, axis=1)[:, :2])
    silhouette = (two[:, 1] - two[:, 0]) / np.maximum(two[:, 1], 1e-9)
    return centres, float(np.average(silhouette, weights=weights))


def _centres(
    points: Vectors, weights: NDArray[np.float64], most: int, context: WorkContext
) -> Vectors:
    """The centres of the best division into at most `most` groups."""
    distinct = len(np.unique(points, axis=0))
    tried = [k for k in CANDIDATES if k <= min(most, max(1, 1.5 * distinct**0.5))]
    divisions = [_fit(points, weights, k, context) for k in tried]
    # A finer division must be clearly better, or every line ends up alone.
    return max(divisions, key=lambda division: division[1] - 0.005 * len(division[0]))[0]


def _group_kinds(
    reading: Reading, request: ClusterRequest, context: WorkContext
) -> tuple[list[Group], dict[int, Group]]:
    counted = extent(reading.joined.records, context)
    kinds_of: dict[str, list[int]] = defaultdict(list)
    for kind in counted.counts:
        kinds_of[spelled(canonical(reading.keys[kind]))].append(kind)
    weight = {text: sum(counted.counts[k] for k in kinds) for text, kinds in kinds_of.items()}
    texts = sorted(kinds_of, key=lambda text: (-weight[text], text))
    fitted = vectorise(texts[:FITTED])
    weights = np.array([weight[text] for text in texts[:FITTED]], dtype=np.float64)
    centres = _centres(fitted, weights, request.max_clusters, context)
    groups: dict[int, Group] = {}
    of_kind: dict[int, Group] = {}
    for start in range(0, len(texts), BLOCK):
        context.check()
        block = texts[start : start + BLOCK]
        nearest = _distances(vectorise(block), centres).argmin(axis=1)
        for text, place in zip(block, nearest.tolist(), strict=True):
            template = text.replace(WILDCARD, SHOWN)
            kinds = kinds_of[text]
            if place not in groups:
                first, last = counted.first[kinds[0]], counted.last[kinds[0]]
                pattern = Pattern(pattern_id(("kmeans", text)), template)
                groups[place] = Group(pattern, first, last)
            found = groups[place]
            for kind in kinds:
                found.add(
                    template,
                    reading.natures[kind],
                    counted.counts[kind],
                    reading.joined.heads[kind],
                    counted.first[kind],
                    counted.last[kind],
                )
                of_kind[kind] = found
    return sorted(groups.values(), key=lambda group: (-group.count, group.first)), of_kind


def cluster(request: ClusterRequest, context: WorkContext) -> ClusterResponse:
    """Group lines by hashed word vectors; a cluster's template is its most frequent line's.

    Raises:
        CancelledCallError, DeadlineExceededError: see `WorkContext.check`.
    """
    reading = read(request.lines, strip_headers=request.strip_headers == "auto", context=context)
    if not request.lines:
        return answer(request, reading, [], {}, context)
    groups, of_kind = _group_kinds(reading, request, context)
    return answer(request, reading, groups, of_kind, context)
