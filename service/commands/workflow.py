"""`docsearch workflow`: look at workflows in files, and carry them in and out."""

import asyncio
import json
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from service.commands.output import CommandFailed, one_line, print_error, print_json, say

if TYPE_CHECKING:
    from service.commands.client import Execution, ImportedWorkflow

T = TypeVar("T")

MAX_FILE_BYTES = 4 * 1024 * 1024

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="""Validate workflows in files, run them, export them, and import them, also from n8n.

    validate needs no server; the others talk to one, as `docsearch search` does.
    """,
)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


@app.command("validate")
def validate(
    paths: Annotated[
        list[str],
        typer.Argument(metavar="FILE…", help='Files of workflows; "-" reads stdin.', show_default=False),
    ],
    as_json: AsJson = False,
) -> None:
    """Say what stands against running workflows, with node and field. Nothing is sent anywhere.

    The exit code is 0 where none has an error; warnings do not count.

    \b
    Examples:
      docsearch workflow validate support.json
      docsearch workflow validate flows/*.json --json | jq '.files[] | select(.valid | not)'
    """
    looked = [_look_at(path) for path in paths]
    if as_json:
        print_json({"files": looked})
    else:
        for file in looked:
            _print_file(file)
    if not all(file["valid"] for file in looked):
        raise typer.Exit(1)


def _look_at(path: str) -> dict[str, Any]:
    from litestar.plugins.problem_details import ProblemDetailsException

    from service.workflows.drawing import checked_drawing, look_at
    from service.workflows.files import read_file

    try:
        file, notes = read_file(_read_json(path))
        checked_drawing(file.nodes, file.connections, file.settings)
    except (CommandFailed, ProblemDetailsException) as exc:
        detail = exc.detail if isinstance(exc, ProblemDetailsException) else str(exc)
        unreadable = {
            "severity": "error",
            "node": None,
            "field": None,
            "code": "unreadable",
            "message": detail,
        }
        return {"path": path, "valid": False, "issues": [unreadable], "notes": []}
    import msgspec

    issues = msgspec.to_builtins(look_at(file.nodes, file.connections, file.settings))
    valid = all(issue["severity"] != "error" for issue in issues)
    return {"path": path, "valid": valid, "issues": issues, "notes": notes}


def _print_file(file: dict[str, Any]) -> None:
    for issue in file["issues"]:
        say(f"{one_line(file['path'])}: {_worded(issue)}")
    for note in file["notes"]:
        say(f"{one_line(file['path'])}: note: {one_line(note)}")
    if file["valid"]:
        say(f"{one_line(file['path'])}: valid")


def _worded(issue: dict[str, Any]) -> str:
    where = " ".join(one_line(part) for part in (issue["node"], issue["field"]) if part)
    return f"{issue['severity']}: {where + ': ' if where else ''}{one_line(issue['message'])}"


@app.command("export")
def export(
    workflow_id: Annotated[str, typer.Argument(metavar="ID", help="The workflow's id.")],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Where to write it, instead of stdout."),
    ] = None,
) -> None:
    """Write a workflow as a file, without credentials.

    \b
    Examples:
      docsearch workflow export 0d5f4a1e-… -o support.json
      docsearch workflow export 0d5f4a1e-… | jq .nodes
    """
    content = _run(_export(workflow_id))
    text = json.dumps(json.loads(content), indent=2, ensure_ascii=output is None) + "\n"
    if output is None:
        sys.stdout.write(text)
    else:
        output.write_text(text, encoding="utf-8")


