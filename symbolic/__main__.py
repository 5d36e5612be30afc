"""`python -m symbolic` is the same as the `symbolic` command; `accelerate launch -m symbolic train …` uses it."""

from symbolic.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
