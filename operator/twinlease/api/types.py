"""Types that the kinds share: the base struct, scalars with their bounds, references and conditions."""

from typing import Annotated, Any, TypeAlias

from msgspec import Meta, Struct, field

from twinlease.api.rules import matching, rule, validations

GROUP = "twinlease.io"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"


class Model(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Base of everything in an object: immutable, camelCase on the wire, defaults left out when written.

    Unknown fields are ignored when read, so that an operator keeps working beside CRDs newer than itself.
    """


def described(text: str, **schema: Any) -> Meta:  # noqa: ANN401  # JSON schema values are of any type
    """Return the annotation that gives a field its description and, if any, further schema keys."""
    return Meta(description=text, extra_json_schema=schema or None)


_OCTET = "(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_ADDRESS = f"({_OCTET}[.]){{3}}{_OCTET}"


def is_ipv4(expression: str) -> str:
    """Return the CEL expression of whether one is an IPv4 address; CEL's own functions of addresses came with 1.31."""
    return f"{expression}.matches('^{_ADDRESS}$')"


def is_network(expression: str) -> str:
    """Return the CEL expression of whether one is an IPv4 address with a prefix length."""
    return f"{expression}.matches('^{_ADDRESS}/(3[0-2]|[12]?[0-9])$')"


def number_of(address: str) -> str:
    """Return the CEL expression of an address as a number."""
    octets = (f"int({address}.split('.')[{place}]) * {256 ** (3 - place)}" for place in range(4))
    return f"({' + '.join(octets)})"


def first_of(network: str) -> str:
    """Return the CEL expression of a network's address as a number."""
    return number_of(f"{network}.split('/')[0]")


def size_of(network: str) -> str:
    """Return the CEL expression of how many addresses a network has; CEL has no powers."""
    sizes = ", ".join(str(2 ** (32 - length)) for length in range(33))
    return f"[{sizes}][int({network}.split('/')[1])]"


IPv4: TypeAlias = Annotated[
    str,
    Meta(max_length=15),
    validations(
        rule(
            is_ipv4("self"),
            "must be an IPv4 address without leading zeros, like 192.0.2.1",
            value="self",
        ),
        check={"format": "ipv4", "allowed": "be an IPv4 address without leading zeros, like 192.0.2.1"},
    ),
]
"""A dotted-quad IPv4 address without leading zeros."""

PlainIPv4: TypeAlias = Annotated[str, Meta(max_length=15)]
"""The same where a rule on the object around it judges, or where only our own programs write."""

IPv4Network: TypeAlias = Annotated[
    str,
    Meta(max_length=18),
    validations(
        rule(
            is_network("self"),
            "must be an IPv4 network in CIDR notation, like 192.0.2.0/24",
            value="self",
        ),
        rule(
            f"!{is_network('self')} || {first_of('self')} % {size_of('self')} == 0",
            "must be the network's own address, without host bits",
            value="self",
        ),
        check={"format": "ipv4-network", "allowed": "be an IPv4 network in CIDR notation, like 192.0.2.0/24"},
    ),
]
"""An IPv4 network in CIDR notation, without host bits."""

MAC: TypeAlias = Annotated[
    str,
    Meta(max_length=17),
    matching("^([0-9a-fA-F]{2}:){5}[0-9a-fA-F]{2}$", "be six octets with colons, like 02:00:00:00:00:01"),
]
"""An Ethernet hardware address, six colon-separated octets."""

Duration: TypeAlias = Annotated[str, Meta(min_length=2, max_length=16)]
"""A duration in whole seconds as Kubernetes writes it: ``30s``, ``5m``, ``1h30m``. ``rules.between`` bounds it."""

Port: TypeAlias = Annotated[int, Meta(ge=1, le=65535)]

DNSName: TypeAlias = Annotated[
    str,
    Meta(min_length=1, max_length=253),
    matching(
        r"^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*$",
        "be a domain name like example.org",
    ),
]

InterfaceName: TypeAlias = Annotated[
    str,
    Meta(min_length=1, max_length=15),
    matching("^[A-Za-z0-9][A-Za-z0-9_.@:-]*$", "be the name of a network interface, like eth0"),
]
"""A network interface's name; Linux allows 15 bytes."""

ObjectName: TypeAlias = Annotated[
    str,
    Meta(min_length=1, max_length=63),
    matching("^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$", "be an object's name: lower-case letters, digits, '-' and '.'"),
]

Quantity: TypeAlias = Annotated[
    int | str,
    Meta(
        extra_json_schema={
            "x-kubernetes-int-or-string": True,
            "pattern": r"^([0-9]+(\.[0-9]*)?|\.[0-9]+)([numkMGTPE]|[KMGTPE]i|[eE][+-]?[0-9]+)?$",
        }
    ),
]
"""A quantity as in a pod's resources, not negative: ``1Gi``, ``500m``, ``2``."""

Time: TypeAlias = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]
"""RFC 3339, UTC, whole seconds."""


class ObjectRef(Model, frozen=True, kw_only=True):
    """The name of an object in the same namespace."""

    name: Annotated[ObjectName, described("Name of the object, in the same namespace.")]


class Condition(Model, frozen=True, kw_only=True):
    """A condition as the Kubernetes API conventions define it."""

    type: Annotated[str, Meta(max_length=64), described("What it is about, in CamelCase.")]
    status: Annotated[
        str, Meta(extra_json_schema={"enum": ["True", "False", "Unknown"]}), described("Whether it holds.")
    ]
    reason: Annotated[
        str,
        Meta(pattern=r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$", max_length=64),
        described("Why, in one word in CamelCase."),
    ]
    message: Annotated[str, Meta(max_length=32768), described("Why, in words, with the numbers.")] = field(default="")
    observed_generation: Annotated[int, described("metadata.generation that this was judged for.")] = 0
    last_transition_time: Annotated[Time, described("When the status last changed.")] = ""


Conditions: TypeAlias = Annotated[
    tuple[Condition, ...],
    Meta(
        max_length=32,
        description="What holds of it and what does not, each with the reason.",
        extra_json_schema={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    ),
]

ObservedGeneration: TypeAlias = Annotated[int, described("metadata.generation that the status is about.")]

LABEL_VALUE = Meta(max_length=63)
"""Bound of a label's value."""
