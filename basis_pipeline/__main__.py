"""`python -m basis_pipeline` is `basis`."""

from basis_pipeline.cli import main

if __name__ == "__main__":
    main()
