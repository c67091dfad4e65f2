"""What people hand on when they ask for help: all that explains a failure, and nothing that tells who they are."""