@app.command("import")
def import_(
    path: Annotated[
        str, typer.Argument(metavar="FILE", help='What export wrote, or n8n exported; "-" reads stdin.')
    ],
    team_id: Annotated[
        str | None, typer.Option("--team", metavar="ID", help="The team whose it is to be, instead of yours.")
    ] = None,
    name: Annotated[
        str | None,
        typer.Option("--name", metavar="NAME", help="How to call it, instead of as the file does."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a draft of a file, and print its id. What was not taken over as it was goes to stderr.

    \b
    Examples:
      docsearch workflow import support.json --name "Support, new"
      docsearch workflow import from-n8n.json --json | jq -r '.notes[]'
    """
    made = _run(_import(_read_json(path), team_id, name))
    if as_json:
        print_json(
            {
                "id": made.workflow.id,
                "name": made.workflow.name,
                "notes": made.notes,
                "issues": made.workflow.issues,
            }
        )
        return
    say(made.workflow.id)
    for note in made.notes:
        sys.stderr.write(f"note: {one_line(note)}\n")
    for issue in made.workflow.issues:
        sys.stderr.write(_worded(issue) + "\n")


@app.command("run")
def run(
    workflow_id: Annotated[str, typer.Argument(metavar="ID", help="The workflow's id.")],
    given: Annotated[
        str | None,
        typer.Option("--input", "-i", metavar="JSON", help='What it is started with; "-" reads stdin.'),
    ] = None,
    start_node: Annotated[
        str | None,
        typer.Option("--start", metavar="NODE", help="Where it begins, instead of its first trigger."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Run a workflow, show what happens, and print what it gives.

    The exit code is 0 where it succeeds. A run that waits for a reply, or for more than a while, is left to go on.

    \b
    Examples:
      docsearch workflow run 0d5f4a1e-… --input '{"text": "When does the lease end?"}'
      docsearch workflow run 0d5f4a1e-… --json < /dev/null | jq .output
    """
    execution = _run(_follow(workflow_id, _read_input(given), start_node, quiet=as_json))
    if as_json:
        print_json(
            {
                "id": execution.id,
                "status": execution.status,
                "output": execution.output,
                "error": execution.error,
                "duration_ms": execution.duration_ms,
                "waiting": execution.waiting,
            }
        )
    elif execution.status == "SUCCESS":
        say(json.dumps(execution.output, indent=2, ensure_ascii=False))
    elif execution.status == "RUNNING":
        sys.stderr.write(f"It waits; look at it with GET /v1/executions/{execution.id}\n")
    else:
        message = (execution.error or {}).get("message", "") if isinstance(execution.error, dict) else ""
        print_error(f"{execution.status}: {one_line(message)}")
    if execution.status != "SUCCESS":
        raise typer.Exit(1)


async def _follow(workflow_id: str, given: Any, start_node: str | None, *, quiet: bool) -> "Execution":
    """Return the execution when it has ended, or waits for something that may take long."""
    from service.commands.client import find_server, open_client

    async with open_client(find_server()) as client:
        execution = await client.run_workflow(workflow_id, given, start_node)
        after: str | None = None
        while True:
            execution = await client.find_execution(execution.id)
            has_ended = execution.status != "RUNNING"
            page = await client.read_log(execution.id, after)
            after = _cursor_of(page.data[-1].position) if page.data else after
            for entry in [] if quiet else page.data:
                _print_entry(entry.entry)
            # A called workflow is not waited for by others: it ends as this one does, or waits for something itself.
            waits = any(one.get("kind") in {"reply", "time"} for one in execution.waiting)
            if not page.has_more and (has_ended or waits):
                return execution
            await asyncio.sleep(0 if page.has_more else 0.3)


def _cursor_of(position: int) -> str:
    from service.cursors import encode_cursor

    return encode_cursor(position)


def _print_entry(entry: dict[str, Any]) -> None:
    node = entry.get("name") or entry.get("node") or ""
    took = f" {entry['duration_ms']:g} ms" if "duration_ms" in entry else ""
    error = entry.get("error") or {}
    said = f": {one_line(str(error.get('message')))}" if error.get("message") else ""
    sys.stderr.write(f"{entry.get('event', ''):<15} {one_line(str(node))}{took}{said}\n")


def _read_input(given: str | None) -> Any:
    """Raises CommandFailed for what is no JSON."""
    if given is None:
        return None
    text = sys.stdin.read() if given == "-" else given
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as exc:
        raise CommandFailed(f"--input is no JSON: {exc}.") from exc


async def _export(workflow_id: str) -> bytes:
    from service.commands.client import find_server, open_client

    async with open_client(find_server()) as client:
        return await client.export_workflow(workflow_id)


async def _import(file: dict[str, Any], team_id: str | None, name: str | None) -> "ImportedWorkflow":
    from service.commands.client import find_server, open_client

    async with open_client(find_server()) as client:
        return await client.import_workflow(file, team_id=team_id, name=name)


def _run(work: Coroutine[Any, Any, T]) -> T:
    try:
        return asyncio.run(work)
    except KeyboardInterrupt:
        print_error("Interrupted.")
        raise typer.Exit(130) from None


def _read_json(path: str) -> dict[str, Any]:
    """Return the object in a file. Raises CommandFailed."""
    try:
        data = sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
    except OSError as exc:
        raise CommandFailed(f"{path}: {exc.strerror or exc}.") from exc
    if len(data) > MAX_FILE_BYTES:
        raise CommandFailed(f"{path}: has {len(data):,} bytes; {MAX_FILE_BYTES:,} are the most.")
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as exc:
        raise CommandFailed(f"{path}: is no JSON: {exc}.") from exc
    # n8n's own command line exports a list.
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if not isinstance(value, dict):
        raise CommandFailed(f"{path}: holds no workflow.")
    return value
