"""What the operations on logs take and give."""

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

Severity = Literal["debug", "info", "notice", "warning", "error", "critical"]
SEVERITIES: tuple[Severity, ...] = ("debug", "info", "notice", "warning", "error", "critical")

Count = Annotated[int, Meta(ge=0, le=2**53)]
Index = Annotated[int, Meta(ge=-1, le=2**53)]
Share = Annotated[float, Meta(ge=0, le=1)]
Lines = Annotated[
    list[str],
    Meta(
        description="Log lines as they were written, oldest first.",
        max_length=10_000_000,
        examples=[["2024-05-01 12:00:00 INFO listening on port 8080"]],
    ),
]
StripHeaders = Annotated[
    Literal["auto", "never"],
    Meta(
        description="auto: time, host, process, level and logger are recognised and left out of "
        "the templates wherever they are found; never: the whole line counts."
    ),
]
MaskSecrets = Annotated[
    bool,
    Meta(
        description="Replace credentials, mail addresses and card numbers in examples. "
        "Templates never hold them."
    ),
]
TimeStamp = Annotated[str, Meta(max_length=64)]
ClusterId = Annotated[
    str,
    Meta(
        description="Derived from the template alone: the same pattern has the same id in every "
        "call.",
        max_length=32,
        examples=["5f0c2d1b9a7e4c38"],
    ),
]
Template = Annotated[
    str,
    Meta(
        description="The pattern; <*> marks what varies.",
        max_length=20_000,
        examples=["Connection from <*> timed out"],
    ),
]
Label = Annotated[
    str,
    Meta(description="A few words for people.", max_length=200, examples=["Timeouts"]),
]
Theme = Annotated[
    str,
    Meta(
        description="The subject that the pattern belongs to; empty where none is evident.",
        max_length=64,
        examples=["timeouts"],
    ),
]
Examples = Annotated[
    list[str],
    Meta(description="Lines of the pattern, the earliest first.", max_length=1_000),
]
ExampleCount = Annotated[
    int, Meta(description="How many example lines to give per cluster.", ge=0, le=100)
]


class ClusterRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Lines to cluster."""

    lines: Lines
    method: Annotated[
        Literal["templates", "kmeans"],
        Meta(
            description="templates: one cluster per pattern of message; kmeans: a few groups of "
            "similar lines by hashed word vectors."
        ),
    ] = "templates"
    max_clusters: Annotated[
        int,
        Meta(
            description="At most so many clusters are given, the largest first; the rest is "
            "counted in `other`. For kmeans also the largest k tried (up to 32).",
            ge=1,
            le=100_000,
        ),
    ] = 1_000
    strip_headers: StripHeaders = "auto"
    include_assignments: Annotated[
        bool, Meta(description="Give each line's cluster as an index into `clusters`.")
    ] = True
    examples: ExampleCount = 3
    mask_secrets: MaskSecrets = True


class Cluster(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One pattern of lines."""

    id: ClusterId
    template: Template
    label: Label
    theme: Theme
    severity: Annotated[Severity, Meta(description="The most telling of level and words.")]
    count: Annotated[Count, Meta(description="Lines, continuation lines included.")]
    records: Annotated[Count, Meta(description="Log entries: lines less continuation lines.")]
    share: Annotated[Share, Meta(description="`count` as a part of all lines.")]
    first_index: Annotated[Index, Meta(description="Index of its first line.")]
    last_index: Annotated[Index, Meta(description="Index of its last line.")]
    first_time: Annotated[
        Annotated[str, Meta(max_length=64)] | None,
        Meta(description="The time stamp of its first line, as written."),
    ] = None
    last_time: Annotated[
        Annotated[str, Meta(max_length=64)] | None,
        Meta(description="The time stamp of its last line, as written."),
    ] = None
    examples: Examples = field(default_factory=list)


