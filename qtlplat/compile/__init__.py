"""Torch functions recorded and replayed as flat programs, without modules, autograd or allocation.

`trace` records a step, `passes` simplify it, `buffer_plan` assigns memory; `recorder` writes operations as a graph.
Nothing here knows circuits or training, and only this room uses private torch API.
"""
