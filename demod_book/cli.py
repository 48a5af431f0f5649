"""The command `demod`: the book, its verdicts, the data, the training, a picture of your own.

Exit status: 0 all is well; 1 the work failed, and the message says what to do; 2 the command line is wrong,
or names a picture that cannot be used.
"""

import signal
import subprocess
import sys
from enum import StrEnum
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console

from demod_book.claims.ledger import GROUPS
from demod_book.terminal import App, say, say_error, tracked

app = App()


class Profile(StrEnum):
    """How large the experiments are."""

    QUICK = "quick"
    FULL = "full"


class Device(StrEnum):
    """Where the numbers are computed."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"


Group = StrEnum("Group", {letter: letter for letter in GROUPS})  # type: ignore[misc] # mypy asks for a literal

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
LAST_SEED = 2**63 - 1  # that demod.arguments.check_seed takes
DEVICE = typer.Option(help="auto takes CUDA where there is one, else the CPU.")


def _fail(error: Exception, status: int = 1) -> NoReturn:
    say_error(str(error))
    raise typer.Exit(status)


def _version() -> str:
    try:
        return metadata.version("demod")
    except metadata.PackageNotFoundError:
        return "of a folder that is not installed"


@app.callback(invoke_without_command=True)
def command(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Show the version and exit.")] = False,
) -> None:
    """Blind demodulation with generative priors: the companion to the NeurIPS 2019 paper of Hand and Joshi."""
    if version:
        say(f"demod {_version()}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit(2)


@app.command()
def build(
    profile: Annotated[
        Profile, typer.Option(help="quick: two cores, minutes. full: the paper's sizes, for a GPU.")
    ] = Profile.QUICK,
    jobs: Annotated[int | None, typer.Option(min=1, help="Chapters that run at once. [default: one per core]")] = None,
    device: Annotated[Device, DEVICE] = Device.AUTO,
    chapter: Annotated[
        str | None, typer.Option(help="Execute and check one chapter, by its name or its file; leave the book as it is.")
    ] = None,
    limit: Annotated[
        float | None, typer.Option(min=0.01, help="Minutes for one chapter. [default: 30, full: a day]")
    ] = None,
    root: Annotated[
        Path, typer.Option(help="The folder of _config.yml and _toc.yml.", file_okay=False, exists=True)
    ] = Path(),
) -> None:
    """Execute the chapters and build the book into _build/html.

    A chapter runs again only if its code, the modules of demod that it reaches, weights, data or the lock file changed.
    Warnings are errors. A build that fails leaves the last good book as it was.
    """
    from demod_book.build.build import build as build_book
    from demod_book.build.folders import BuildError

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # stopped by `kill` or by Ctrl-C, the build stops its chapters
    try:
        build_book(
            root,
            profile=profile.value,
            device=device.value,
            jobs=jobs,
            limit=None if limit is None else 60 * limit,
            only=None if chapter is None else Path(chapter).name.removesuffix(".ipynb"),
            console=Console(highlight=False),
        )
    except BuildError as error:
        _fail(error)


@app.command(hidden=True)
def pdf(
    root: Annotated[Path, typer.Option(help="The folder of the book.", file_okay=False, exists=True)] = Path(),
) -> None:
    """Print the last build as one PDF, _build/demod.pdf: chapters and all other pages but the reference (minutes).

    Needs a Chromium, as CHROMIUM names it or as it is found on the path, and the packages of the extra demod[pdf].
    """
    from demod_book.build.folders import BuildError, Layout
    from demod_book.paper.browser import REMEDY, NoBrowser, find

    try:
        from demod_book.paper.book import make_pdf

        program = find()
        if program is None:
            raise NoBrowser(f"The book is printed by Chromium, which was not found: {REMEDY}")
        written = make_pdf(Layout(root.resolve()), program, partial(tracked, what="pages"))
    except (BuildError, NoBrowser) as error:
        _fail(error)
    except ModuleNotFoundError as error:
        _fail(ValueError(f"{error}: install the packages that print the book, `pip install demod[pdf]`."))
    say(f"The book on paper is {written.relative_to(root.resolve())}")


@app.command()
def claims(
    group: Annotated[
        Group | None,
        typer.Option(help=f"Only one group. {', '.join(f'{letter}: {title}' for letter, title in GROUPS.items())}."),
    ] = None,
    root: Annotated[Path, typer.Option(help="The folder whose last build is read.", file_okay=False, exists=True)] = Path(),
) -> None:
    """Show every line of the ledger with its criteria, what was measured, and the verdict.

    A claim of the paper is reproduced (all criteria hold), falsified (one fails) or vacuous (hypotheses out of reach); what
    we ask in addition is met or missed; an identity of the code holds or fails. Undecided: a 95 % interval straddles a
    bound. Measured: there is no bound. Where a full run of the chapter is stored, it decides.
    """
    from demod_book.build.build import last_build
    from demod_book.build.folders import BuildError, Layout
    from demod_book.claims.terminal import verdict_list
    from demod_book.pages.verdicts import read_verdicts

    layout = Layout(root.resolve())
    try:
        recorded = read_verdicts(layout.numbers, last_build(layout)["chapters"])
    except BuildError as error:
        _fail(error)
    Console(highlight=False).print(verdict_list(recorded, group or "".join(GROUPS)))


@app.command()
def data() -> None:
    """Find MNIST on this machine or download it, and verify every file by its SHA-256.

    It is looked for in the folder that DEMOD_DATA_DIR names, then in the user cache, then at public mirrors.
    """
    from demod.data import MNISTUnavailableError, load_mnist

    try:
        for split in ("train", "test"):
            images, _ = load_mnist(split)
            say(f"{split}: {len(images):,} images of {images.shape[1]} × {images.shape[2]} pixels, verified")
    except (MNISTUnavailableError, ValueError) as error:
        _fail(error)


@app.command()
def train(
    name: Annotated[
        str,
        typer.Argument(
            help="digits, distortions, digits-tuned, relu-digits, relu- and a family of modulators; encoder, "
            "encoder-refinement, relu-encoder."
        ),
    ],
    device: Annotated[Device, DEVICE] = Device.AUTO,
    folder: Annotated[Path, typer.Option(help="Where checkpoints and samples go; a run that was cut off goes on.")] = Path(
        "training"
    ),
    ship: Annotated[bool, typer.Option(help="Put the trained prior into demod/weights, with its card.")] = True,
    compiled: Annotated[
        bool, typer.Option("--compile", help="Have torch compile a DCGAN's networks; for CUDA: on a CPU it saves nothing.")
    ] = False,
    base_width: Annotated[int | None, typer.Option(min=1, help="Channels of a DCGAN's last hidden layer.")] = None,
    steps: Annotated[
        int | None, typer.Option(min=1, help="Steps in all; a longer run of a DCGAN continues a shorter one.")
    ] = None,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Images a step, of all processes together.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of the weights and of all that is drawn.")] = None,
) -> None:
    """Train a prior or an encoder (hours on a CPU for a DCGAN, minutes for the others) and ship it.

    digits and distortions are DCGANs, trained adversarially; digits-tuned begins as the shipped one and is trained as the
    decoder of an autoencoder; the relu- priors are bias-free ReLU networks, decoders too. encoder and
    relu-encoder map a picture to codes of two shipped priors; they are trained on the residual through these, and
    encoder-refinement on what the answer of the first one leaves.

    A run that is killed loses at most 100 steps: the same command takes it up again. Settings other than those of the
    shipped prior (base width, steps, batch size, seed) need --no-ship and a folder of their own.

    Several GPUs, or several processes on the CPU, share each batch of a DCGAN under torchrun:
    `torchrun --nproc-per-node 4 --no-python demod train digits`. The first writes the files.
    """
    from demod.data import MNISTUnavailableError
    from demod.training import loop, recipes
    from demod.training.distributed import processes, rank

    try:
        shipped = recipes.find_recipe(name)
        recipe = shipped.changed(base_width=base_width, steps=steps, batch_size=batch_size, seed=seed)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    if ship and recipe != shipped:
        _fail(ValueError("only a prior with the standard settings is shipped; add --no-ship, and a --folder."))
    chosen = _chosen(device)
    try:
        with processes(chosen) as own:
            run = loop.train(recipe.start(own, compiled=compiled), folder / name)
            first = rank() == 0
        if ship and first:
            card = recipes.ship(name, run, recipe.held_out_images())
            Console(highlight=False).print(f"{name} shipped: {recipes.shipped_as(card)}")
    except (MNISTUnavailableError, ValueError) as error:
        _fail(error)


def _chosen(device: Device) -> str:
    """Return the device as torch names it; CUDA where there is none ends the command."""
    import torch

    if device is Device.CUDA and not torch.cuda.is_available():
        _fail(ValueError("device is cuda, but torch sees no CUDA device; use auto or cpu."))
    return "cuda" if device is not Device.CPU and torch.cuda.is_available() else "cpu"


@app.command()
def study(
    blocks: Annotated[
        int, typer.Option(min=1, help="Blocks of 32 test digits of the paper's experiment; 8 is all of it.")
    ] = 8,
    jobs: Annotated[int, typer.Option(help="Tasks that run at once, on a thread each; -1: one per core.")] = -1,
    folder: Annotated[Path, typer.Option(help="Where finished tasks are kept; a study that was cut off goes on.")] = Path(
        "_build/study"
    ),
    output: Annotated[Path, typer.Option(help="The file to write, with its card beside it.")] = Path(
        "demod_book/results/image-study.npz"
    ),
) -> None:
    """Run every method on the same images (about two hours on two cores) and store the results that the book shows.

    Needs MNIST, whose test digits the study is of, and SimpleITK, which is in the extra demod[rivals].
    """
    from demod.data import MNISTUnavailableError
    from demod.studies.sweeps import check_jobs

    try:
        check_jobs(jobs)
    except ValueError as error:
        _fail(error, 2)
    try:
        from demod.studies.images import make_study  # says so where SimpleITK is missing

        found = make_study(output, folder, blocks=blocks, jobs=jobs)
    except (MNISTUnavailableError, ModuleNotFoundError, OSError, ValueError) as error:
        _fail(error)
    Console(highlight=False).print(f"{output}: {len(found.tasks)} tasks")


@app.command()
def recover(
    image: Annotated[Path, typer.Argument(help="The picture: PNG, JPEG, TIFF, GIF, BMP or WebP.", metavar="IMAGE")],
    output: Annotated[
        Path | None, typer.Option(help="The folder for the results, which must not exist. [default: NAME-recovered]")
    ] = None,
    tiles: Annotated[
        bool,
        typer.Option("--tiles", help="Cut into tiles of 64 × 64 pixels, each recovered by itself, instead of resizing."),
    ] = False,
    iterations: Annotated[int | None, typer.Option(min=1, help="Of the descent. [default: the best setting's]")] = None,
    starts: Annotated[
        int | None,
        typer.Option(min=1, help="Descents; the one with the least residual is kept. [default: the best setting's]"),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=LAST_SEED, help="Of the starting codes.")] = 2019,
    device: Annotated[Device, DEVICE] = Device.AUTO,
) -> None:
    """Recover signal and modulator from a picture of your own: a dark digit on white under uneven light.

    A square picture is resized to 64 × 64 pixels; --tiles cuts any picture of up to 256 tiles, whose grey levels need not
    agree from tile to tile. Colour is turned to grey, and a dim picture is brightened. The folder holds signal.png,
    modulator.png, figure.png (picture, signal, modulator and their product) and recovery.json (residual, doubts, setting,
    versions), or is not written at all.

    The shipped generators know handwritten digits in the middle of white paper and bumps of light. What such images do not
    leave is reported as "out of range of the priors", with what to do: a large residual, in all or in one place, and ink
    that is not dark. This is all the check can see: it compares product and picture, and many pairs have one product. A
    digit that is small, off the middle or one of several may be taken for another under a small residual; compare picture
    and signal in figure.png.

    Exit status: 0 done, also with this warning; 1 the work failed; 2 the picture cannot be used, and the message says what
    to do.
    """
    from dataclasses import replace

    from demod.demodulation import BEST_SETTING
    from demod.photo import PictureError, default_output, recover_picture, spelled

    given: dict[str, Any] = {"iterations": iterations, "starts": starts}
    setting = replace(BEST_SETTING, **{name: value for name, value in given.items() if value is not None})
    folder = default_output(image) if output is None else output
    track = partial(tracked, what="tiles")
    try:
        report = recover_picture(image, folder, setting=setting, tiles=tiles, device=_chosen(device), seed=seed, track=track)
    except PictureError as error:
        _fail(error, 2)
    except (OSError, FloatingPointError) as error:
        _fail(error)
    say(*(f"{spelled(image)}: {note}" for note in report["picture"]["notes"]))
    say(f"{spelled(folder)}: mean-squared residual {report['mean_squared_residual']:.2e}")
    for doubt in report["doubts"]:
        say_error(f"warning: {report['warning']}: {doubt}.", "yellow")


@app.command()
def bench(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Comparisons, by the names of their files. [default: all]", metavar="[NAME]..."),
    ] = None,
) -> None:
    """Measure the package against its peers, side by side, and store the results under results/ (minutes each).

    The comparisons are the scripts of benchmarks/ in the repository, each with a --help of its own. Let the machine be idle.
    """
    scripts = {path.stem: path for path in sorted(BENCHMARKS.glob("*.py"))}
    if not scripts:
        _fail(ValueError("there is no folder benchmarks: demod is installed without its repository; run it in a clone."))
    chosen = names or list(scripts)
    if unknown := [name for name in chosen if name not in scripts]:
        _fail(ValueError(f"there is no comparison {', '.join(unknown)}; there are {', '.join(scripts)}."), 2)
    for name in chosen:
        if status := subprocess.run([sys.executable, str(scripts[name])], check=False).returncode:
            _fail(RuntimeError(f"{name} ended with status {status}; its message is above."))


@app.command(hidden=True)
def accept(
    root: Annotated[Path, typer.Option(help="The folder of the book.", file_okay=False, exists=True)] = Path(),
) -> None:
    """Write numbers, verdicts and arrays of figures of the last build to tests/expected as the accepted ones, for review.

    Tolerances that are there are kept; new numbers and arrays get 5 %, integers none. The table of README.md takes the
    numbers of the quick profile with MNIST.
    """
    from demod_book.build.folders import BuildError, Layout
    from demod_book.expected.accept import accept as accept_last_build

    layout = Layout(root.resolve())
    try:
        written = accept_last_build(layout)
    except (BuildError, ValueError) as error:
        _fail(error)
    say(*(f"{path.relative_to(layout.root)}: review it with `git diff`" for path in written))


@app.command(hidden=True)
def address(
    url: Annotated[str, typer.Argument(help="As in https://github.com/owner/name; empty for a book without buttons.")],
    root: Annotated[Path, typer.Option(help="The folder of _config.yml.", file_okay=False, exists=True)] = Path(),
) -> None:
    """Give the repository its address: the book's launch buttons, and where a chapter on Colab installs demod from."""
    from demod_book.build.folders import BuildError, Layout
    from demod_book.build.launch import set_address

    layout = Layout(root.resolve())
    try:
        changed = set_address(layout, url)
    except BuildError as error:
        _fail(error)
    say(*(f"{path.relative_to(layout.root)}: review it with `git diff`" for path in changed))


