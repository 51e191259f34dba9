"""The jars of Apache Kafka, downloaded once by Maven and kept by the hash of the pom that names them."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.house.source import ROOT

CACHE = ROOT / ".cache" / "kafka"
POM = Path(__file__).parent / "pom.xml"
_DOWNLOAD_S = 600


class KafkaUnavailableError(Exception):
    """This machine cannot run a broker, or the one that was started did not come up; the message says why."""


def jars() -> Path:
    """The folder that holds them. Raises KafkaUnavailableError."""
    for program in ("java", "mvn"):
        if shutil.which(program) is None:
            raise KafkaUnavailableError(
                f"{program} is not installed; on Debian and Ubuntu: apt-get install openjdk-17-jre-headless maven"
            )
    folder = CACHE / f"jars-{hashlib.sha256(POM.read_bytes()).hexdigest()[:12]}"
    if not folder.is_dir():
        CACHE.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(dir=CACHE, prefix="download-"))
        _download(fresh)
        try:
            fresh.rename(folder)
        except OSError:  # another process was faster
            shutil.rmtree(fresh)
    return folder


def _download(into: Path) -> None:
    command = ["mvn", "-q", "-B", "-f", str(POM), "dependency:copy-dependencies", f"-DoutputDirectory={into}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_DOWNLOAD_S, check=False)
    if done.returncode:
        shutil.rmtree(into)
        raise KafkaUnavailableError(f"Maven could not download the jars:\n{(done.stdout + done.stderr)[-2000:]}")
