"""``make bench-report``: measure (gather, worker), draw (draw), and write docs/performance.md (write).

Records are JSON lines under build/report/, one measurement a line, each with the machine and the commit it was taken
on: so a run that was stopped goes on, and the page can be made from the records of several machines.
"""
