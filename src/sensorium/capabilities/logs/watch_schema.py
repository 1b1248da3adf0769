"""What `logs.watch` takes and gives."""

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from sensorium.capabilities.logs.schema import (
    ClusterId,
    Count,
    Label,
    MaskSecrets,
    Probability,
    Severity,
    Share,
    StripHeaders,
    Template,
    Theme,
)

MAX_SIGNATURES = 20_000
MAX_TOKENS = 64
MAX_SIGNATURE_CHARS = 1_000
MAX_EXAMPLE_CHARS = 500

Token = Annotated[str, Meta(max_length=MAX_SIGNATURE_CHARS)]
Words = Annotated[
    list[Token], Meta(description="The words; <*> marks what varies.", max_length=MAX_TOKENS)
]
Example = Annotated[str, Meta(description="A line of it.", max_length=1_000)]


class SignatureState(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A masked line that was seen, and how often."""

    tokens: Words
    text: Annotated[
        str, Meta(description="The same with its blanks.", max_length=2 * MAX_SIGNATURE_CHARS)
    ]
    count: Annotated[Count, Meta(description="Log entries.")]
    levels: Annotated[
        dict[Annotated[str, Meta(max_length=16)], Count],
        Meta(description="Log entries by their level.", max_length=32),
    ] = field(default_factory=dict)
    example: Example = ""
    known: Annotated[bool, Meta(description="It was reported, or learnt at the beginning.")] = False


class FamilyState(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Signatures that are kept together; `columns` is set when they were too many to keep each."""

    signatures: Annotated[
        list[SignatureState], Meta(description="Its lines.", max_length=MAX_SIGNATURES)
    ]
    columns: Annotated[
        Annotated[
            list[Annotated[list[Token], Meta(max_length=1_000)] | None],
            Meta(max_length=MAX_TOKENS),
        ]
        | None,
        Meta(description="Values at each position; null: too many."),
    ] = None


class HistoryState(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How often a pattern came in past windows."""

    id: ClusterId
    windows: Annotated[Count, Meta(description="Windows that ended.")]
    total: Annotated[Count, Meta(description="Log entries in all of them.")]
    squares: Annotated[float, Meta(description="Sum of their counts' squares.", ge=0, le=1e18)]


class WatchSnapshot(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All that a watch has learnt, as plain data: hand it to the next call to go on from here."""

    version: Annotated[int, Meta(description="Of this form of data.", ge=1, le=1)] = 1
    lines: Annotated[Count, Meta(description="Lines so far.")]
    records: Annotated[Count, Meta(description="Log entries so far.")]
    level: Annotated[
        int, Meta(description="How coarsely patterns are kept; 0: not coarsely.", ge=0, le=2)
    ]
    families: Annotated[
        list[FamilyState], Meta(description="What was seen.", max_length=MAX_SIGNATURES)
    ]
    histories: Annotated[
        list[HistoryState], Meta(description="How often it came.", max_length=MAX_SIGNATURES)
    ] = field(default_factory=list)


class WatchRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How to watch; the lines come as items of the stream."""

    window_lines: Annotated[
        int,
        Meta(description="Rates are judged once per so many log entries.", ge=10, le=1_000_000),
    ] = 1_000
    learn_lines: Annotated[
        int,
        Meta(
            description="Patterns among the first so many log entries are taken for normal.",
            ge=0,
            le=10_000_000,
        ),
    ] = 1_000
    summary_lines: Annotated[
        int,
        Meta(description="A summary is given once per so many log entries.", ge=100, le=10**9),
    ] = 10_000
    min_change: Annotated[
        float, Meta(description="A rate counts as changed from this factor on.", gt=1, le=1e6)
    ] = 3.0
    false_alarm_rate: Annotated[
        float,
        Meta(
            description="How likely one window may report a rate by chance, over all patterns.",
            gt=0,
            le=0.5,
        ),
    ] = 0.01
    max_clusters: Annotated[
        int, Meta(description="At most so many clusters in a summary.", ge=1, le=MAX_SIGNATURES)
    ] = 50
    strip_headers: StripHeaders = "auto"
    mask_secrets: MaskSecrets = True
    include_snapshot: Annotated[
        bool, Meta(description="End with a snapshot from which another call can go on.")
    ] = True
    snapshot: Annotated[
        WatchSnapshot | None, Meta(description="The snapshot of an earlier call to go on from.")
    ] = None


class WatchInput(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Some more lines."""

    lines: Annotated[
        list[str],
        Meta(description="Log lines as they were written, oldest first.", max_length=1_000_000),
    ]
    learn: Annotated[
        bool,
        Meta(description="Take what these lines hold for normal, and tell nothing of it."),
    ] = False
    at_once: Annotated[
        bool,
        Meta(description="Tell new patterns after these lines, not at the end of their window."),
    ] = False


class WatchCluster(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A pattern as the watch knows it."""

    id: ClusterId
    template: Template
    label: Label
    theme: Theme
    severity: Annotated[Severity, Meta(description="The most telling of level and words.")]
    count: Annotated[Count, Meta(description="Log entries so far.")]
    share: Annotated[Share, Meta(description="`count` as a part of all log entries.")]
    example: Example


class RateChange(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A pattern that came far more, or far less, often than before."""

    cluster: Annotated[WatchCluster, Meta(description="The pattern.")]
    window_count: Annotated[Count, Meta(description="Entries in the window that just ended.")]
    expected_count: Annotated[
        float, Meta(description="Mean of the windows before.", ge=0, le=2**53)
    ]
    p_value: Annotated[
        Probability, Meta(description="How likely so large a difference is by chance.")
    ]


class WatchSummary(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the watch stands."""

    lines: Annotated[Count, Meta(description="Lines so far.")]
    records: Annotated[Count, Meta(description="Log entries so far.")]
    patterns: Annotated[Count, Meta(description="Patterns so far.")]
    clusters: Annotated[
        list[WatchCluster], Meta(description="The largest patterns.", max_length=MAX_SIGNATURES)
    ]
    untold: Annotated[
        Count, Meta(description="New patterns that came too many at a time to be told singly.")
    ]
    coarsened: Annotated[
        bool,
        Meta(description="So many different lines came that some patterns are kept coarsely."),
    ]
    final: Annotated[bool, Meta(description="The stream of lines has ended.")]


class WatchEvent(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One thing to tell; the field named by `kind` is set."""

    kind: Annotated[
        Literal["pattern", "rate", "summary", "snapshot"], Meta(description="Which field is set.")
    ]
    records: Annotated[Count, Meta(description="Log entries when it was noticed.")]
    pattern: Annotated[WatchCluster | None, Meta(description="A pattern not seen before.")] = None
    rate: Annotated[RateChange | None, Meta(description="A pattern whose rate changed.")] = None
    summary: Annotated[WatchSummary | None, Meta(description="Where the watch stands.")] = None
    snapshot: Annotated[
        WatchSnapshot | None, Meta(description="From which another call can go on.")
    ] = None
