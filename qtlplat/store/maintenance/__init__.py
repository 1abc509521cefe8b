"""Work on whole stores: check, back up, recover, merge, empty the trash.

Each module is one operation of `qtlplat store`; what several need about damage lies in `findings` and `salvage`.
A run in progress is never changed from here.
"""
