"""Entry point of `python -m validation`."""

from validation.cli import main


if __name__ == "__main__":
    raise SystemExit(main())
