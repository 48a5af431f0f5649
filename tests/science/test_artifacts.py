import hashlib
import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch

from demod.artifacts import (
    atomic_path,
    load_arrays,
    load_tensors,
    machine,
    read_json,
    save_arrays,
    save_tensors,
    sha256,
    versions,
    write_json,
)


def fail_half_way(path):
    with atomic_path(path) as temporary:
        temporary.write_text("half")
        raise KeyboardInterrupt


def test_an_exception_in_mid_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "card.json"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt):
        fail_half_way(path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.processes
def test_a_process_killed_in_mid_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "card.json"
    path.write_text("old")
    script = (
        "import os, signal, sys\n"
        "from demod.artifacts import atomic_path\n"
        "with atomic_path(sys.argv[1]) as temporary:\n"
        "    temporary.write_text('half')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.run([sys.executable, "-c", script, path], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert path.read_text() == "old"


def test_a_write_makes_the_folder_and_replaces_the_file_in_one_rename(tmp_path):
    path = tmp_path / "new" / "card.json"
    write_json(path, {"step": 1})
    first = path.stat().st_ino
    with path.open() as reader:
        write_json(path, {"step": 2})
        assert json.load(reader) == {"step": 1}  # a reader that came before keeps the whole old file
    assert path.stat().st_ino != first
    assert read_json(path) == {"step": 2}


@pytest.mark.parametrize(
    ("umask", "file", "folder"), [(0o022, 0o644, 0o755), (0o077, 0o600, 0o700), (0o002, 0o664, 0o775), (0o027, 0o640, 0o750)]
)
def test_written_files_and_folders_have_the_mode_that_the_umask_leaves_them(tmp_path, umask, file, folder):
    before = os.umask(umask)
    try:
        write_json(tmp_path / "new/card.json", {})
        save_arrays(tmp_path / "new/sweep.npz", {"f": np.zeros(3)}, {})
        save_tensors(tmp_path / "new/run.safetensors", {"w": torch.zeros(3)}, {})
    finally:
        os.umask(before)
    modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "new").iterdir()}
    assert modes == dict.fromkeys(("card.json", "sweep.npz", "sweep.json", "run.safetensors"), file)
    assert (tmp_path / "new").stat().st_mode & 0o777 == folder


@pytest.mark.parametrize("name", ["a b.json", "ü.json", "#1 %20.json", "it's.json", "n" * 240 + ".json"])
def test_a_file_may_have_any_name_that_the_system_allows(tmp_path, name):
    write_json(tmp_path / name, {"step": 1})
    assert read_json(tmp_path / name) == {"step": 1}
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_hashes_of_bytes_and_of_a_file_are_those_of_hashlib(tmp_path):
    content = os.urandom(100_000)
    (tmp_path / "file").write_bytes(content)
    assert sha256(content) == sha256(tmp_path / "file") == hashlib.sha256(content).hexdigest()
    assert sha256(b"") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_the_hash_of_an_array_sees_shape_type_and_entries_but_not_the_order_in_memory():
    array = np.arange(12.0).reshape(3, 4)
    assert sha256(array) == sha256(np.asfortranarray(array)) == sha256(array[::-1][::-1])
    others = [array.T, array.reshape(4, 3), array.astype(np.float32), array + 1e-15 * (array == 1), array.view(np.int64)]
    assert len({sha256(other) for other in [array, *others]}) == 6


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_json_that_is_not_finite_is_refused_and_the_old_file_stays(tmp_path, number):
    write_json(tmp_path / "card.json", {"psnr": 1.0})
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "card.json", {"psnr": number})
    assert read_json(tmp_path / "card.json") == {"psnr": 1.0}


def test_tensors_come_back_with_their_types_and_header(tmp_path):
    tensors = {
        "half": torch.randn(3, 4).half(),
        "transposed": torch.arange(6.0).reshape(2, 3).T,
        "trained": torch.ones(2, requires_grad=True),
        "counter": torch.tensor(7),
    }
    header = {"step": 3, "settings": {"lr": 2e-4, "name": "Ĥ"}}
    save_tensors(tmp_path / "run.safetensors", tensors, header)
    loaded, loaded_header = load_tensors(tmp_path / "run.safetensors")
    assert loaded_header == header
    assert loaded.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert loaded[name].dtype == tensor.dtype
        assert torch.equal(loaded[name], tensor.detach())


def test_arrays_come_back_with_their_provenance(tmp_path):
    arrays = {"f": np.linspace(0, 1, 7), "labels": np.array(["signal", "modulator"])}
    save_arrays(tmp_path / "sweep.npz", arrays, {"command": "demod bench", "seed": 2019})
    loaded, card = load_arrays(tmp_path / "sweep.npz")
    assert loaded.keys() == arrays.keys()
    assert all(np.array_equal(loaded[name], arrays[name]) for name in arrays)
    assert (card["command"], card["seed"], card["versions"]) == ("demod bench", 2019, versions())


def test_arrays_that_are_not_those_of_the_card_are_refused_by_name(tmp_path):
    save_arrays(tmp_path / "sweep.npz", {"f": np.zeros(3)}, {})
    np.savez(tmp_path / "sweep.npz", f=np.ones(3))
    with pytest.raises(ValueError, match=r"sweep\.npz does not match its card sweep\.json; run the command"):
        load_arrays(tmp_path / "sweep.npz")


def test_an_array_that_needs_pickle_is_refused_by_name(tmp_path):
    with pytest.raises(ValueError, match="arrays path hold Python objects; give numbers"):
        save_arrays(tmp_path / "sweep.npz", {"f": np.zeros(3), "path": np.array([tmp_path], dtype=object)}, {})
    assert list(tmp_path.iterdir()) == []


def test_versions_name_python_and_torch():
    assert versions()["python"] == ".".join(map(str, sys.version_info[:3]))
    assert versions()["torch"] == torch.__version__


def test_a_machine_is_named_by_its_system_its_processor_and_the_number_of_cores(tmp_path, monkeypatch):
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("processor\t: 0\nmodel name\t: Difference Engine No. 2\n\nprocessor\t: 1\n")
    monkeypatch.setattr("demod.artifacts.CPUINFO", cpuinfo)
    assert machine()["processor"] == "Difference Engine No. 2"
    cpuinfo.unlink()
    assert machine()["processor"]
    assert machine()["cores"] == os.cpu_count()
    assert sys.platform.startswith(machine()["system"].split()[0].lower()[:3])
