"""`make prove`: what the tests are too short for, measured and written into docs/proof.md."""
