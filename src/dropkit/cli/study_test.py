import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from dropkit.cli.app import app

QUICK = ["--pairs", "6", "--trials", "1", "--epochs", "1", "--workers", "1"]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "table.csv"
    path.write_text("\n".join(["x,y", *(f"{i},{'ab'[i % 2]}" for i in range(80))]))
    return path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["study", *arguments])


def test_json_stands_alone_on_standard_output(table: Path, tmp_path: Path) -> None:
    out = str(tmp_path / "out")
    done = run("--data", str(table), "--target", "y", "--out", out, "--json", *QUICK)
    assert done.exit_code == 0
    record = json.loads(done.stdout)
    assert record["schema"] == 3
    assert record["verdict"]["headline"]
    assert "Plan " in done.stderr


def test_a_column_of_texts_is_learned_from(tmp_path: Path) -> None:
    path, out = tmp_path / "texts.csv", str(tmp_path / "out")
    path.write_text(
        "\n".join(["text,kind", *(f"{'good' if i % 2 else 'bad'} film,{i % 2}" for i in range(80))])
    )
    done = run("--data", str(path), "--target", "kind", "--text", "text", "--out", out, "--dry-run", *QUICK)
    assert done.exit_code == 0, done.output
    assert "model text" in done.stderr
    assert "Texts as numbers of words" in done.stderr


def test_verdict_and_tables_are_printed(table: Path, tmp_path: Path) -> None:
    out = str(tmp_path / "out")
    done = run("--data", str(table), "--target", "y", "--out", out, "--quiet", *QUICK)
    assert done.exit_code == 0
    assert "report.html" in done.stdout
    assert "as brought" in done.stdout
    assert done.stderr == ""


@pytest.mark.parametrize(
    "wrong",
    [
        ["--pairs", "2"],
        ["--margin", "0.5"],
        ["--data", "digit"],
        ["--model", "x.py:make"],
        ["--words"],
        ["--text", "a"],
    ],
)
def test_refused_input_ends_with_2_and_one_line(tmp_path: Path, wrong: list[str]) -> None:
    done = run("--out", str(tmp_path / "out"), *wrong)
    assert done.exit_code == 2
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.output


def test_no_verdict_ends_with_3(table: Path, tmp_path: Path) -> None:
    net = tmp_path / "net.py"
    net.write_text(
        "from torch import nn\n"
        "class Net(nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.net = nn.Sequential(nn.Linear(1, 4), nn.ReLU(), nn.Linear(4, 2))\n"
        "    def forward(self, x):\n"
        "        return self.net(x) * (float('nan') if self.training else 1.0)\n"
    )
    call = ["--data", str(table), "--target", "y", "--model", f"{net}:Net", "--out", str(tmp_path / "out")]
    assert run(*call, *QUICK, "--quiet").exit_code == 3


def test_a_dry_run_prints_the_plan_and_resume_goes_on_from_it(table: Path, tmp_path: Path) -> None:
    out = str(tmp_path / "out")
    planned = run("--data", str(table), "--target", "y", "--out", out, "--dry-run", *QUICK)
    assert planned.exit_code == 0
    assert "Plan " in planned.stderr
    assert not (tmp_path / "out" / "study.json").exists()
    resumed = run("--resume", "--out", out, "--workers", "1", "--json")
    assert resumed.exit_code == 0
    assert json.loads(resumed.stdout)["plan"]["fingerprint"] in planned.stderr


def test_the_verdict_is_said_in_chinese(table: Path, tmp_path: Path) -> None:
    call = ["--data", str(table), "--target", "y", "--out", str(tmp_path / "out"), "--quiet", *QUICK]
    done = run(*call, "--lang", "zh")
    assert done.exit_code == 0
    assert "的" in done.stdout
    assert 'lang="zh' in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


def wait_for_runs(path: Path, count: int, running: "subprocess.Popen[bytes]") -> None:
    for _ in range(3000):
        if path.exists() and kept(path) >= count:
            return
        assert running.poll() is None
        time.sleep(0.1)
    raise AssertionError(f"{path} never held {count} runs")


def kept(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'runs'").fetchone():
            return 0
        return int(connection.execute("SELECT count(*) FROM runs").fetchone()[0])


@pytest.mark.parametrize("workers", [1, 2])
def test_a_real_ctrl_c_ends_with_130_and_keeps_what_is_done(
    table: Path, tmp_path: Path, workers: int
) -> None:
    out = tmp_path / "out"
    call = [
        sys.executable,
        "-c",
        "from dropkit.cli import main; main()",
        "study",
        "--json",
        "--out",
        str(out),
    ]
    call += [
        "--data",
        str(table),
        "--target",
        "y",
        "--pairs",
        "200",
        "--trials",
        "1",
        "--epochs",
        "1",
        "--workers",
        str(workers),
    ]
    # A group of its own, signalled as a whole: what a terminal does at Ctrl-C.
    with subprocess.Popen(
        call, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    ) as running:
        try:
            wait_for_runs(out / "runs.sqlite", 60, running)
            os.killpg(running.pid, signal.SIGINT)
            stdout, stderr = running.communicate(timeout=300)
        finally:
            running.kill()
    assert running.returncode == 130
    assert b"Traceback" not in stderr
    record = json.loads(stdout)
    assert record["stopped_early"]
    assert record["complete_pairs"] >= 3
    assert (out / "report.html").exists()
