"""framecue serve --index DIR"""

import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from framecue.cli.common import note

if TYPE_CHECKING:
    from framecue.api.collection import Collection

TOKEN_VARIABLE = "FRAMECUE_TOKEN"
_SHUTDOWN_SECONDS = 3
_BACKLOG = 128


def serve(
    index: Annotated[Path | None, typer.Option(metavar="DIR", help="Index made by `framecue index add`.")] = None,
    demo: Annotated[bool, typer.Option("--demo", help="The index that `framecue demo` made.")] = False,
    out: Annotated[Path, typer.Option(metavar="DIR", help="With --demo: the folder of the demo.")] = Path("demo-out"),
    host: Annotated[str, typer.Option(help="Address to listen at; other than this machine's own needs a token.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes any that is free.")] = 8000,
    token_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help=f"Token that must be known; else of {TOKEN_VARIABLE}.")
    ] = None,
    open: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
    adapter: Annotated[str | None, typer.Option(metavar="DIR", help="Must be the index's own.")] = None,
    backbone: Annotated[str | None, typer.Option(help="Must be the index's own; for one that was moved.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    verbose: Annotated[bool, typer.Option("--verbose", help="A line of JSON for each request.")] = False,
) -> None:
    """Search an index in the browser, or from programs over HTTP.

    Prints the address of the page; /docs there lists the routes. Only indexed videos are served, and the index may be
    added to meanwhile. Listens to this machine alone; for others, give --host 0.0.0.0 and a token. Ctrl-C ends it.
    """
    folder = _index_folder(index, out if demo else None)
    from framecue.service.guard import is_loopback

    token = _token(token_file)
    if token is None and not is_loopback(host):
        from framecue.errors import UsageError

        raise UsageError(
            f"--host {host} lets other machines in, so a token is needed; make one with `python -c 'import secrets; "
            f"print(secrets.token_urlsafe())' > token.txt` and give --token-file token.txt, or set {TOKEN_VARIABLE}."
        )
    with listen(host, port) as listener:  # before the model is loaded: a port in use shows at once
        from framecue.api.collection import open_index

        collection = open_index(folder, adapter=adapter, backbone=backbone, device=device)
        note(f"loading the model of {folder}")
        collection.predictor  # noqa: B018 - loads it, so that a missing one shows before the first question
        _serve(collection, listener, host, token, verbose=verbose, browse=open)


def listen(host: str, port: int) -> socket.socket:
    """A socket that others can connect to from now on; they wait until the server is there.

    Raises:
        UsageError: the port is in use, or the address is none of this machine.
    """
    from framecue.errors import UsageError

    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host.strip("[]"), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        # asyncio sends small answers at once (TCP_NODELAY) only where the protocol is named: 40 ms a request.
        listener = socket.socket(family, kind, protocol)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(_BACKLOG)
        except OSError:
            listener.close()
            raise
        return listener
    except OSError as error:
        raise UsageError(
            f"Cannot listen at {host} port {port}: {error.strerror}; name another with --port or --host."
        ) from error


def _index_folder(index: Path | None, demo_out: Path | None) -> Path:
    from framecue.errors import UsageError

    if (index is None) == (demo_out is None):
        raise UsageError("Name what to serve: either --index DIR, or --demo.")
    if demo_out is None:
        assert index is not None
        return index
    folder = demo_out / "index"
    if not folder.is_dir():
        raise UsageError(f"There is no demo index in {demo_out}; make it with: framecue demo --out {demo_out}")
    return folder


def _token(file: Path | None) -> str | None:
    """Of the file, else of the environment, where neither names one None."""
    given = os.environ.get(TOKEN_VARIABLE)
    if file is None and not given:
        return None
    from framecue.service.guard import checked_token, read_token

    return read_token(file) if file is not None else checked_token(given or "", TOKEN_VARIABLE)


def _serve(
    collection: "Collection", listener: socket.socket, host: str, token: str | None, *, verbose: bool, browse: bool
) -> None:
    import logging
    import webbrowser

    import uvicorn

    from framecue.service.app import create_app

    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    if verbose:
        logging.getLogger("framecue.service.requests").setLevel(logging.INFO)
    config = uvicorn.Config(
        create_app(collection, token=token),
        http="h11",  # whatever else is installed: it bounds the headers of a request
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=_SHUTDOWN_SECONDS,
    )
    shown = "localhost" if host in ("0.0.0.0", "::", "[::]") else host
    shown = f"[{shown}]" if ":" in shown and not shown.startswith("[") else shown
    address = f"http://{shown}:{listener.getsockname()[1]}/"
    note(f"serving {collection.folder} at {address}" + ("" if token is None else "  (sign in with the token)"))
    if browse:
        webbrowser.open(address)  # without the token: other users of the machine see what programs are called with
    try:
        uvicorn.Server(config).run(sockets=[listener])
    except KeyboardInterrupt:
        note("stopped")
