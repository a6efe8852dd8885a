"""Kill replicas under talking sessions and count: `python -m benchmarks.kills`.

Needs redis-server and nginx. Ends with an error when any session's whole output differs from the undisturbed run.
"""

import argparse
import asyncio
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from tests.system.replicas.chaos import Kills, disturbed, site, write_models
from tests.system.replicas.talkers import Talks


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=200)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--pause", type=float, default=1.0, help="seconds between a session's requests")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(measure(Path(folder), given))


async def measure(folder: Path, given: argparse.Namespace) -> None:
    models = folder / "models"
    write_models(models)
    kills = Kills(given.kills, pause_s=2.0)
    async with site(folder, models) as at:
        started = time.perf_counter()
        talks = await disturbed(at, given.sessions, kills, given.pause, given.seed)
        seconds = time.perf_counter() - started
        print(f"disturbed for {seconds:.0f} s; now the same undisturbed", flush=True)
        differing = talks.differing(await talks.undisturbed(at.proxy.address))
    for name, figure in figures(talks, kills, at.relay.num_cut, len(differing)).items():
        print(f"{name:<40} {figure}")
    if differing:
        raise SystemExit(f"the output of {len(differing)} sessions differs: {differing}")


def figures(talks: Talks, kills: Kills, num_cut: int, num_differing: int) -> dict[str, str]:
    resumed = talks.resumed
    times = sorted(one.seconds for one in resumed)
    answers = sum(len(said) for talker in talks.talkers for said in talker.rounds)
    return {
        "sessions": f"{len(talks.talkers)}",
        "replicas killed (kill -9)": f"{kills.num_done}",
        "connections cut": f"{num_cut}",
        "Redis restarted (kill -9)": "1",
        "rounds, answers": f"{sum(len(one.rounds) for one in talks.talkers)}, {answers}",
        "breaks that sessions went on after": f"{len(resumed)}",
        "sessions that were resumed": f"{len({one.session_id for one in resumed})}",
        "time to resume, median": f"{median(times) * 1000:.0f} ms" if times else "-",
        "time to resume, p99": f"{_p99(times) * 1000:.0f} ms" if times else "-",
        "turns sent again after a crash": f"{sum(one.num_replayed for one in resumed)}",
        "turns already done, not run twice": f"{sum(one.answered_again for one in resumed)}",
        "sessions bit-equal to the undisturbed run": f"{len(talks.talkers) - num_differing} of {len(talks.talkers)}",
    }


def _p99(ordered: Sequence[float]) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]


if __name__ == "__main__":
    main()
