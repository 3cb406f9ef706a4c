"""Why a driver's or an observer's hooks cannot be used, in words that name the mistake.

pluggy finds a wrong argument when a plugin is registered, a misspelt hook later, and a forgotten
`@hookimpl` never; and it needs an instance. These checks find all three, in a class too, so that
`movable drivers` can say what is wrong with a package that nobody has used yet.
"""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from inspect import Parameter, getattr_static, isgeneratorfunction, signature
from typing import Any

from movable.hookspecs import BATCH_HOOKS, HOOKS, PROJECT, MovableBatches, MovableDriver

ALL_HOOKS = (*HOOKS, *BATCH_HOOKS.values())
_SPECIFIED = {
    hook: tuple(signature(getattr(specification, hook)).parameters)[1:]
    for specification, hooks in ((MovableDriver, HOOKS), (MovableBatches, BATCH_HOOKS.values()))
    for hook in hooks
}


def missing_hooks(driver: object) -> tuple[str, ...]:
    """A sentence for each hook that *driver*, a class or an instance, does not answer."""
    answered = {
        options["specname"] or name
        for name, _, options in _hookimpls(driver)
        if not options["wrapper"]
    }
    return tuple(_missing(driver, hook) for hook in HOOKS if hook not in answered)


def hook_problems(plugin: object) -> tuple[str, ...]:
    """A sentence for each `@hookimpl` of *plugin* that would not work as it stands."""
    return tuple(
        problem
        for name, function, options in _hookimpls(plugin)
        for problem in _problems(name, function, options)
    )


def _hookimpls(plugin: object) -> Iterator[tuple[str, Any, dict[str, Any]]]:
    """Name, function as it is called and options of each method marked with `@hookimpl`."""
    for name in dir(plugin):
        found = getattr_static(plugin, name, None)
        options = getattr(getattr(found, "__func__", found), f"{PROJECT}_impl", None)
        if isinstance(options, dict):
            yield name, _as_called(plugin, found), options


def _as_called(plugin: object, found: Any) -> Any:
    """What a caller would get, for a class as if it had been instantiated."""
    owner = plugin if isinstance(plugin, type) else type(plugin)
    return found.__get__(object(), owner) if hasattr(found, "__get__") else found


def _missing(driver: object, hook: str) -> str:
    if callable(getattr_static(driver, hook, None)):
        return f"{hook} is no hook: did you forget @hookimpl on {hook}?"
    return f"has no hook {hook}({', '.join(_SPECIFIED[hook])})"


def _problems(name: str, function: Any, options: dict[str, Any]) -> Iterator[str]:
    hook = options["specname"] or name
    if hook not in ALL_HOOKS:
        if not options["optionalhook"]:
            near = get_close_matches(hook, ALL_HOOKS, n=1, cutoff=0)
            yield f"{hook} is not a hook: did you mean {near[0]}?"
        return
    if options["hookwrapper"]:
        yield f"{name} is an old-style wrapper: write @hookimpl(wrapper=True), not hookwrapper"
    if options["wrapper"] and not isgeneratorfunction(function):
        yield f"{name} is a wrapper without a yield: it must yield once, where the driver is asked"
    for argument in _required(function):
        if argument not in _SPECIFIED[hook]:
            yield (
                f"unexpected argument {argument!r} of {name}:"
                f" the hook has {', '.join(_SPECIFIED[hook])}"
            )


def _required(function: Any) -> list[str]:
    """The arguments that pluggy will pass."""
    positional = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
    parameters = signature(function).parameters.values()
    return [p.name for p in parameters if p.kind in positional and p.default is p.empty]
