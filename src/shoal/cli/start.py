"""The first lines of the command `shoal`. Nothing is loaded yet, so Ctrl-C ends it quietly from the first moment on."""

__all__ = ["main"]


def main() -> None:
    """Load the command line and run one command. Ends as `shoal.cli.main.main` does."""
    try:
        from shoal.without_pandas import keep_pandas_out

        keep_pandas_out()
        from shoal.cli.main import main as run

        run()
    except KeyboardInterrupt:
        raise SystemExit(130) from None