@app.command()
def store(
    chapters: Annotated[list[str], typer.Argument(help="The slugs of chapters whose last run was full.")],
    root: Annotated[Path, typer.Option(help="The folder whose last runs are read.", file_okay=False, exists=True)] = Path(),
) -> None:
    """Keep what the last full runs of chapters measured: beside a quick run it is what decides a claim.

    A full run is made by `demod build --profile full --chapter <slug>`, which goes on where it was stopped.
    """
    from demod_book.build.folders import Layout
    from demod_book.claims.stored import store as keep

    layout = Layout(root.resolve())
    try:
        written = [keep(layout.numbers / f"{slug}.json") for slug in chapters]
    except ValueError as error:
        _fail(error)
    say(*(f"{path.name}: review it with `git diff`" for path in written))


@app.command(hidden=True)
def bounds(
    root: Annotated[Path, typer.Option(help="The repository whose history is read.", file_okay=False, exists=True)] = Path(),
) -> None:
    """Write down which commits set the bounds of the ledger and first measured their numbers, from the whole history."""
    from demod_book.claims.history import write_bounds

    try:
        written = write_bounds(root.resolve())
    except ValueError as error:
        _fail(error)
    say(f"{written.name}: review it with `git diff`")


@app.command()
def compare(
    first: Annotated[Path, typer.Argument(help="The folder of a book that was built.", file_okay=False, exists=True)],
    second: Annotated[Path, typer.Argument(help="The folder of another.", file_okay=False, exists=True)],
    output: Annotated[
        Path | None,
        typer.Option(help="Also write as JSON how far the arrays agree, with this machine and both versions."),
    ] = None,
) -> None:
    """Compare the arrays behind all figures of two builds, bit for bit, times apart; differences exit with 1.

    `make determinism` builds the book twice and compares.
    """
    from demod.artifacts import machine, write_json
    from demod_book.build.folders import BuildError
    from demod_book.expected.arrays import agreement, build_versions, differences, read_builds

    builds = first.resolve(), second.resolve()
    try:
        arrays, versions = read_builds(*builds), [build_versions(build) for build in builds]
    except (BuildError, OSError, ValueError) as error:
        _fail(error)
    if output is not None:
        write_json(output, agreement(*arrays) | machine() | {"versions": versions})
    if problems := differences(*arrays):
        _fail(ValueError("\n".join(problems)))
    say("All arrays behind the figures are the same to the bit.")
