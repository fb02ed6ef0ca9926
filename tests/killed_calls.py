"""A run whose worker is killed while a model answers: real processes, a real provider on loopback."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from labeling.providers.fake_provider import FakeProvider, Reply
from labeling.providers.fake_wires import Asked
from real_runs import children_of, wait_for, worker_processes
from server_process import ServerProcess

__all__ = ["ResumedRun", "kill_and_resume"]


@dataclass(frozen=True)
class ResumedRun:
    """The run as the server shows it, the questions that were answered before the kill, and what the provider saw."""

    result: dict[str, Any]
    answered: list[str]
    provider: FakeProvider

    def count_requests(self) -> list[int]:
        """How often each of the answered questions was sent in all."""
        texts = [request.text for request in self.provider.asked]
        return [texts.count(text) for text in self.answered]


def kill_and_resume(
    folder: Path, answer: Callable[[Asked], Reply], create_cluster: Callable[[httpx.Client], None], answered: int
) -> ResumedRun:
    """Execute the cluster `groups`, kill its worker after so many answers, and wait until the run is completed."""
    killed = threading.Event()

    def behave(request: Asked) -> Reply:
        if request.number < answered or killed.is_set():
            return answer(request)
        killed.wait(60)  # under way when its asker is killed: never answered, so never paid
        return Reply(no_answer=True)

    with FakeProvider(behave) as provider:
        models = folder / "models.toml"
        models.write_text(
            f'[servers.local]\nurl = "{provider.url}/v1"\nprices.small = {{ input = 1, output = 1 }}\n'
            "[limits]\nconcurrency = 2\n"
        )
        server = ServerProcess(folder / "data", SHOAL_LLM="local:small", SHOAL_MODELS=str(models))
        try:
            server.start()
            with server.client() as client:
                create_cluster(client)
                client.post("/clusters/groups/execute").raise_for_status()
                run = "/clusters/groups/executions"
                wait_for(lambda: ((client.get(run).json() or {}).get("llm_usage") or {}).get("calls") == answered)
                before = [request.text for request in provider.asked[:answered]]
                for child in children_of(worker_processes(server.pid)[0]):
                    child.kill()
                killed.set()
                wait_for(lambda: client.get(run).json()["status"] == "completed")
                return ResumedRun(client.get(run).json(), before, provider)
        finally:
            server.stop()
