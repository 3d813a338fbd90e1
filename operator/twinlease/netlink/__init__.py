"""The node's interfaces and IPv4 addresses: read over netlink, chosen from by pure rules."""
