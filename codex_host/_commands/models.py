"""`codex models`: what a provider offers."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Sequence

import click

from codex_host._layers import Layers, codex_home, load
from codex_host._model import Model
from codex_host._parts import LentParts, provider, provider_warnings
from codex_host._plugins import Plugins
from codex_host._transport import Transport
from codex_host.text import neutralise, visible

__all__ = ["command"]


@click.command("models")
@click.option("--provider", "name", metavar="NAME", help="The provider to ask, in place of the configured one.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object in place of lines.")
@click.option("-p", "--profile", metavar="NAME", help="The profile of config.toml to use.")
@click.option("-c", "--config", "assignments", multiple=True, metavar="KEY=VALUE", help="Set a config value.")
def command(name: str | None, as_json: bool, profile: str | None, assignments: Sequence[str]) -> None:
    """List the models that a provider offers, one a line; `*` marks the configured one.

    The list is the server's own (`GET {base_url}/models`), asked for with the same key, headers, proxy and time limits
    as any other request.
    """
    flags = {"model_provider": name} if name else {}
    layers = load(codex_home(os.environ), os.environ, flags, assignments, profile)
    for warning in (*layers.warnings, *provider_warnings(layers)):
        click.echo(f"codex: {neutralise(warning)}", err=True)
    models = asyncio.run(_offered(layers))
    wanted = layers.config.model
    configured = next((model for model in (wanted, f"{wanted}:latest") if model in models), None)  # a tag left out
    if as_json:
        told = {"provider": layers.config.model_provider, "configured": configured, "models": models}
        click.echo(json.dumps(told))
        return
    for model in models:
        click.echo(f"{'*' if model == configured else ' '} {' '.join(visible(model).split())}")
    if configured is None:
        click.echo(f"codex: the configured model, {visible(wanted)}, is not among them", err=True)


async def _offered(layers: Layers) -> Sequence[str]:
    """What the configured provider offers. Raises AuthenticationError for a missing key before anything is sent."""
    config = layers.config
    parts = LentParts(Plugins(disabled=config.disabled_plugins), config, layers)
    found = provider(parts, config.model_provider)
    wire = parts.found("wire_api", found.part.wire_api)
    async with Transport() as transport:
        model = Model(found.part, wire.part, transport, os.environ, found.origin, wire.origin)
        return await model.list_models()
