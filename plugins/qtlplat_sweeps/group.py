"""A group of commands of which one needs no name: ``qtlplat sweep NAME ...`` next to ``qtlplat sweep show NAME``."""

from __future__ import annotations

import click


class GroupWithDefault(click.Group):
    """What is none of its commands goes to the default one, whose options the group's help shows.

    Args:
        default: The command; it is not listed.
    """

    def __init__(self, *args: object, default: click.Command, **options: object) -> None:
        super().__init__(*args, **options)  # type: ignore[arg-type]
        self.default = default
        default.hidden = True
        self.add_command(default)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Insert the name of the default command, unless a command or the help is asked for."""
        place = self._after_own_options(args)
        asked = args[place : place + 1]
        named = bool(asked) and (asked[0] in self.commands or asked[0] in ("-h", "--help"))
        if not named and not ctx.resilient_parsing:
            args = [*args[:place], self.default.name or "", *args[place:]]
        return super().parse_args(ctx, args)

    def _after_own_options(self, args: list[str]) -> int:
        """The place of the first argument that is no option of the group itself, nor the value of one."""
        own = {name: param for param in self.params if isinstance(param, click.Option) for name in param.opts}
        place = 0
        while place < len(args) and (param := own.get(args[place].partition("=")[0])):
            takes = not (param.is_flag or param.count or "=" in args[place])
            place += 1 + takes
        return place

    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Two lines: with a command and without."""
        formatter.write_usage(ctx.command_path, "[NAME] [OPTIONS]")
        formatter.write_usage(ctx.command_path, "COMMAND [ARGS]...", prefix="       ")

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Options of the default command, then the commands."""
        self.default.format_options(ctx, formatter)
        self.format_commands(ctx, formatter)