class ThemeSummary(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A subject and its share of the lines."""

    name: Theme
    label: Label
    severity: Annotated[Severity, Meta(description="The worst among its clusters.")]
    count: Annotated[Count, Meta(description="Lines.")]
    share: Annotated[Share, Meta(description="`count` as a part of all lines.")]
    clusters: Annotated[
        list[ClusterId], Meta(description="Its clusters, the largest first.", max_length=100_000)
    ]


class Other(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `max_clusters` left out."""

    clusters: Annotated[Count, Meta(description="Clusters left out.")] = 0
    count: Annotated[Count, Meta(description="Their lines.")] = 0


class ClusterResponse(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Clusters, the largest first; their counts and `other.count` add up to `line_count`."""

    clusters: Annotated[
        list[Cluster], Meta(description="The patterns, the largest first.", max_length=100_000)
    ]
    assignments: Annotated[
        list[Index] | None,
        Meta(description="For each line an index into `clusters`; -1 for `other`."),
    ]
    themes: Annotated[
        list[ThemeSummary], Meta(description="Subjects, the largest first.", max_length=1_000)
    ]
    other: Annotated[Other, Meta(description="What `max_clusters` left out.")]
    line_count: Annotated[Count, Meta(description="Lines given.")]
    header_share: Annotated[
        Share, Meta(description="The part of the lines in which a header was recognised.")
    ]


Rate = Annotated[
    float, Meta(description="Lines of the pattern per 1,000 lines of its side.", ge=0, le=1_000)
]
Factor = Annotated[float, Meta(ge=0, le=1e12)]
Probability = Annotated[float, Meta(ge=0, le=1)]


class CompareRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Two sets of lines, such as an hour before and an hour after a deploy."""

    before: Lines
    after: Lines
    min_change: Annotated[
        float,
        Meta(description="A rate counts as changed from this factor on, up or down.", gt=1, le=1e6),
    ] = 2.0
    false_alarm_rate: Annotated[
        float,
        Meta(
            description="The part of the reported patterns that may be chance (Benjamini-Hochberg "
            "over all patterns).",
            gt=0,
            le=0.5,
        ),
    ] = 0.01
    max_changes: Annotated[
        int, Meta(description="At most so many patterns in each list.", ge=1, le=10_000)
    ] = 200
    strip_headers: StripHeaders = "auto"
    examples: ExampleCount = 3
    mask_secrets: MaskSecrets = True


class Change(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A pattern whose rate differs between the two sides."""

    id: ClusterId
    template: Template
    label: Label
    theme: Theme
    severity: Annotated[Severity, Meta(description="The most telling of level and words.")]
    before_count: Annotated[Count, Meta(description="Lines before.")]
    after_count: Annotated[Count, Meta(description="Lines after.")]
    before_rate: Rate
    after_rate: Rate
    factor: Annotated[
        Annotated[float, Meta(ge=0)] | None,
        Meta(description="after_rate / before_rate; null where it was never seen before."),
    ]
    p_value: Annotated[
        Probability,
        Meta(description="How likely so large a difference is by chance, bursts allowed for."),
    ]
    examples: Examples = field(default_factory=list)


Changes = Annotated[list[Change], Meta(max_length=10_000)]


class CompareResponse(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is new, gone, or changed in rate; the gravest and largest changes first."""

    new: Annotated[Changes, Meta(description="Seen only after, too often to be chance.")]
    gone: Annotated[Changes, Meta(description="Seen only before, too often to be chance.")]
    changed: Annotated[Changes, Meta(description="Seen on both sides at different rates.")]
    uncertain: Annotated[
        Changes,
        Meta(
            description="Seen on one side only, but so rarely that chance explains it; what calls "
            "for attention comes first."
        ),
    ]
    before_lines: Annotated[Count, Meta(description="Lines given as before.")]
    after_lines: Annotated[Count, Meta(description="Lines given as after.")]
    patterns: Annotated[Count, Meta(description="Distinct patterns on either side.")]
