"""Background jobs as an operator meets them: in the service, in a worker, by hand."""

from __future__ import annotations

import asyncio
import re
import signal
import sys
from pathlib import Path

from tests.api.prompt_commands import Ended, environment
from tests.running_service import RunningService, heed_signals, running_service

COUNTED = 'assistant_job_runs_total{job="partitions",outcome="SUCCEEDED"} '
MEASURED = 'assistant_job_duration_seconds_count{job="partitions"} '
DID = re.compile(r"partitions: \d+ made, \d+ dropped")


async def jobs(folder: Path, *arguments: str) -> Ended:
    """Run `assistant jobs` on the database in ``folder``, to its end."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "assistant", "jobs", *arguments),
        env=environment(data_dir=str(folder / "data"), log_format="json"),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(60):
        output, errors = await process.communicate()
    assert process.returncode is not None
    return Ended(process.returncode, output.decode(), errors.decode())


async def metrics(service: RunningService) -> str:
    return (await service.get("/metrics"))[1]


async def test_the_service_runs_what_is_due_and_counts_it(tmp_path: Path) -> None:
    """What should have been done in the hour before the first start is due."""
    async with running_service(tmp_path) as service:
        async with asyncio.timeout(15):
            while COUNTED not in await metrics(service):
                await asyncio.sleep(0.1)
        assert MEASURED in await metrics(service)

    said = service.log.read_text()
    assert '"event":"job_done"' in said
    assert DID.search(said)
    assert "Traceback" not in said


async def test_a_worker_does_what_replicas_that_only_serve_leave_undone(tmp_path: Path) -> None:
    said = tmp_path / "worker.log"
    async with running_service(tmp_path, run_jobs="false") as service:
        with said.open("wb") as output:
            worker = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "assistant", "worker"),
                # What it is asked to do by name it does, whatever the variable says.
                env=environment(
                    data_dir=str(tmp_path / "data"), log_format="json", run_jobs="false"
                ),
                stdin=asyncio.subprocess.DEVNULL, stdout=output, stderr=output,
                preexec_fn=heed_signals,
            )  # fmt: skip
        try:
            async with asyncio.timeout(30):
                while not DID.search(said.read_text()):
                    await asyncio.sleep(0.1)
            worker.terminate()
            async with asyncio.timeout(15):
                assert await worker.wait() == 128 + signal.SIGTERM
        finally:
            if worker.returncode is None:
                worker.kill()
        assert "assistant_job_runs_total{" not in await metrics(service)

    for complaint in ("Traceback", "was destroyed", "never"):
        assert complaint not in said.read_text()
    assert '"event":"worker_ready"' in said.read_text()


async def test_every_job_is_run_by_hand_beside_a_service_and_without_one(tmp_path: Path) -> None:
    async with running_service(tmp_path):
        listed = await jobs(tmp_path, "list")
        names = [line.partition(" ")[0] for line in listed.lines]
        beside = [await jobs(tmp_path, "run", name) for name in names]
    alone = await jobs(tmp_path, "run", "partitions")

    assert (listed.code, listed.errors) == (0, "")
    assert re.search(
        r"^partitions +17 \* \* \* \* +Makes the months' ", listed.output, re.MULTILINE
    )
    assert [(ended.code, len(ended.lines)) for ended in beside] == [(0, 1)] * len(names)
    assert (alone.code, alone.output) == (0, "partitions: 0 made, 0 dropped\n")


async def test_a_job_that_does_not_exist_is_said_in_one_line(tmp_path: Path) -> None:
    said = (await jobs(tmp_path, "run", "laundry")).complaint

    assert said.startswith("There is no job laundry. There are: ")
    assert "partitions" in said
