"""Commands made of functions and dataclasses: each field of the options is an option of the command."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import MISSING, dataclass, is_dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import typer

from voin.cli.console import report_errors
from voin.core.system import LESS
from voin.jobs.describe import Option, describe_options, make

# The groups of options, in the order in which help shows them.
PANELS = (
    *(
        "Methods",
        "What is judged",
        "The clip of figure11",
        "What it learns from",
        "Address",
        "Object",
        "Tracking",
        "Motion",
    ),
    *("Source", "Output", "Which clips", "Which objects are kept", "Which frames", "Input", "Limits", "Run"),
)


def argument(help: str, metavar: str) -> Any:
    """Declare an argument of a command."""
    return typer.Argument(help=help, metavar=metavar, show_default=False)


def option(panel: str, help: str, *flags: str, metavar: str | None = None) -> Any:
    """Declare an option of a command, which help shows in a panel; its name is that of its parameter, or `flags`."""
    return typer.Option(*flags, help=help, metavar=metavar, rich_help_panel=panel)


VideoArgument = Annotated[Path, argument("A video file, a folder of frames (PNG, JPEG), or a GIF.", "VIDEO")]
SetArgument = Annotated[Path, argument("A set that `voin data build` made.", "SET")]
Output = Annotated[Path, option("Output", "Folder for the result.", "--output", "-o")]
OutputFile = Annotated[Path, option("Output", "File to write.", "--output", "-o")]
Overwrite = Annotated[bool, option("Run", "Replace what the output holds already.", "--overwrite")]
Quiet = Annotated[bool, option("Run", "Print nothing but errors.", "--quiet", "-q")]
Json = Annotated[bool, option("Output", "Print JSON, for programs.", "--json")]
_Traceback = Annotated[bool, option("Run", "Show where an error comes from.", "--traceback")]


@dataclass(frozen=True)
class Show:
    """How a command shows a dataclass of settings: `Annotated[Settings, Show(...)]`.

    Args:
        without: names of options that this command lacks.
        panel: the panel for all of them; "" for those that they declare.
    """

    without: tuple[str, ...] = ()
    panel: str = ""


def command(
    stopped: str = "run the same command again to go on", less: str = LESS
) -> Callable[[Callable[..., None]], Any]:
    """Make a command of a function; where its parameters are dataclasses of settings, their options take their place.

    Its errors are reported, and it gets the option --traceback.

    Args:
        stopped: what a user who interrupts it should know; "{output}" stands for the option of that name.
        less: what makes it take less memory.
    """

    def make_command(run: Callable[..., None]) -> Callable[..., None]:
        hints, plain, settings = get_type_hints(run, include_extras=True), [], []
        for name, parameter in inspect.signature(run).parameters.items():
            hint = hints[name]
            kind, *shows = get_args(hint) if get_origin(hint) is Annotated else (hint,)
            if is_dataclass(kind):
                show = next((show for show in shows if isinstance(show, Show)), Show())
                found = describe_options(kind if parameter.default is parameter.empty else parameter.default)
                options = [option for option in found if option.flag and option.name not in show.without]
                settings.append((name, kind, options))
                plain += [_parameter(option, show.panel) for option in options]
            else:
                plain.append(_keyword(name, hint, parameter.default))
        plain.append(_keyword("show_traceback", _Traceback, False))

        def face(**given: Any) -> None:
            with report_errors(given.pop("show_traceback"), stopped.format(**given), less):
                made = {}
                for name, kind, options in settings:
                    made[name] = make(kind, {option.name: option.read(given.pop(_name(option))) for option in options})
                run(**given, **made)

        plain.sort(key=_place)
        face.__signature__ = inspect.Signature(plain)  # type: ignore[attr-defined]
        face.__annotations__ = {parameter.name: parameter.annotation for parameter in plain}
        face.__name__, face.__doc__, face.__module__ = run.__name__, run.__doc__, run.__module__
        return face

    return make_command


def _keyword(name: str, hint: Any, default: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=hint, default=default)


def _name(option: Option) -> str:
    """Name the parameter of an option: as flags are, no two are alike."""
    return option.flag.split()[0].lstrip("-").replace("-", "_").lower()


def _parameter(option: Option, panel: str) -> inspect.Parameter:
    """Make what typer makes an option of the command of."""
    default: Any = inspect.Parameter.empty if option.default is MISSING else option.write(option.default)
    kind = Literal[tuple(option.choices)] if option.choices else str if option.is_text else option.kind  # type: ignore[valid-type]
    flags = option.flag.split()
    if option.kind is bool and default in (True, None):
        flags = [f"{flags[0]}/--no-{flags[0].lstrip('-')}"]
    said = {
        "help": option.help,
        "metavar": option.more.get("metavar", option.unit.upper() or None),
        "envvar": option.more.get("envvar"),
        "show_default": default is not inspect.Parameter.empty,
    }
    if flags[0].startswith("-"):
        info = typer.Option(*flags, rich_help_panel=panel or option.more.get("panel"), **said)
    else:
        info = typer.Argument(**{**said, "metavar": option.more.get("metavar")})
    return _keyword(_name(option), Annotated[kind if default is not None else kind | None, info], default)


def _place(parameter: inspect.Parameter) -> int:
    """Return where a parameter stands in the help: arguments first, then options by their panels."""
    (info,) = get_args(parameter.annotation)[1:]
    return PANELS.index(info.rich_help_panel) if info.rich_help_panel else -1
