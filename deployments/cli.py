"""The command ``raydesk``: reads arguments, calls the command, and turns what goes wrong into one or two plain lines.

Imports stay inside the commands, so that ``raydesk --help`` answers at once and only ``raydesk up`` loads Ray.
"""

import os
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import App, Group, Parameter, validators

if TYPE_CHECKING:
    from cluster.settings import Settings

Config = Annotated[Path | None, Parameter(help="The config file; else RAYDESK_CONFIG, else config.toml here.")]
Account = Annotated[str, Parameter(help="The account; needed only if several are configured.")]
FromStdin = Annotated[bool, Parameter(negative="", help="Read the password from standard input, one line.")]
_FAILED = 1
_INTERRUPTED = 130

app = App(
    name="raydesk",
    help="A customer-service engine on Ray: every message durable, in order, pushed to the best agent's desk.",
    version_flags=["--version"],
)
user = App(name="user", help="Who may log in.")
key = App(name="key", help="API keys.")
intent = App(name="intent", help="The intent model: teach it your own labels, and see what it is worth.")
app.command(user)
app.command(key)
app.command(intent)
_store_choice = Group("Store", validator=validators.MutuallyExclusive())


def main() -> None:
    """Run the command of this process' arguments, and exit with its status."""
    debug = "--debug" in sys.argv[1:]
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    try:
        status = app(arguments, exit_on_error=True, print_error=True, result_action="return_value")
    except KeyboardInterrupt:
        status = _INTERRUPTED
    except BrokenPipeError:
        # whoever read us has gone; nothing is left to say, not even at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        status = _FAILED
    except Exception as error:  # noqa: BLE001 - the last place to say it plainly
        if debug:
            traceback.print_exc()
        print(_plain(error), file=sys.stderr)
        status = _FAILED
    raise SystemExit(status or 0)


def _plain(error: Exception) -> str:
    """Say what went wrong without a traceback."""
    from cluster.settings import SettingsError
    from cluster.store.embedded import StoreError
    from deployments.commands.failure import CommandError
    from models.domain.errors import RaydeskError

    match error:
        case SettingsError():
            return "The settings are not right:\n" + "\n".join(f"  {problem}" for problem in error.problems)
        case CommandError() | StoreError() | RaydeskError():
            return str(error)
        case _:
            return f"{type(error).__name__}: {error}\nThis should not happen; --debug shows where it did."


def _settings(config: Path | None, overrides: Mapping[str, Any] | None = None, *, create: bool = True) -> "Settings":
    from cluster.settings import load_settings

    return load_settings(config, overrides, create_secrets=create)


@app.command
def up(
    *,
    config: Config = None,
    embed_redis: Annotated[
        bool, Parameter(negative="", group=_store_choice, help="Use the embedded store, whatever the config file says.")
    ] = False,
    redis_url: Annotated[str | None, Parameter(group=_store_choice, help="Use your own Valkey or Redis.")] = None,
    auto_scale: Annotated[
        bool, Parameter(negative="", help="Let the load raise the number of ingress replicas, up to the cores.")
    ] = False,
    demo: Annotated[
        bool, Parameter(negative="", help="Add the account 'demo' with an inbox, agents and an API key; print them.")
    ] = False,
    address: Annotated[str | None, Parameter(help="Join the Ray at this address instead of starting one.")] = None,
) -> int:
    """Start the whole system; Ctrl-C stops it.

    --debug, here and everywhere, shows where an error happened.
    """
    from deployments.commands.demo import load_demo
    from deployments.commands.layers import auto_scaled, layered
    from deployments.commands.up import Plan, run_up

    overrides: dict[str, Any] = {}
    if embed_redis or redis_url is not None:
        overrides["store"] = {"url": redis_url or ""}
    if address is not None:
        overrides["ray"] = {"address": address}
    settings = _settings(config, overrides)
    logins = load_demo(settings.store.data_dir) if demo else None
    if logins is not None:
        settings = _settings(config, layered(overrides, logins.overrides(), settings))
    return run_up(Plan(settings=auto_scaled(settings) if auto_scale else settings, demo=logins))


@app.command
def status(
    *,
    config: Config = None,
    watch: Annotated[bool, Parameter(negative="", help="Look again every second, until Ctrl-C.")] = False,
) -> int:
    """Show what runs: processes, sockets, queues, rates and latencies."""
    from deployments.commands.status import show_status

    return show_status(_settings(config, create=False), watch=watch)


@app.command
def down(*, config: Config = None) -> int:
    """Stop the system that `raydesk up` started with this data directory."""
    from deployments.commands.down import run_down

    return run_down(_settings(config, create=False))


@app.command(name="config")
def show_config(*, config: Config = None) -> int:
    """Print the settings that count, as TOML, with secrets masked."""
    from deployments.commands.effective import config_text

    print(config_text(_settings(config, create=False), config), end="")
    return 0


