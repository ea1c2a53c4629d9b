"""`python -m emoforge`: what dvc.yaml calls, so that the code of the working tree runs wherever DVC runs it."""

from flows.conduct.leash import hold

if __name__ == "__main__":
    hold()  # before all other imports: whoever started this stage may be killed while they are under way

from emoforge.cli import main

if __name__ == "__main__":
    main()
