"""Trained models after their run: loaded from the store for `predict` and for export.

`trained_run` answers without torch whether a model can be loaded; `loaded` loads it; `image_files` reads its inputs.
Nothing here trains or writes to the store.
"""
