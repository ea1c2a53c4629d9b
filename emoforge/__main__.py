"""`python -m emoforge`: what dvc.yaml calls, so that the code of the working tree runs wherever DVC runs it."""

from emoforge.cli import main

if __name__ == "__main__":
    main()
