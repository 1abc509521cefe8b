"""Finding components by name: unknown, ambiguous, broken."""

from __future__ import annotations

import pytest
from fake_plugins import HEAD, Install

from qtlplat.catalog.catalog import Catalog
from qtlplat.catalog.host import load_plugins
from qtlplat.errors import PluginError, UsageError


def test_a_component_is_found_by_name_and_by_distribution() -> None:
    catalog = Catalog(load_plugins())
    for ref in ("linear", "qtlplat:linear", "QTLPlat:linear"):
        component = catalog.component("head", ref)
        assert (component.spec.name, component.provider.distribution) == ("linear", "qtlplat")


def test_a_kind_has_its_own_names() -> None:
    with pytest.raises(UsageError, match="unknown backbone 'linear'"):
        Catalog(load_plugins()).component("backbone", "linear")


def test_duplicate_head_names_name_both_distributions_and_the_way_out(install: Install) -> None:
    install("acme-heads", "clashing", HEAD.format(name="linear"), entry="clash")
    catalog = Catalog(load_plugins())
    with pytest.raises(PluginError) as caught:
        catalog.component("head", "linear")
    text = "\n".join(caught.value.lines())
    assert "acme-heads and by qtlplat" in text
    assert "acme-heads:linear" in text
    assert "qtlplat:linear" in text
    assert catalog.component("head", "acme_heads:linear").provider.distribution == "acme-heads"
    assert catalog.component("head", "mlp").provider.distribution == "qtlplat"


def test_an_unknown_name_lists_near_names_presets_and_broken_plugins(install: Install) -> None:
    install("broken-dist", "broken_for_catalog", "import nothing_like_this", entry="broken")
    catalog = Catalog(load_plugins())
    with pytest.raises(UsageError) as caught:
        catalog.component("head", "linaer", also_known=["dressed5x3"])
    text = caught.value.what
    assert "did you mean: linear" in text
    assert "dressed5x3" in text
    assert "plugin 'broken' of broken-dist might hold it, but failed to load" in text


@pytest.mark.parametrize("ref", ["broken", "broken-dist:anything"])
def test_naming_a_broken_plugin_gives_its_reason(ref: str, install: Install) -> None:
    install("broken-dist", "broken_and_named", "import nothing_like_this", entry="broken")
    with pytest.raises(PluginError, match="nothing_like_this"):
        Catalog(load_plugins()).component("head", ref)


def test_a_disabled_plugin_is_mentioned_for_an_unknown_name() -> None:
    catalog = Catalog(load_plugins(["linear"]))
    with pytest.raises(UsageError, match="plugin 'linear' of qtlplat might hold it, but is disabled in the registry"):
        catalog.component("head", "mlp")


def test_an_unknown_distribution_is_told_apart_from_an_unknown_component() -> None:
    catalog = Catalog(load_plugins())
    with pytest.raises(UsageError, match="unknown distribution 'qtlplatt'"):
        catalog.component("head", "qtlplatt:linear")
    with pytest.raises(UsageError, match="unknown head 'liner'"):
        catalog.component("head", "qtlplat:liner")
