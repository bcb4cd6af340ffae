"""``make bench-report``: measure (gather), draw (draw), and write docs/performance.md and the README's rows (pages).

Records lie under build/report/, those of ``make bench-peers`` under build/peers/: see ``records.py``.
"""
