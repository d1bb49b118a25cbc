"""One `quintet read`: its settings, plan, main path (`reading`), progress and report.

Puts the other rooms together: `input`, `service`, `output`, `exports`. Nothing but the commands imports it.
"""
