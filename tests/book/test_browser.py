"""Where the browser comes from, with programs that stand in for browsers, for playwright and for apt-get."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from demod_book.paper import browser

STARTS = "#!/bin/sh\necho Chromium 1\n"
FAILS = "#!/bin/sh\necho 'to be had elsewhere'; exit 1\n"


def program(path: Path, text: str = STARTS) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


@pytest.fixture
def bare(tmp_path, monkeypatch):
    """A machine without a browser, whose downloads fail; its path is `bin`, playwright's cache is `cache`."""
    monkeypatch.delenv("CHROMIUM", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("PLAYWRIGHT_BROWSERS_PATH", str(tmp_path / "cache"))
    monkeypatch.setattr(browser, "MAC", ())
    monkeypatch.setattr(sys, "executable", str(program(tmp_path / "python", FAILS)))
    return tmp_path


def test_the_browser_that_is_named_is_taken_before_one_on_the_path(bare, monkeypatch):
    program(bare / "bin/chromium")
    named = program(bare / "my browser")
    monkeypatch.setenv("CHROMIUM", str(named))
    assert browser.bring() == str(named)


@pytest.mark.parametrize("text", [None, FAILS])
def test_a_named_browser_that_does_not_start_is_refused_by_name_and_not_replaced(bare, monkeypatch, text):
    program(bare / "bin/chromium")
    named = bare / "nowhere" if text is None else program(bare / "broken", text)
    monkeypatch.setenv("CHROMIUM", str(named))
    with pytest.raises(browser.NoBrowser, match=f"^CHROMIUM names {named}, which does not start: run 'apt-get install"):
        browser.bring()


@pytest.mark.parametrize("name", browser.NAMES)
def test_a_browser_on_the_path_is_found_under_each_of_its_names(bare, name):
    found = program(bare / "bin" / name)
    assert browser.bring() == str(found)


def test_a_program_that_only_says_where_the_browser_is_to_be_had_is_passed_over(bare):
    program(bare / "bin/chromium-browser", FAILS)
    found = program(bare / "bin/google-chrome")
    assert browser.bring() == str(found)


def test_of_browsers_in_the_cache_the_newest_is_taken_which_starts(bare):
    for revision, text in ((999, STARTS), (1200, STARTS), (1255, FAILS)):
        program(bare / f"cache/chromium-{revision}/chrome-linux64/chrome", text)
    assert browser.bring() == str(bare / "cache/chromium-1200/chrome-linux64/chrome")


def test_without_a_browser_playwright_downloads_one_into_its_cache(bare, monkeypatch):
    place = bare / "cache/chromium-1/chrome-linux64/chrome"
    downloads = f'#!/bin/sh\n[ "$2 $3 $5" = "playwright install chromium" ] && /bin/mkdir -p "{place.parent}" && '
    program(bare / "python", downloads + f'printf "#!/bin/sh\\n" > "{place}" && /bin/chmod +x "{place}"\n')
    program(bare / "bin/apt-get", f"#!/bin/sh\n/bin/touch {bare}/called\n")
    assert browser.bring() == str(place)
    assert not (bare / "called").exists()


def apt_get(bare: Path) -> None:
    """An apt-get that notes its calls and installs a browser only after an update, without a question."""
    place = bare / "bin/chromium"
    program(
        bare / "bin/apt-get",
        f"""#!/bin/sh
echo "$DEBIAN_FRONTEND $*" >> {bare}/calls
case "$*" in *" update") exit ;; esac
printf "#!/bin/sh\\n" > {place} && /bin/chmod +x {place}
""",
    )


def test_where_nothing_can_be_downloaded_root_lets_apt_get_install_one(bare, monkeypatch):
    apt_get(bare)
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert browser.bring() == str(bare / "bin/chromium")
    update, install = (bare / "calls").read_text().splitlines()
    assert update.startswith("noninteractive -qq")
    assert update.endswith("update")
    assert install.endswith("install --yes --no-install-recommends chromium")


def test_without_root_apt_get_is_not_called_and_the_remedy_is_one_line(bare, monkeypatch):
    apt_get(bare)
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(
        browser.NoBrowser, match=r"^[^\n]* run 'apt-get install chromium' as root, or name .*CHROMIUM=<path>"
    ):
        browser.bring()
    assert not (bare / "calls").exists()


def test_what_does_not_end_is_stopped_with_all_that_it_started(tmp_path):
    began = time.monotonic()
    script = f"(/bin/sleep 3; /bin/touch {tmp_path}/late) & wait"
    assert not browser.attempt(["/bin/sh", "-c", script], limit=0.5)
    assert time.monotonic() - began < 3
    time.sleep(3)
    assert not (tmp_path / "late").exists()


@pytest.mark.parametrize(("text", "status", "said"), [(STARTS, 0, "{}\n"), (FAILS, 1, "CHROMIUM names {}, which does not")])
def test_the_command_prints_the_path_or_the_remedy_in_one_line(tmp_path, monkeypatch, text, status, said):
    named = program(tmp_path / "browser", text)
    monkeypatch.setenv("CHROMIUM", str(named))
    done = subprocess.run([sys.executable, "-m", browser.__name__], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (status, "")
    assert done.stdout.startswith(said.format(named))
    assert done.stdout.count("\n") == 1
