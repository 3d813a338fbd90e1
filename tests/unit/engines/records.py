"""Lease-file records as dhcpd writes them."""


def lease(address: str, state: str, *, mac: str | None = "02:00:5e:00:53:01") -> bytes:
    """Return a lease record."""
    hardware = f'  hardware ethernet {mac};\n  uid "\\001\\002}}\\n";\n' if mac else ""
    return (
        f"lease {address} {{\n"
        "  starts 6 2026/11/21 15:00:00;\n"
        "  ends 6 2026/11/21 15:30:00;\n"
        "  tstp 6 2026/11/21 16:00:00;\n"
        f"  binding state {state};\n"
        "  next binding state expired;\n"
        "  rewind binding state free;\n"
        f"{hardware}"
        "}\n"
    ).encode()


HOST = (
    b"host r-nas-02005e005301 {\n  dynamic;\n  hardware ethernet 02:00:5e:00:53:01;\n  fixed-address 10.0.0.1;\n"
    b'        supersede host-name = "lease 10.0.0.9 {";\n'
    b"        if known {\n          option routers 10.0.0.1;\n        }\n"
    b"}\n"
)
DELETED = b"host h2 {\n  dynamic;\n  deleted;\n}\n"
ONE_LINE = b"host h3 { dynamic; deleted; }\n"
GROUP = b"group g {\n  dynamic;\n}\n"
FAILOVER = (
    b'failover peer "lan" state {\n  my state normal at 6 2026/11/21 15:00:00;\n'
    b"  partner state normal at 6 2026/11/21 15:00:00;\n  mclt 1800;\n}\n"
)
HEADER = (
    b"# The format of this file is documented in the dhcpd.leases(5) manual page.\n"
    b"# This lease file was written by isc-dhcp-4.4.3-P1\n\n# authoring-byte-order entry is generated, DO NOT DELETE\n"
    b"authoring-byte-order little-endian;\n\n"
)
SUBCLASS = b'subclass "c" 1:02:00:5e:00:53:01 {\n  dynamic;}\n'
