"""Requests made of the service's own description, right ones and wrong ones: none makes it fail; print a table.

    pip install -c constraints.txt ".[serve,bench]"
    python benchmarks/serve_schema.py RUN

schemathesis reads openapi.json and makes requests of it for every route, such as it allows and such as it does not:
examples, values at the limits, missing and unknown fields, wrong types, methods, encodings. What may not come back is a
5xx other than 503, a hung-up line, an answer that is not as the document says, or memory that grows.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections import Counter
from contextlib import suppress
from typing import Any

import document
from serve_load import resident, service

SLOW = ("/attacks", "/dreams", "/explanations", "/lessons")  # a tenth of the requests: each takes long


def main() -> None:
    parser = document.parser(__doc__)
    parser.add_argument("run")
    parser.add_argument(
        "--examples", type=int, default=50, help="requests of a route, in a round, of either kind"
    )
    parser.add_argument("--rounds", type=int, default=4)
    args = parser.parse_args()
    with service(args.run) as (port, pid):
        counted, wrong, memory = asked(port, pid, args.examples, args.rounds)
    document.tell(__file__, told(counted, wrong, memory, args.rounds), args.out)
    for one in wrong[:20]:
        print(f"\n{one}")
    if wrong:
        raise SystemExit(f"{len(wrong)} answers that must not be")


def asked(
    port: int, pid: int, examples: int, rounds: int
) -> tuple[dict[str, Counter[int]], list[str], list[int]]:
    """Statuses by route, what was wrong, and the memory after every round."""
    import schemathesis
    from schemathesis.generation import GenerationMode

    address = f"http://127.0.0.1:{port}"
    examples_asked(address)
    schema = schemathesis.openapi.from_url(f"{address}/openapi.json")
    counted: dict[str, Counter[int]] = {}
    wrong: list[str] = []
    memory: list[int] = []
    for number in range(rounds):
        for found in schema.get_all_operations():
            operation = found.ok()
            many = max(5, examples // 10) if operation.path.endswith(SLOW) else examples
            statuses = counted.setdefault(f"{operation.method.upper()} {operation.path}", Counter())
            for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
                requests(operation, mode, many, number, address, statuses, wrong)
        memory.append(resident(pid))
        print(f"round {number + 1}  {len(wrong)} wrong, {memory[-1] / 2**20:,.0f} MB", flush=True)
    return counted, wrong, memory


def examples_asked(address: str) -> None:
    """The document's own examples: what is loaded for the first question of a kind is no memory that grows."""
    with urllib.request.urlopen(f"{address}/openapi.json") as answer:
        paths = json.load(answer)["paths"]
    for path, methods in paths.items():
        content = methods.get("post", {}).get("requestBody", {}).get("content", {})
        example = content.get("application/json", {}).get("example")
        if example is not None and "{" not in path:
            body, head = json.dumps(example).encode(), {"Content-Type": "application/json"}
            with suppress(
                urllib.error.HTTPError
            ):  # a layer of another network, corrections that are not kept
                urllib.request.urlopen(urllib.request.Request(address + path, body, head)).close()


def told(counted: dict[str, Counter[int]], wrong: list[str], memory: list[int], rounds: int) -> list[str]:
    """Routes of a run under its name are counted with those of the first run."""
    routes: dict[str, Counter[int]] = {}
    for name, statuses in counted.items():
        routes.setdefault(name.replace("/models/{name}/", "/"), Counter()).update(statuses)
    lines = [
        "## Requests made of the service's description",
        "",
        "| route | requests | answers |",
        "| --- | ---: | --- |",
    ]
    for name, statuses in routes.items():
        answers = ", ".join(f"{count:,} × {status}" for status, count in sorted(statuses.items()))
        lines.append(f"| `{name}` | {statuses.total():,} | {answers} |")
    grown = 100 * (memory[-1] / memory[0] - 1)
    total = sum(statuses.total() for statuses in routes.values())
    lost = sum(statuses[0] for statuses in routes.values())
    footing = document.footing(__file__, ("schemathesis", "fastapi", "uvicorn"))
    return [
        *lines,
        "",
        f"{total:,} requests in {rounds} rounds, half of them wrong ones: {len(wrong)} answers that must not be, "
        f"{lost} lines hung up, memory {grown:+.1f} % from the first round to the last ({memory[-1] / 2**20:,.0f} MB).",
        "",
        footing,
    ]


def requests(
    operation: Any, mode: Any, many: int, seed: int, address: str, statuses: Counter[int], wrong: list[str]
) -> None:
    """Up to `many` requests to one route."""
    from hypothesis import HealthCheck, Phase, given, settings
    from hypothesis import seed as seeded
    from hypothesis.errors import Unsatisfiable

    def ask(case: Any) -> None:
        try:
            response = case.call(base_url=address, timeout=60)
        except Exception as e:
            statuses[0] += 1
            wrong.append(f"{operation.method} {operation.path}: {type(e).__name__}: {e}")
            return
        statuses[response.status_code] += 1
        fault = fault_of(case, response)
        if fault:
            wrong.append(f"{fault}\n    {case.as_curl_command()[:600]}\n    {response.text[:300]}")

    quiet = settings(
        max_examples=many, deadline=None, database=None, phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    with suppress(Unsatisfiable):  # a route without arguments cannot be asked wrongly
        seeded(seed)(quiet(given(case=operation.as_strategy(generation_mode=mode))(ask)))()


def fault_of(case: Any, response: Any) -> str:
    """What is wrong with an answer, "" for nothing."""
    if response.status_code >= 500 and response.status_code != 503:
        return f"{response.status_code}"
    if str(response.status_code) not in case.operation.definition.raw["responses"]:
        return f"{response.status_code} is not in the document"
    if response.status_code == 200 and "json" not in response.headers.get("content-type", ""):
        return ""  # a picture, or the metrics
    whole = response.json()
    if set(whole) != {"status", "data", "msg"} or whole["status"] != response.status_code:
        return "not the envelope"
    return ""


if __name__ == "__main__":
    main()
