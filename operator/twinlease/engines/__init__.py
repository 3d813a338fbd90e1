"""DHCP servers behind one seam. Nothing outside ``engines/<name>`` knows a server's syntax, numbers or files.

This module stays free of imports: the guard, which is standard library only, passes through it.
"""