@app.command
def load(  # noqa: PLR0913 - these are the options of the command line
    scenario: Annotated[str, Parameter(help="A shipped scenario, or a TOML file.")] = "",
    *,
    config: Config = None,
    url: Annotated[str, Parameter(help="The system's HTTP door; else by its settings.")] = "",
    start: Annotated[
        bool, Parameter(negative="", help="Start a system with fitting settings in a folder of its own, and stop it.")
    ] = False,
    generators: Annotated[int, Parameter(help="Generator processes; 0 = as the scenario asks for.")] = 0,
    rate: Annotated[str, Parameter(help="Instead of the scenario's phases one steady rate, such as 2000/s.")] = "",
    lasts: Annotated[
        str, Parameter(name="--for", help="And for how long, such as 60s; with --find-knee, each rate.")
    ] = "",
    kill: Annotated[
        tuple[str, ...], Parameter(negative="", help="router@30s: a process dies; may be given several times.")
    ] = (),
    pause: Annotated[tuple[str, ...], Parameter(negative="", help="gateway:0@40s:5s: a process stands still.")] = (),
    cut: Annotated[
        tuple[str, ...],
        Parameter(negative="", help="gateway@40s:5s: nobody reaches a gateway or the ingress; with --start."),
    ] = (),
    rewrite: Annotated[tuple[str, ...], Parameter(negative="", help="store@20s: the store writes its log anew.")] = (),
    storm: Annotated[
        tuple[str, ...], Parameter(negative="", help="visitors:2000@60s: so many sockets break at once.")
    ] = (),
    expect: Annotated[str, Parameter(help="Conditions such as 'p99_ms<68,lost=0', beside the scenario's.")] = "",
    seed: Annotated[int | None, Parameter(help="Instead of the scenario's.")] = None,
    warm_up: Annotated[str, Parameter(help="Instead of the scenario's, such as 10s.")] = "",
    out: Annotated[Path, Parameter(help="Where report.html and report.json go.")] = Path("load-report"),
    find_knee: Annotated[
        bool, Parameter(negative="", help="Find what the system can take, and how it is around that.")
    ] = False,
    closed: Annotated[
        bool,
        Parameter(
            negative="", help="Keep --window messages of each writer unconfirmed, whatever the rate; --for: how long."
        ),
    ] = False,
    window: Annotated[int, Parameter(help="With --closed and --find-knee: unconfirmed messages of each writer.")] = 40,
    target: Annotated[str, Parameter(help="raydesk, valkey-relay, or module:Class of an adapter.")] = "raydesk",
    ray_address: Annotated[str, Parameter(help="The Ray for the generators; else one of their own.")] = "",
) -> int:
    """Drive a system with a scenario, audit every message, and write a report.

    Exit status: 0 passed, 1 failed, 2 it could not be run, 3 the run measured its own generators.
    """
    import shlex

    from cluster.load.scenario.faults import parse_fault, parse_storm
    from deployments.commands.load import CANNOT_RUN, LoadPlan, run_load

    try:
        faults = (
            *(parse_fault("kill", each) for each in kill),
            *(parse_fault("pause", each) for each in pause),
            *(parse_fault("cut", each) for each in cut),
            *(parse_fault("rewrite", each) for each in rewrite),
            *(parse_storm(each) for each in storm),
        )
    except ValueError as error:
        print(error, file=sys.stderr)
        return CANNOT_RUN
    return run_load(
        LoadPlan(
            scenario=scenario or ("knee" if find_knee else "smoke"),
            config=config,
            url=url,
            start=start,
            generators=generators,
            rate=rate,
            lasts=lasts,
            faults=faults,
            expect=expect,
            seed=seed,
            warm_up=warm_up,
            out=out,
            find_knee=find_knee,
            closed=closed,
            window=window,
            target=target,
            ray_address=ray_address,
            command=shlex.join(["raydesk", *sys.argv[1:]]),
        )
    )


def _people(config: Path | None, account: str, work: Callable[..., Any], *args: Any) -> int:
    from deployments.commands.people import run_with_directory

    return run_with_directory(_settings(config), account, work, *args)


@user.command(name="add")
def user_add(  # noqa: PLR0913 - these are the options of the command line
    name: str,
    *,
    config: Config = None,
    account: Account = "",
    role: Annotated[Literal["agent", "supervisor", "admin"], Parameter(help="What the user may do.")] = "agent",
    skill: Annotated[tuple[str, ...], Parameter(negative="", help="A skill; may be given several times.")] = (),
    capacity: Annotated[int, Parameter(help="Conversations held at once; 0 = the default of the settings.")] = 0,
    password_stdin: FromStdin = False,
) -> int:
    """Let somebody log in; the password is asked for."""
    from deployments.commands import people
    from models.domain.agent import User, check_user

    somebody = User(name=name, role=role, skills=skill, capacity=capacity)
    check_user(somebody)
    return _people(config, account, people.add_user, somebody, people.new_password(password_stdin))


