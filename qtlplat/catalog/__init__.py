"""From names to a plan: plugins are found and checked, components and presets named, a request resolved.

`host` loads plugins, `registry` reads presets, `resolve` makes the frozen `plan`; `contained` guards calls of plugins.
No torch here, and no data is read.
"""
