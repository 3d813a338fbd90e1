"""The operator: watches, one cache, one loop; what to do is decided by pure functions of an immutable snapshot.

``watch`` feeds ``cache``, ``loop`` takes pairs from a queue, ``snapshot`` freezes what is known of one pair,
``reconcile`` turns that into steps, ``apply`` carries them out.
"""
