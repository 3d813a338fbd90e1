"""ISC dhcpd 4.4: its syntax, state numbers, lease file and control interface, and nobody else's business.

This module stays free of imports: the guard, which is standard library only, passes through it.
"""
