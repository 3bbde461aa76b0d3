"""``python -m gan``: the command line."""

from gan.cli.main import run

if __name__ == "__main__":
    run()
