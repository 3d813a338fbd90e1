"""twinlease: highly available DHCP on Kubernetes."""

__version__ = "0.1.0.dev0"