@user.command(name="passwd")
def user_passwd(name: str, *, config: Config = None, account: Account = "", password_stdin: FromStdin = False) -> int:
    """Give a user another password; it is asked for."""
    from deployments.commands import people

    return _people(config, account, people.set_password, name, people.new_password(password_stdin))


@user.command(name="list")
def user_list(*, config: Config = None, account: Account = "") -> int:
    """List the users of an account."""
    from deployments.commands import people

    return _people(config, account, people.list_users)


@key.command(name="add")
def key_add(label: str, *, config: Config = None, account: Account = "") -> int:
    """Make an API key and print it, once."""
    from deployments.commands import people

    return _people(config, account, people.add_key, label)


@key.command(name="list")
def key_list(*, config: Config = None, account: Account = "") -> int:
    """List the API keys of an account; the keys themselves are not kept."""
    from deployments.commands import people

    return _people(config, account, people.list_keys)


@key.command(name="revoke")
def key_revoke(key_id: str, *, config: Config = None, account: Account = "") -> int:
    """Make an API key worthless, within a few seconds."""
    from deployments.commands import people

    return _people(config, account, people.revoke_key, key_id)


@intent.command(name="train")
def intent_train(  # noqa: PLR0913 - these are the options of the command line
    *,
    data: Annotated[
        tuple[Path, ...], Parameter(negative="", help="Labelled rows (JSONL); may be given several times.")
    ],
    out: Annotated[Path, Parameter(help="The folder of the artefact to be; a run that was interrupted goes on there.")],
    held_out: Annotated[
        tuple[Path, ...],
        Parameter(negative="", help="Labelled rows for calibration and figures; else a share of --data."),
    ] = (),
    measured: Annotated[
        tuple[Path, ...], Parameter(negative="", help="Labelled rows for the figures of the card only.")
    ] = (),
    unlabelled: Annotated[
        tuple[Path, ...], Parameter(negative="", help="Texts of your customers without labels (JSONL).")
    ] = (),
    unknown: Annotated[
        tuple[Path, ...], Parameter(negative="", help="Texts near your scope that nobody should answer (JSONL).")
    ] = (),
    taxonomy: Annotated[Path | None, Parameter(help="Your own intents; else the shipped taxonomy.")] = None,
    words: Annotated[Path | None, Parameter(help="Markdown for the model card: where the data come from.")] = None,
    group: Annotated[
        tuple[str, ...], Parameter(negative="", help="NAME=SOURCE,SOURCE: figures of several sources together.")
    ] = (),
    seed: Annotated[int, Parameter(help="All that is random follows from it.")] = 7,
    layers: Annotated[Literal[3, 4, 5, 6], Parameter(help="Layers of the student; its time grows with them.")] = 4,
    teacher_epochs: Annotated[int | None, Parameter(help="Epochs of the teacher; else the recipe's.")] = None,
    student_epochs: Annotated[int | None, Parameter(help="Epochs of the student; else the recipe's.")] = None,
    tiny: Annotated[
        bool, Parameter(negative="", help="Minutes instead of an hour, and a poor model: to try the road.")
    ] = False,
    keep_work: Annotated[bool, Parameter(negative="", help="Keep teacher and student in OUT/work.")] = False,
) -> int:
    """Train an intent model on labelled texts: teacher, student, int8, calibration, model card.

    A row is a JSON object with `text` and `intent`, and may have `lang` (zh, en) and `source`.
    """
    from deployments.commands.intent import TrainFiles, parse_groups, run_train
    from models.intent.train.recipe import Recipe, tiny_recipe

    epochs = {"teacher_epochs": teacher_epochs, "student_epochs": student_epochs}
    chosen = {name: number for name, number in epochs.items() if number is not None}
    recipe = Recipe(seed=seed, student_layers=layers, **chosen)
    files = TrainFiles(data, held_out, measured, unlabelled, unknown, taxonomy, words, out, parse_groups(group))
    return run_train(files, tiny_recipe(recipe) if tiny else recipe, keep=keep_work)


@intent.command(name="evaluate")
def intent_evaluate(
    *,
    data: Annotated[
        tuple[Path, ...], Parameter(negative="", help="Labelled rows (JSONL); may be given several times.")
    ],
    artifact: Annotated[Path | None, Parameter(help="The folder of a model; else the shipped one.")] = None,
    unknown: Annotated[tuple[Path, ...], Parameter(negative="", help="Texts that nobody should answer (JSONL).")] = (),
    group: Annotated[
        tuple[str, ...], Parameter(negative="", help="NAME=SOURCE,SOURCE: figures of several sources together.")
    ] = (),
    out: Annotated[Path, Parameter(help="Where the two pictures go.")] = Path("intent-report"),
) -> int:
    """Print accuracy, macro-F1, calibration and what is answered, per source and language; draw the confusions."""
    from deployments.commands.intent import parse_groups, run_evaluate

    return run_evaluate(data, artifact=artifact, unknown=unknown, groups=parse_groups(group), out=out)


if __name__ == "__main__":
    main()
