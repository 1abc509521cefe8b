"""What docs/reference/hooks.md says of versions of the plugin API, and of what is stable."""

from qtlplat import API_VERSION

TEXT = f"""## Versions of this API

The version is `{API_VERSION}`: (major, minor). A plugin declares the one that it was written for.

- The same major version, an earlier or the same minor one: the plugin is loaded. A minor version only adds: hooks,
  specs, fields with a default, names in `qtlplat`.
- A later minor version: the plugin is loaded, and `qtlplat plugins doctor` notes that qtlplat should be upgraded. A
  spec with a field that does not exist yet fails in its hook.
- Another major version, or none: the plugin is refused with a sentence that names both versions.
- What is to be removed is deprecated first: it works, with a warning, for at least one minor version of qtlplat and for
  six months. It is removed with the next major version of this API. The changelog lists both.

## What a plugin may import

- **Stable**, covered by the version above: every name in `qtlplat`, the classes in `qtlplat.testing`, and
  `qtlplat.extras.require_packages`.
- **For exporters and commands**, which read stored runs: `qtlplat.store.read.queries.Reader` with the records that it
  returns (`qtlplat.store.core.records`), `qtlplat.models` (stored models), `qtlplat.catalog.reopen` (stored plans and
  data), `qtlplat.cli.settings.pass_settings` and `qtlplat.cli.render.output`. They change with a minor version only,
  and the changelog says so.
- **Everything else is internal.** Plugins that are released with qtlplat, as `qtlplat_bench`, use internal modules.
  Do not copy that."""
