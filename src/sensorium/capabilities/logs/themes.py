"""The vocabulary of operations: subjects with their words.

These are words of the trade in general (what a person on call would search for), not messages of
any one product. Weights: 3 a phrase that settles the matter, 2 a word that names the subject, 1 a
word that goes with it, 0.5 a word that only tips a balance.
"""

from typing import NamedTuple


class Subject(NamedTuple):
    """A theme: its labels when all is well and when it is not, and its weighted words."""

    name: str
    calm: str
    trouble: str
    words: dict[float, str]
    phrases: tuple[str, ...] = ()


def words(text: str) -> frozenset[str]:
    """The words of a text, as a set."""
    return frozenset(text.split())


SUBJECTS = (
    Subject(
        "auth",
        "Logins",
        "Auth errors",
        {
            2: "auth authentication authenticate authenticated authenticating authorization "
            "authorized unauthorized unauthenticated login logon logout logoff logname password "
            "passwd credential credentials kerberos ldap sso oauth jwt preauth publickey "
            "sudo pam token",
            1: "user username account principal root",
            0.5: "session invalid unknown",
        },
        (
            "invalid user",
            "user unknown",
            "unknown user",
            "access token",
            "logged in",
            "logged out",
            "log in",
            "session opened",
            "session closed",
        ),
    ),
    Subject(
        "permissions",
        "Permissions",
        "Permission errors",
        {
            2: "permission permissions forbidden privilege privileges acl selinux apparmor",
            1: "denied deny disallowed",
        },
        (
            "permission denied",
            "access denied",
            "not permitted",
            "not allowed",
            "forbidden by rule",
            "read-only file system",
        ),
    ),
    Subject(
        "security",
        "Security",
        "Security alerts",
        {
            2: "attack intrusion exploit malware virus firewall fail2ban banned blocked tampered "
            "vulnerability spoof spoofed threat quarantine",
            1: "suspicious blacklist ban",
        },
        ("break-in attempt", "reverse mapping", "brute force", "port scan"),
    ),
    Subject(
        "timeouts",
        "Timing",
        "Timeouts",
        {3: "timeout timeouts timedout etimedout", 1: "deadline expired stalled unresponsive hung"},
        (
            "timed out",
            "time out",
            "deadline exceeded",
            "took too long",
            "not responding",
            "no response",
        ),
    ),
    Subject(
        "memory",
        "Memory",
        "Memory errors",
        {
            2: "memory heap oom outofmemoryerror swap malloc dimm ddr ecc edram gc garbage",
            1: "alloc allocation allocate ram cache parity",
        },
        ("out of memory", "oom-killer", "memory leak", "parity error", "cannot allocate"),
    ),
    Subject(
        "disk",
        "Disk",
        "Disk errors",
        {
            2: "disk disks filesystem fsck raid smart inode partition ext4 xfs nfs volume lun ssd "
            "enospc",
            1: "storage quota mount mounted unmount block blocks sector space",
        },
        (
            "no space left",
            "disk full",
            "disk usage",
            "i/o error",
            "input/output error",
            "bad sector",
        ),
    ),
    Subject(
        "files",
        "Files",
        "File errors",
        {2: "enoent", 1: "file files directory folder path chdir fopen"},
        (
            "no such file",
            "file not found",
            "too many open files",
            "does not exist",
            "cannot open",
            "failed to open",
        ),
    ),
    Subject(
        "dns",
        "Name resolution",
        "Name resolution errors",
        {
            3: "dns nxdomain getaddrinfo gethostbyname",
            2: "resolver nameserver hostname",
            1: "resolve resolved lookup",
        },
        ("name resolution", "unknown host", "no such host", "name or service not known"),
    ),
    Subject(
        "tls",
        "Certificates",
        "Certificate errors",
        {3: "tls ssl certificate certificates x509 cert", 1: "handshake cipher ca"},
        ("certificate has expired", "certificate verify failed"),
    ),
    Subject(
        "network",
        "Connections",
        "Connection errors",
        {
            2: "connection connections connect connected connecting disconnect disconnected "
            "disconnecting socket network tcp udp econnrefused econnreset unreachable peer proxy "
            "ethernet wifi wlan dhcp gateway",
            1: "channel port interface link packet packets route remote bind listening host ip "
            "received sent",
        },
        (
            "connection refused",
            "connection reset",
            "connection closed",
            "broken pipe",
            "no route to host",
            "network is unreachable",
            "link down",
            "link up",
        ),
    ),
    Subject(
        "database",
        "Database",
        "Database errors",
        {
            3: "sql deadlock postgres postgresql mysql sqlite oracle",
            2: "database databases db query queries transaction transactions rollback commit table "
            "checkpoint vacuum wal index replication replica replicas",
            1: "select insert update row rows schema cursor pool",
        },
        ("duplicate key", "lock wait", "slow query"),
    ),
    Subject(
        "http",
        "Web requests",
        "Web request errors",
        {
            2: "http https url endpoint webhook api",
            1: "request requests response status upstream client route uri",
        },
        ('"get ', '"post ', '"put ', "bad gateway", "internal server error", "not found"),
    ),
    Subject(
        "queues",
        "Queues",
        "Queue errors",
        {
            2: "queue queues kafka broker consumer producer topic offset backlog",
            1: "message messages publish subscribe enqueue dequeue",
        },
    ),
    Subject(
        "containers",
        "Containers and pods",
        "Container errors",
        {
            2: "container containers pod pods kubelet docker image images namespace "
            "crashloopbackoff deployment daemonset replicaset",
            1: "node cluster volume evicted",
        },
        ("back-off restarting", "pulling image"),
    ),
    Subject(
        "cluster",
        "Cluster coordination",
        "Cluster errors",
        {
            2: "quorum election leader follower elected vote raft paxos heartbeat heartbeats "
            "zookeeper etcd membership",
            1: "leadership peer epoch sync snapshot snapshotting worker",
        },
        ("leader election", "split brain"),
    ),
    Subject(
        "jobs",
        "Jobs",
        "Job errors",
        {
            2: "job jobs cron crond crontab scheduler scheduled task tasks attempt batch mapper "
            "reducer workflow",
            1: "stage executor progress queue",
        },
    ),
    Subject(
        "crashes",
        "Exceptions",
        "Crashes",
        {
            3: "segfault sigsegv sigabrt coredump traceback stacktrace backtrace oops panic",
            2: "exception crash crashed core abort aborted fatal",
            1: "unhandled uncaught signal dump interrupt assertion trap",
        },
        (
            "segmentation fault",
            "kernel panic",
            "core dumped",
            "null pointer",
            "nullpointerexception",
        ),
    ),
    Subject(
        "hardware",
        "Hardware",
        "Hardware errors",
        {
            2: "cpu processor hardware fan temperature thermal voltage power battery bios acpi pci "
            "usb firmware sensor machine torus midplane register tlb gpu",
            1: "device irq dma bus chip core driver kernel voltage",
        },
        ("machine check",),
    ),
    Subject(
        "display",
        "Display and input",
        "Display errors",
        {
            2: "display screen surface window touch keyboard lockscreen brightness ui rendering "
            "notification notifications orientation",
            1: "activity view frame layout animation audio volume",
        },
    ),
    Subject(
        "configuration",
        "Configuration",
        "Configuration errors",
        {
            2: "config configuration configure configured setting settings option options property "
            "properties parameter parameters deprecated environment yaml",
            1: "default parse reload reloaded unrecognized module",
        },
    ),
    Subject(
        "packages",
        "Packages and updates",
        "Package errors",
        {
            2: "install installed uninstall package packages upgrade upgraded dpkg apt rpm pip npm "
            "servicing unpacked",
            1: "version dependency dependencies update updates download",
        },
        ("half-installed", "half-configured"),
    ),
    Subject(
        "lifecycle",
        "Starts and stops",
        "Failed starts and stops",
        {
            2: "startup shutdown starting started stopping stopped restart restarted boot booting "
            "initialized initializing initialization terminated terminating exited exiting reboot "
            "launched ready",
            1: "start stop init exit loaded loading register registered service daemon",
        },
        ("shutting down", "shut down"),
    ),
)
