"""What is done to whole stores: check, copy, recover, merge, delete."""
