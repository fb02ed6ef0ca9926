"""Many concurrent uploads to a real server whose readers are delayed."""

import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from server_process import ServerProcess

pytestmark = pytest.mark.process

UPLOADS = 12
NDJSON = {"Content-Type": "application/x-ndjson"}


def host_of(server: ServerProcess) -> psutil.Process:
    """The process from which readers are forked."""
    children = psutil.Process(server.pid).children(recursive=True)
    return next(child for child in children if "shoal.intake.host" in child.cmdline())


def test_uploads_waiting_for_a_reader_do_not_delay_other_requests(tmp_path: Path) -> None:
    with ServerProcess(tmp_path / "data", workers=0, SHOAL_MAX_REQUESTS="8") as server, server.client() as client:
        body = {"collection_name": "docs", "source": {"type": "direct_upsert"}}
        client.post("/collections", json=body).raise_for_status()
        path = "/collections/docs/documents/import"
        client.post(path, content=b'{"id": "first", "v": [1, 2]}\n', headers=NDJSON).raise_for_status()
        host = host_of(server)
        host.send_signal(signal.SIGSTOP)
        try:
            with ThreadPoolExecutor(UPLOADS) as pool:
                lines = [b'{"id": "%d", "v": [%d, 1]}\n' % (n, n) for n in range(UPLOADS)]
                sent = [pool.submit(client.post, path, content=line, headers=NDJSON) for line in lines]
                while len(list((server.data / "spool").iterdir())) < UPLOADS:
                    time.sleep(0.01)
                between = [client.post("/collections/docs/documents/list", json={}).status_code for _ in range(5)]
                host.send_signal(signal.SIGCONT)
                uploaded = [one.result().status_code for one in sent]
        finally:
            host.send_signal(signal.SIGCONT)

        assert between == [200] * 5
        assert uploaded == [200] * UPLOADS
        assert client.get("/collections/docs/documents/count").json()["count"] == UPLOADS + 1
