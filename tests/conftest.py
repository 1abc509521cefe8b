"""One thread per process: the tests run side by side, and idle threads that wait for work would slow them all."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
