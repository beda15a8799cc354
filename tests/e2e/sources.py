"""Source distributions of libraries: their own tests are in them."""

import hashlib
import subprocess
import sys
import tarfile
from pathlib import Path


def unpacked(name: str, version: str, sha256: str, folder: Path) -> Path:
    """The folder of a source distribution, fetched with pip and unpacked. Fails where it has another checksum."""
    # Not :all:, which would have pip build what builds it too.
    only_source = ["--no-deps", "--no-binary", name, f"{name}=={version}"]
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--dest", str(folder)]
    subprocess.run([*pip, *only_source], check=True, timeout=170)
    found = folder / f"{name.replace('-', '_')}-{version}"
    archive = found.with_name(f"{found.name}.tar.gz")
    assert hashlib.sha256(archive.read_bytes()).hexdigest() == sha256
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
    return found
